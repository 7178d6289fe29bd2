"""What a delivery comes to: short waits are waited out, long ones suspend, stale and early messages are done at once."""

from __future__ import annotations

import pytest
from tests.worker.kit import DAY_MS, LEASE_MS, Gate, World, activate, executes, garbage, pokes, start

from resonate_faas import Constant, Context, Resonate, StoreUnavailableError
from resonate_faas._engine.steps import Launch
from resonate_faas._machine.objects import Execute, Poke, PromiseState, TaskState
from resonate_faas._machine.requests import TaskHalt
from resonate_faas._node import Node
from resonate_faas._runner import Done
from resonate_faas._worker import Ended, WorkerSettings
from resonate_faas.testing import EPOCH_MS
from resonate_faas.testing._deployment import InlineRunner

QUIET = WorkerSettings(lease_ms=LEASE_MS, heartbeats=False)


def sleeper(seconds: float) -> Resonate:
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> str:
        await ctx.sleep(seconds)
        return "awake"

    return resonate


def quiet(world: World, resonate: Resonate) -> Node:
    return world.node(resonate, worker=QUIET, runner=lambda: InlineRunner({}))


@pytest.mark.parametrize("seconds", [0.0, 0.001, 2.0])
def test_a_tiny_sleep_is_waited_out_in_place_and_recorded_all_the_same(
    skipping: World, seconds: float
) -> None:
    """Without: every pause of a second would cost a suspension, a message and an activation."""
    node = quiet(skipping, sleeper(seconds))
    start(node, "flow")
    assert node.worker.activate("root") is Ended.DONE
    assert skipping.clock.monotonic_ms() == seconds * 1_000
    assert skipping.task().version == 1
    (timer,) = skipping.history().values()
    assert (timer.state, timer.timeout_at) == (PromiseState.RESOLVED, EPOCH_MS + seconds * 1_000)
    assert timer.is_timer


def test_a_longer_sleep_suspends_and_wakes_at_its_instant(skipping: World) -> None:
    """Without: a function would be paid for while it sleeps."""
    node = quiet(skipping, sleeper(2.001))
    start(node, "flow")
    assert node.worker.activate("root") is Ended.SUSPENDED
    assert skipping.clock.monotonic_ms() == 0
    skipping.settle(node)
    promise = skipping.get().promise
    assert promise.settled_at == EPOCH_MS + 2_001
    assert skipping.ended == [Ended.NOTHING, Ended.DONE], "the first delivery found it suspended"


def test_the_wait_before_a_short_retry_is_recorded_and_waited_out(skipping: World) -> None:
    """Without: a flaky step's retry in a second would cost an activation; or its attempt would be forgotten."""
    resonate, tries = Resonate(), list[int]()

    def flaky() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise ValueError("not yet")
        return "at last"

    @resonate.register
    async def flow(ctx: Context) -> str:
        return await ctx.options(retry=Constant(delay=1.0)).run(flaky)

    node = quiet(skipping, resonate)
    start(node, "flow")
    assert node.worker.activate("root") is Ended.DONE
    assert list(skipping.history()) == ["root:1", "root:1.a1", "root:1.a2"]
    assert skipping.clock.monotonic_ms() == 2_000


def test_attempts_survive_a_crash(skipping: World) -> None:
    """Without: a crash would give a step its retries back, for ever."""
    resonate, tries = Resonate(), list[int]()

    def failing() -> None:
        tries.append(1)
        raise ValueError("never")

    @resonate.register
    async def flow(ctx: Context) -> str:
        try:
            await ctx.options(retry=Constant(delay=10.0, max_retries=3)).run(failing)
        except ValueError:
            return "given up"
        return "fine"

    node = quiet(skipping, resonate)
    start(node, "flow")
    assert node.worker.activate("root") is Ended.SUSPENDED
    skipping.clock.advance(10_000)
    node.server.advance("root:1.a1")
    assert node.worker.open_session("root", "crashed").acquire() is not None
    skipping.clock.advance(LEASE_MS)
    skipping.settle(node, sweep=True, until_ms=EPOCH_MS + DAY_MS)
    assert node.client.result(skipping.get().promise) == "given up"
    assert len(tries) == 4


def test_a_delivery_while_another_holds_the_task_is_done_with_one_poke_for_the_lease_end(
    world: World,
) -> None:
    """Without: the message would come back again and again, and count towards the dead letters."""
    resonate, gate = Resonate(), Gate()

    @resonate.register
    async def flow(ctx: Context) -> str:
        return await ctx.run(gate.__call__)

    node, other = world.node(resonate), world.node(resonate)
    start(node, "flow")
    (message,) = [one for one in world.take() if isinstance(one, Execute)]
    running = activate(node)
    gate.await_entered()
    world.clock.await_sleepers(2)
    world.clock.advance(1_000)
    world.take()
    held = len(world.queue)
    writes = len(world.store.written)
    read: list[str] = []
    world.store.on_history = lambda: read.append("history")
    assert other.deliver(message) is Ended.NOTHING
    ahead = int(world.store.reads_at_once)  # the first page, beside the task
    assert len(read) <= ahead, "nobody reads ten thousand records to be told that it is not its turn"
    assert len(world.queue) == held + 1
    assert pokes(world.queue.held())[-1] == EPOCH_MS + LEASE_MS
    assert len(world.store.written) == writes, "nothing was written"
    gate.opened.set()
    assert running.join() is Ended.DONE
    assert gate.count == 1


