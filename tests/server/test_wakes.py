"""Which pokes are sent: one for each near wake, none beyond the queue's reach; the sweep covers everything else."""

from __future__ import annotations

import pytest
from tests.server.kit import (
    FAR_MS,
    HookedQueue,
    drop,
    external,
    refuse,
    resolve,
    run_due,
    server,
    task,
    timer,
)
from tests.worker.kit import ADDRESS, LEASE_MS, Gate, World, activate, executes, garbage, pokes, start

from resonate_faas import Context, Resonate, _server
from resonate_faas._machine.objects import DELAY, TARGET, Message, Poke, PromiseState, TaskState
from resonate_faas._machine.requests import PromiseCreate, ScheduleCreate, TaskAcquire
from resonate_faas._ports import DUE_SHARDS
from resonate_faas._server import ServerSettings
from resonate_faas.testing import EPOCH_MS, MemoryQueue

SECOND = 1_000
MINUTE = 60_000
REACH_MS = 15 * MINUTE


def short(world: World) -> MemoryQueue:
    """Return a queue that reaches fifteen minutes ahead, as SQS does."""
    return MemoryQueue(world.clock, delay_max_ms=REACH_MS)


@pytest.mark.parametrize(("after_ms", "expected"), [(1, 1), (REACH_MS, 1), (REACH_MS + 1, 0), (10**9, 0)])
def test_a_timer_within_reach_gets_one_poke_at_its_instant(
    world: World, after_ms: int, expected: int
) -> None:
    """Without: a sleep would end at the next sweep, up to a minute late; or the queue would refuse the delay."""
    queue = short(world)
    owner = server(world, queue)
    owner.ask(timer("timer", EPOCH_MS + after_ms))
    assert pokes(queue.held(), "timer") == [EPOCH_MS + after_ms] * expected
    owner.ask(timer("timer", EPOCH_MS + after_ms))
    assert len(queue) == expected, "a second create adds none"


@pytest.mark.parametrize(("after_ms", "expected"), [(2 * MINUTE, 1), (2 * MINUTE + 1, 0)])
def test_a_deadline_gets_a_poke_only_if_the_sweep_could_miss_it(
    world: World, after_ms: int, expected: int
) -> None:
    """Without the bound: every call with a timeout would cost a message that finds it settled."""
    owner = server(world)
    owner.ask(external("promise", timeout_at=EPOCH_MS + after_ms))
    assert len(pokes(world.queue.held(), "promise")) == expected


def test_a_delayed_task_is_dispatched_at_its_instant_and_not_before(world: World) -> None:
    """Without: a delay would travel as a message's delay, and a second message would ignore it."""
    owner = server(world)
    tags = {TARGET: ADDRESS, DELAY: str(EPOCH_MS + 10 * MINUTE)}
    owner.ask(PromiseCreate(id="root", timeout_at=FAR_MS, tags=tags))
    assert executes(world.queue.held()) == []
    assert pokes(world.queue.held()) == [EPOCH_MS + 10 * MINUTE]
    owner.advance("root")
    assert executes(world.queue.held()) == []
    world.clock.advance(10 * MINUTE)
    run_due(world, owner)
    assert executes(world.queue.held()) == [0]


def test_beyond_the_reach_of_the_queue_the_sweep_wakes_at_the_instant_all_the_same(world: World) -> None:
    """Without: a sleep of a day would never end, or end a minute late."""
    queue = short(world)
    owner = server(world, queue)
    instant = EPOCH_MS + 25 * MINUTE + 17 * SECOND
    owner.ask(timer("timer", instant))
    while world.clock.now_ms() + MINUTE <= instant:
        assert len(queue) == 0
        world.clock.advance(MINUTE)
        owner.sweep()
    assert pokes(queue.held(), "timer") == [instant]
    world.clock.advance_to(instant)
    for message in queue.pop_due(instant):
        assert isinstance(message, Poke)
        owner.advance(message.id, not_before_ms=message.not_before)
    assert world.get("timer").promise.state is PromiseState.RESOLVED


