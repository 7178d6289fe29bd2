"""Settle, then drain, then send: what each failure in between leaves behind, and who repairs it."""

from __future__ import annotations

import itertools

import pytest
from tests.server.kit import FAR_MS, HookedQueue, external, refuse, resolve, run_due, server, suspended, task
from tests.worker.flows import RESULT, everything
from tests.worker.kit import ADDRESS, DAY_MS, LEASE_MS, Running, World, start

from resonate_faas import QueueError, StoreUnavailableError
from resonate_faas._embedded import EmbeddedSession
from resonate_faas._machine.objects import (
    TARGET,
    Execute,
    Message,
    PromiseObject,
    PromiseState,
    TaskState,
    Unblock,
)
from resonate_faas._machine.requests import Record, RegisterListener
from resonate_faas._node import Node
from resonate_faas._server import ServerSettings
from resonate_faas._worker import WorkerSettings
from resonate_faas.testing import EPOCH_MS, Disorder, MemoryQueue
from resonate_faas.testing._deployment import InlineRunner

MINUTE = 60_000


def test_the_drain_is_a_commit_of_its_own_in_chunks_of_24(world: World) -> None:
    """Without: a child could not end while its parent's item is hot, or a fan-in would exceed a transaction."""
    owner = server(world)
    owner.ask(external("shared"))
    ids = [f"waiter-{number}" for number in range(100)]
    for task_id in ids:
        suspended(owner, task_id, "shared")
    world.take()
    world.store.written.clear()
    owner.ask(resolve("shared"))
    sizes = [len(writes) for writes in world.store.written]
    assert sizes == [1, 25, 25, 25, 25, 5]
    assert all("shared" in writes for writes in world.store.written)
    executes = [message for message in world.take() if isinstance(message, Execute)]
    assert sorted(message.id for message in executes) == sorted(ids)
    assert all(world.task(task_id).resumes == ("shared",) for task_id in ids)


def test_a_settlement_stands_when_its_drain_fails_and_the_sweep_repairs_it(world: World) -> None:
    """Without: a store hiccup after the settlement would leave a workflow waiting for what has happened."""
    owner = server(world)
    owner.ask(external("shared"))
    suspended(owner, "waiter", "shared")
    world.take()
    world.store.written.clear()

    def fail_the_drain(writes: object) -> None:
        del writes
        if world.store.written:
            raise StoreUnavailableError("write", "as the test wants it")

    world.store.before_write = fail_the_drain
    assert owner.ask(resolve("shared")).reply.ok
    world.store.before_write = lambda _: None
    assert world.get("shared").promise.state is PromiseState.RESOLVED
    assert world.task("waiter").state is TaskState.SUSPENDED
    assert world.store.next_due() == EPOCH_MS, "the settled promise is due until it is drained"
    assert owner.sweep().pokes >= 1
    run_due(world, owner)
    assert world.task("waiter").state is TaskState.PENDING
    assert world.get("shared").promise.callbacks == ()


def test_a_lost_execute_is_sent_again_by_the_sweep(world: World) -> None:
    """Without: a queue that refuses one message would lose a workflow."""
    queue = HookedQueue(world.queue)
    owner = server(world, queue)
    queue.on_send = refuse
    assert owner.ask(task("root")).reply.ok
    assert len(world.queue) == 0
    queue.on_send = lambda _: None
    world.clock.advance(MINUTE)
    assert owner.sweep().failures == 0
    (message,) = run_due(world, owner) or world.take()
    assert message == Execute(id="root", version=0, target="local://default")