@pytest.mark.parametrize("state", ["settled", "suspended", "halted", "unknown", "untargeted"])
def test_a_stale_delivery_is_acknowledged_and_changes_nothing(skipping: World, state: str) -> None:
    """Without: an old message would wake, or worse run, what is asleep, done or stopped on purpose."""
    resonate = sleeper(1.0 if state == "settled" else 100.0)
    node = quiet(skipping, resonate)
    task_id = "root" if state != "unknown" else "nobody"
    start(node, "flow")
    assert node.worker.activate("root") in {Ended.DONE, Ended.SUSPENDED}
    if state == "halted":
        assert node.server.ask(TaskHalt(id="root")).reply.ok
    if state == "untargeted":
        task_id = "root:1"
    before = skipping.get()
    skipping.take()
    assert node.deliver(Execute(id=task_id, version=1, target="anywhere")) is Ended.NOTHING
    assert skipping.get() == before
    assert executes(skipping.take()) == []


def test_a_delivery_that_finds_the_deadline_passed_stores_it_and_runs_nothing(skipping: World) -> None:
    node = quiet(skipping, sleeper(1.0))
    start(node, "flow", timeout=5)
    skipping.clock.advance(5_000)
    assert node.worker.activate("root") is Ended.NOTHING
    assert skipping.get().promise.state is PromiseState.TIMEDOUT
    assert skipping.task().state is TaskState.FULFILLED


def test_a_delivery_after_a_crash_takes_the_task_whose_lease_has_run_out(skipping: World) -> None:
    """Without: the message that finds an expired lease would be thrown away, and the sweep would have to do it all."""
    node = quiet(skipping, sleeper(1.0))
    start(node, "flow")
    assert node.worker.open_session("root", "crashed").acquire() is not None
    skipping.clock.advance(LEASE_MS - 1)
    message = Execute(id="root", version=0, target="anywhere")
    assert node.deliver(message) is Ended.NOTHING
    skipping.clock.advance(1)
    assert node.deliver(message) is Ended.DONE
    assert skipping.task().version == 2


def test_a_step_interrupted_by_a_crash_runs_again_and_recorded_ones_do_not(skipping: World) -> None:
    """Without: a SIGKILL would lose the workflow, or repeat what is on record."""
    resonate, calls = Resonate(), list[str]()

    class KilledError(BaseException):
        """Stands for SIGKILL: nothing of ours runs any more."""

    def step(name: str) -> str:
        calls.append(name)
        if calls == ["one", "two"]:
            raise KilledError
        return name

    class Killable(InlineRunner):
        def start(self, launch: Launch, done: Done) -> None:
            def tell(step_id: str, value: object, error: BaseException | None) -> None:
                if isinstance(error, KilledError):
                    skipping.store.before_write = kill
                    raise error
                done(step_id, value, error)

            super().start(launch, tell)

    def kill(_: object) -> None:
        raise KilledError

    @resonate.register
    async def flow(ctx: Context) -> list[str]:
        return [await ctx.run(step, name) for name in ("one", "two", "three")]

    node = skipping.node(resonate, worker=QUIET, runner=lambda: Killable({}))
    start(node, "flow")
    with pytest.raises(KilledError):
        node.worker.activate("root")
    skipping.store.before_write = lambda _: None
    assert skipping.task().state is TaskState.ACQUIRED, "it still holds the lease"
    skipping.settle(node, sweep=True, until_ms=EPOCH_MS + DAY_MS)
    assert calls == ["one", "two", "two", "three"]
    assert node.client.result(skipping.get().promise) == ["one", "two", "three"]
    promise = skipping.get().promise
    assert promise.settled_at is not None
    assert promise.settled_at - promise.created_at <= LEASE_MS + 60_000, "within lease and sweep interval"


def test_pokes_for_unknown_and_untargeted_promises_are_harmless(skipping: World) -> None:
    node = quiet(skipping, sleeper(1.0))
    node.server.ask(garbage("other"))
    for key in ("nobody", "\x1fschedule:nobody"):
        assert node.deliver(Poke(id=key, not_before=0)) is Ended.NOTHING


def test_of_two_timers_that_both_ran_out_the_earlier_one_wins_though_its_poke_was_lost(
    skipping: World,
) -> None:
    """Without: a replay would see only the later one settled, and record the wrong winner."""
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> int:
        race = ctx.race(ctx.sleep(10), ctx.sleep(20))
        await race
        return race.winner

    node = quiet(skipping, resonate)
    start(node, "flow")
    assert node.worker.activate("root") is Ended.SUSPENDED
    skipping.take()
    skipping.clock.advance(20_000)
    node.server.advance("root:2")
    assert skipping.get("root:1").promise.state is PromiseState.PENDING, "nobody has looked at it yet"
    assert node.worker.activate("root") is Ended.DONE
    assert node.client.result(skipping.get().promise) == 0
    assert skipping.get("root:1").promise.settled_at == EPOCH_MS + 10_000


def test_a_claim_whose_history_can_not_be_read_gives_the_task_back(skipping: World) -> None:
    """Without: the task would stay held, by nobody, for the length of the lease."""
    node = quiet(skipping, sleeper(1.0))
    start(node, "flow")
    other = node.worker.open_session("root", "crashed")
    assert other.acquire() is not None
    skipping.clock.advance(LEASE_MS)

    def fail() -> None:
        skipping.store.on_history = lambda: None
        raise StoreUnavailableError("read the history", "as the test wants it")

    skipping.store.on_history = fail
    with pytest.raises(StoreUnavailableError):
        node.worker.activate("root")
    assert skipping.task().state is TaskState.PENDING
    assert node.worker.activate("root") is Ended.DONE