def test_an_early_poke_is_sent_again_and_a_late_or_doubled_one_changes_nothing(world: World) -> None:
    """Without: a queue that delivers early would use up the wake."""
    owner = server(world)
    instant = EPOCH_MS + 30 * SECOND
    owner.ask(timer("timer", instant))
    drop(world)
    owner.advance("timer", not_before_ms=instant)
    (again,) = pokes(world.queue.held(), "timer")
    assert instant <= again <= instant + SECOND
    world.clock.advance(MINUTE)
    drop(world)
    owner.advance("timer", not_before_ms=instant)
    before = world.get("timer")
    assert before.promise.settled_at == instant
    world.clock.advance(MINUTE)
    for _ in range(3):
        owner.advance("timer", not_before_ms=instant)
    assert world.get("timer") == before
    assert len(world.queue) == 0


def test_doubled_pokes_do_not_multiply(world: World) -> None:
    """Without: each duplicate and each sweep would add a chain of pokes to a task that is held for long."""
    owner = server(world)
    owner.ask(task("root"))
    owner.ask(TaskAcquire(id="root", version=0, pid="p", ttl=LEASE_MS))
    drop(world)
    for _ in range(20):
        owner.advance("root", not_before_ms=world.clock.now_ms())
    assert pokes(world.queue.held()) == [EPOCH_MS + LEASE_MS]


def test_pokes_do_not_add_up_while_a_step_runs_for_an_hour(world: World) -> None:
    """Without: sixty sweeps would leave sixty pokes circling, and each hour sixty more."""
    resonate, gate = Resonate(), Gate()

    @resonate.register
    async def flow(ctx: Context) -> str:
        return await ctx.run(gate.__call__)

    node = world.node(resonate, fast_recovery=True)
    start(node, "flow")
    running = activate(node)
    gate.await_entered()
    delivered = 0
    for minute in range(60):
        node.server.sweep()
        for _ in range(6):
            world.clock.tick(10 * SECOND, sleepers=2)
            delivered += len(world.queue.held())
            run_due(world, node.server)
        assert len(world.queue) <= 6, f"after {minute} minutes"
    gate.opened.set()
    running.join()


def test_a_lease_that_is_extended_keeps_one_poke_on_its_way(world: World) -> None:
    """Without: fast recovery would cost a message for every heartbeat instead of one for every lease."""
    resonate, gate = Resonate(), Gate()

    @resonate.register
    async def flow(ctx: Context) -> str:
        return await ctx.run(gate.__call__)

    queue = HookedQueue(world.queue)
    world._queue = queue
    node = world.node(resonate, fast_recovery=True)
    start(node, "flow")
    running = activate(node)
    gate.await_entered()
    for _ in range(300):
        world.clock.tick(SECOND, sleepers=2)
        run_due(world, node.server)
        assert len([at for at in pokes(world.queue.held()) if at > world.clock.now_ms()]) <= 2
    assert 300 // 30 <= len(pokes(queue.sent)) <= 300 // 15 + 3
    assert len(world.store.extensions()) > 15
    gate.opened.set()
    running.join()


@pytest.mark.parametrize("fast", [True, False])
def test_fast_recovery_repairs_a_crash_at_the_end_of_the_lease_without_a_sweep(
    world: World, *, fast: bool
) -> None:
    """Without: who asks for it would wait for the sweep all the same; who does not would pay for it."""
    owner = server(world, settings=ServerSettings(fast_recovery=fast))
    owner.ask(task("root"))
    drop(world)
    owner.ask(TaskAcquire(id="root", version=0, pid="p", ttl=LEASE_MS))
    assert pokes(world.queue.held()) == [EPOCH_MS + LEASE_MS] * fast
    world.clock.advance(LEASE_MS)
    if not fast:
        owner.sweep()
    run_due(world, owner)
    assert world.task().state is TaskState.PENDING
    assert executes(world.queue.held()) == [1]