def test_of_tasks_sent_together_the_one_that_was_not_taken_is_left_to_the_sweep(world: World) -> None:
    """Without: a batch that failed in part would lose a child, or hold up its siblings."""
    queue = HookedQueue(world.queue)
    owner = server(world, queue)
    owner.ask(task("root"))
    session = EmbeddedSession(owner, "root", pid="pid", ttl_ms=LEASE_MS)
    assert session.acquire() is not None
    world.take()

    def refuse_one(message: Message) -> None:
        if isinstance(message, Execute) and message.id == "root:2r":
            refuse(message)

    queue.on_send = refuse_one
    now_ms = world.clock.now_ms()
    session.commit(
        [
            Record(id=f"root:{place}r", timeout_at=FAR_MS, created_at=now_ms, tags={TARGET: ADDRESS})
            for place in (1, 2, 3)
        ]
    )
    assert {one.id for one in world.take() if isinstance(one, Execute)} == {"root:1r", "root:3r"}
    queue.on_send = lambda _: None
    world.clock.advance(MINUTE)
    assert owner.sweep().failures == 0
    again = run_due(world, owner) or world.take()
    assert "root:2r" in {one.id for one in again if isinstance(one, Execute)}


class Unreliable:
    """Loses every poke that no sweep sends, and some of the rest."""

    def __init__(self, world: World, *, refused: float, seed: int) -> None:
        self._world = world
        self._inner = MemoryQueue(
            world.clock, delay_max_ms=30 * DAY_MS, disorder=Disorder(seed=seed, refuse=refused, shuffle=True)
        )
        self.sweeping = False

    @property
    def delay_max_ms(self) -> int:
        return self._inner.delay_max_ms

    def send(self, *messages: Message) -> list[QueueError]:
        return self._inner.send(
            *(message for message in messages if isinstance(message, Execute) or self.sweeping)
        )

    def pop_due(self) -> list[Message]:
        return self._inner.pop_due(self._world.clock.now_ms())


@pytest.mark.parametrize(("refused", "seed"), [(0.0, 0), (0.4, 1), (0.4, 2), (0.8, 3)])
def test_everything_ends_with_all_pokes_lost_and_sweeps_alone(
    skipping: World, refused: float, seed: int
) -> None:
    """Without the due index: a lost message would be a lost timer."""
    queue = Unreliable(skipping, refused=refused, seed=seed)
    node = Node(
        everything([]),
        skipping.store,
        queue,
        clock=skipping.clock,
        target="local://default",
        server=ServerSettings(),
        worker=WorkerSettings(heartbeats=False),
        runner=lambda: InlineRunner({}),
    )
    start(node, "flow")
    for _ in range(500):
        queue.sweeping = True
        node.server.sweep()
        queue.sweeping = False
        for _ in range(20):
            for message in queue.pop_due():
                node.deliver(message)
            skipping.clock.advance(MINUTE // 20)
        if skipping.store.next_due() is None:
            break
    assert node.client.result(skipping.get().promise) == RESULT
    assert skipping.store.next_due() is None
    node.worker.close()


def test_an_execute_is_sent_after_the_commit_that_dispatches_it(world: World) -> None:
    """Without: a worker could be told of a task before it exists, and throw the message away."""
    queue = HookedQueue(world.queue)
    owner = server(world, queue)
    seen: list[tuple[int, TaskState]] = []

    def look(message: Message) -> None:
        if isinstance(message, Execute):
            found = world.task(message.id)
            seen.append((found.version, found.state))
            assert found.version == message.version

    queue.on_send = look
    owner.ask(external("shared"))
    suspended(owner, "waiter", "shared")
    owner.ask(resolve("shared"))
    assert seen == [(0, TaskState.PENDING), (1, TaskState.PENDING)]


def test_an_unblock_is_sent_before_the_listener_is_forgotten_and_until_it_was_taken(world: World) -> None:
    """Without: a listener whose message was refused would never hear of the settlement: nothing sends it again."""
    queue = HookedQueue(world.queue)
    owner = server(world, queue)
    owner.ask(external("shared"))
    assert owner.ask(RegisterListener(awaited="shared", address="poll://any@a")).reply.ok
    assert owner.ask(RegisterListener(awaited="shared", address="poll://any@b")).reply.ok
    listening: list[tuple[str, ...]] = []

    def look(message: Message) -> None:
        if isinstance(message, Unblock):
            listening.append(world.get("shared").promise.listeners)
            if message.address.endswith("a") and len(listening) == 1:
                refuse(message)

    queue.on_send = look
    owner.ask(resolve("shared"))
    assert listening == [("poll://any@a", "poll://any@b")] * 2
    assert world.get("shared").promise.listeners == ("poll://any@a",)
    owner.sweep()
    run_due(world, owner)
    assert listening[-1] == ("poll://any@a",)
    assert world.get("shared").promise.listeners == ()
    told = [message.address for message in queue.sent if isinstance(message, Unblock)]
    assert told == ["poll://any@b", "poll://any@a"]
    assert world.store.next_due() is None


def test_an_unclaimed_task_is_dispatched_again_from_5_seconds_to_15_minutes_apart(world: World) -> None:
    """Without: a task nobody serves would be sent every five seconds for ever, and be paid for."""
    owner = server(world)
    owner.ask(task("root"))
    instants: list[int] = []
    while world.clock.now_ms() < EPOCH_MS + 3 * 60 * MINUTE:
        for _ in range(2):  # what a poke dispatches is due in the same instant
            instants += [world.clock.now_ms() for _ in run_due(world, owner)]
        if world.clock.now_ms() % MINUTE == EPOCH_MS % MINUTE:
            owner.sweep()
        world.clock.advance(1_000)
    gaps = [(after - before) // 1_000 for before, after in itertools.pairwise(instants)]
    back_off = [5, 10, 20, 40, 80, 160, 320, 640]
    assert len(gaps) > len(back_off)
    # the sweep repeats a dispatch that nobody took: at its back-off, or at most a sweep later
    for gap, least in zip(gaps, back_off + [900] * len(gaps), strict=False):
        assert least <= gap <= least + 61


def test_two_executes_of_one_task_in_one_instant_are_not_sent(world: World) -> None:
    owner = server(world)
    owner.ask(task("root"))
    owner.ask(task("root"))
    owner.advance("root")
    assert len([message for message in world.take() if isinstance(message, Execute)]) == 1


def test_a_waiter_in_this_process_wakes_at_once_on_settlement(world: World) -> None:
    """Without: every short workflow would seem to take a quarter of a second."""
    owner = server(world)
    owner.ask(external("shared"))
    waiting = Running(lambda: owner.wait("shared", 20_000))
    world.clock.await_sleepers(1)
    owner.ask(resolve("shared"))
    found = waiting.join()
    assert isinstance(found, PromiseObject)
    assert found.promise.state is PromiseState.RESOLVED
    assert world.clock.monotonic_ms() == 0


def test_a_waiter_sees_a_settlement_by_another_process_within_a_quarter_of_a_second(world: World) -> None:
    owner, other = server(world), server(world)
    owner.ask(external("shared"))
    waiting = Running(lambda: owner.wait("shared", 20_000))
    world.clock.await_sleepers(1)
    other.ask(resolve("shared"))
    world.clock.advance(250)
    found = waiting.join()
    assert found is not None
    assert found.promise.state is PromiseState.RESOLVED


def test_a_wait_ends_with_its_time_or_for_an_unknown_promise_at_once(world: World) -> None:
    owner = server(world)
    assert owner.wait("nobody", 20_000) is None
    owner.ask(external("shared"))
    waiting = Running(lambda: owner.wait("shared", 500))
    world.clock.tick(250, sleepers=1)
    world.clock.advance(250)
    found = waiting.join()
    assert found is not None
    assert found.promise.state is PromiseState.PENDING


def test_a_wait_over_a_deadline_stores_what_it_tells(world: World) -> None:
    """Without: a reader would be told of a settlement that a later settle could still overturn."""
    owner = server(world)
    owner.ask(external("shared", timeout_at=EPOCH_MS + 100))
    world.clock.advance(100)
    found = owner.wait("shared", 20_000)
    assert found is not None
    assert found.promise.state is PromiseState.TIMEDOUT
    assert world.get("shared").promise.state is PromiseState.TIMEDOUT


def test_a_dispatch_is_one_message(world: World) -> None:
    owner = server(world)
    owner.ask(task("root"))
    assert [type(message) for message in world.queue.held()] == [Execute]