def test_a_poke_runs_the_lease_timeout_before_the_dispatch(world: World) -> None:
    """Without: a crash would take two messages to repair."""
    owner = server(world)
    owner.ask(task("root"))
    owner.ask(TaskAcquire(id="root", version=0, pid="p", ttl=LEASE_MS))
    drop(world)
    world.clock.advance(LEASE_MS)
    owner.advance("root")
    assert executes(world.queue.held()) == [1]


def test_the_sweep_pokes_everything_due_before_the_next_one_and_nothing_else(world: World) -> None:
    owner = server(world)
    for number in range(50):
        owner.ask(timer(f"timer-{number}", EPOCH_MS + number * 2 * SECOND + 1))
    drop(world)
    done = owner.sweep()
    assert (done.pokes, done.failures, done.complete) == (30, 0, True)
    assert {message.id for message in world.queue.held()} == {f"timer-{number}" for number in range(30)}  # type: ignore[union-attr]


def test_a_sweep_that_is_cut_short_goes_on_at_another_shard(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without: with more due than a sweep can do, the last shards would never be served."""
    monkeypatch.setattr(_server, "SWEEP_CHUNK", 1)
    queue = HookedQueue(world.queue)
    owner = server(world, queue)
    for number in range(200):
        owner.ask(timer(f"timer-{number}", EPOCH_MS + 100 * MINUTE))
    queue.sent.clear()
    world.clock.advance(100 * MINUTE)
    queue.on_send = lambda _: world.clock.advance(SECOND)
    sweeps = [owner.sweep(until_mono_ms=world.clock.monotonic_ms() + 20 * SECOND) for _ in range(DUE_SHARDS)]
    assert not any(done.complete for done in sweeps)
    assert all(done.pokes == 20 for done in sweeps)
    poked = {message.id for message in queue.sent if isinstance(message, Poke)}
    assert len(poked) == 200, "every shard had its turn"


def test_a_sweep_counts_what_the_queue_refused(world: World) -> None:
    queue = HookedQueue(world.queue)
    owner = server(world, queue)
    owner.ask(timer("timer", EPOCH_MS + SECOND))
    queue.on_send = refuse
    done = owner.sweep()
    assert (done.pokes, done.failures) == (0, 1)


def test_a_sweep_says_when_a_shard_held_more_than_it_took(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without: a backlog would look like a finished sweep."""
    monkeypatch.setattr("resonate_faas._server.SWEEP_MAX", 2)
    owner = server(world)
    for number in range(100):
        owner.ask(timer(f"timer-{number}", EPOCH_MS + SECOND))
    assert owner.sweep().complete is False


def test_a_settled_promise_wakes_nobody(world: World) -> None:
    owner = server(world)
    owner.ask(timer("timer", EPOCH_MS + SECOND))
    owner.ask(resolve("timer"))
    drop(world)
    world.clock.advance(MINUTE)
    run_due(world, owner)
    owner.sweep()
    assert len(world.queue) == 0


def test_a_schedule_gets_a_poke_when_its_next_run_is_near(world: World) -> None:
    owner = server(world)
    tags = {TARGET: ADDRESS}
    schedule = ScheduleCreate(
        id="s",
        cron="* * * * *",
        promise_id="s-{{.timestamp}}",
        promise_timeout=MINUTE,
        next_run_at=0,
        promise_tags=tags,
    )
    created = owner.create_schedule(schedule).reply.schedule
    assert created is not None
    held: list[Message] = world.queue.held()
    assert held == [Poke(id="\x1fschedule:s", not_before=created.next_run_at)]


def test_an_undecodable_root_is_dispatched_like_any_other(world: World) -> None:
    owner = server(world)
    owner.ask(garbage())
    assert executes(world.queue.held()) == [0]
