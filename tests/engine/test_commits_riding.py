"""Creates that ride: what runs for long becomes visible with the next commit, at the instants of its call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from threading import Event, Thread
from typing import Any

import pytest
from tests.engine.meter import CountingQueue
from tests.engine.stage import begun

from resonate_faas import Constant, Context, Resonate, StepContext
from resonate_faas._machine.objects import Object, PromiseObject, PromiseState
from resonate_faas._runner import EventLoop, ThreadRunner
from resonate_faas._worker import WorkerSettings
from resonate_faas.testing import EPOCH_MS, FakeClock, MemoryStore, WrappedStore
from resonate_faas.testing._deployment import MemoryDeployment

BOUND_S = 20.0


def tick(step: StepContext) -> None:
    """Take three seconds."""
    step.get_dependency("stage").clock.advance(3_000)


async def later(ctx: Context) -> None:
    await ctx.run(tick)
    await ctx.promise()


async def with_a_child(ctx: Context) -> None:
    child = ctx.options(timeout=100).run(later)
    await ctx.run(tick)
    await child


def test_a_workflow_is_created_with_the_first_commit_of_any_kind_at_the_instant_of_its_call() -> None:
    stage = begun(with_a_child, within_ms=10_000)
    child = stage.object("root:1").promise
    assert child.state is PromiseState.PENDING
    assert (child.created_at, child.timeout_at) == (EPOCH_MS, EPOCH_MS + 100_000)
    step = stage.object("root:2").promise
    assert step.created_at == EPOCH_MS
    assert (step.settled_at or 0) > EPOCH_MS
    below = stage.object("root:1.2").promise
    assert below.timeout_at == child.timeout_at  # no child outlives its caller


def fails(step: StepContext) -> str:
    if step.info.attempt < 3:
        raise ValueError
    return str(step.info.timeout_at - EPOCH_MS)


async def tries(ctx: Context) -> str:
    return await ctx.options(timeout=100, retry=Constant(delay=30)).run(fails)


def test_a_call_on_record_keeps_its_deadline_in_every_later_activation() -> None:
    """Else each replay would grant the step its whole timeout anew, and it would never end."""
    stage = begun(tries, within_ms=200_000)
    assert stage.object("root").task.version == 3  # type: ignore[union-attr]
    assert stage.outcome() == ("value", "100000")
    assert stage.object("root:1").promise.timeout_at == EPOCH_MS + 100_000


# ---- with threads: calls that are running while other things are committed


class ReleasingStore(WrappedStore):
    """Sets the event of a promise when it is written."""

    def __init__(self, events: dict[str, Event]) -> None:
        super().__init__(MemoryStore(pause=lambda _: None), pause=lambda _: None)
        self.events = events

    def write(
        self, expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
    ) -> Mapping[str, int]:
        revisions = super().write(expected, writes, nonce)
        for promise_id in writes:
            if promise_id in self.events:
                self.events[promise_id].set()
        return revisions


class Threads:
    """A deployment whose steps run in threads; the clock stands still unless told."""

    def __init__(self, *functions: Any, lease_ms: int = 30_000) -> None:
        self.resonate = resonate = Resonate()
        for function in functions:
            resonate.register(function)
        self.clock = FakeClock()
        self.events: dict[str, Event] = {}
        self.store = ReleasingStore(self.events)
        self.loop = EventLoop()
        self.deployment = MemoryDeployment(
            resonate,
            store=self.store,
            clock=self.clock,
            queue=CountingQueue(self.clock),
            worker=WorkerSettings(heartbeats=False, lease_ms=lease_ms),
            runner=lambda: ThreadRunner(self.loop, resonate.dependencies),
        )

    def run(self, function: str) -> None:
        """Start the execution and run one activation, in this thread."""
        self.deployment.start(function)
        self.deployment.node.worker.activate("root")
        self.loop.close()

    def promise(self, promise_id: str) -> PromiseObject:
        found = self.store.read((promise_id,))[promise_id].object
        assert isinstance(found, PromiseObject)
        return found

    def advance_when_waiting(self, *steps_ms: int) -> Thread:
        """Let time pass each time the driver waits in the clock."""

        def move() -> None:
            for step_ms in steps_ms:
                self.clock.await_waiters(1)
                self.clock.advance(step_ms)

        return self.beside(move)

    def beside(self, act: Callable[[], None]) -> Thread:
        """Run something in a thread of its own."""
        thread = Thread(target=act, daemon=True)
        thread.start()
        return thread


@pytest.mark.parametrize("is_registered", [False, True])
def test_a_running_call_with_an_explicit_timeout_rides_with_anothers_outcome(is_registered: bool) -> None:
    visible, said = Event(), []

    def patient() -> str:
        assert visible.wait(BOUND_S)
        said.append(threads.promise("root:1").promise.state)
        return "patient"

    async def pair(ctx: Context) -> list[str]:
        slow = ctx.run(patient) if is_registered else ctx.options(timeout=500).run(patient)
        plain = ctx.run(lambda: "plain")
        return await ctx.gather(slow, plain)

    threads = Threads(pair)
    if is_registered:
        threads.resonate.register(timeout=timedelta(seconds=500))(patient)
    threads.events["root:1"] = visible
    threads.run("pair")
    assert said == [PromiseState.PENDING]
    promise = threads.promise("root:1").promise
    assert (promise.created_at, promise.timeout_at) == (EPOCH_MS, EPOCH_MS + 500_000)
    assert threads.promise("root").promise.state is PromiseState.RESOLVED


def test_a_call_that_runs_longer_than_a_heartbeat_period_becomes_visible() -> None:
    visible, said = Event(), []

    def patient() -> str:
        assert visible.wait(BOUND_S)
        said.append(threads.promise("root:1").promise.state)
        return "patient"

    async def alone(ctx: Context) -> str:
        return await ctx.run(patient)

    threads = Threads(alone)
    threads.events["root:1"] = visible
    thread = threads.advance_when_waiting(10_000)
    threads.run("alone")
    thread.join(BOUND_S)
    assert said == [PromiseState.PENDING]
    promise = threads.promise("root:1").promise
    assert (promise.created_at, promise.settled_at) == (EPOCH_MS, EPOCH_MS + 10_000)


def test_a_short_call_without_a_timeout_does_not_ride() -> None:
    """The canary: its create and its settlement are one write."""
    written, gate = Event(), Event()

    async def pair(ctx: Context) -> None:
        first = ctx.run(gate.wait, BOUND_S)
        second = ctx.run(lambda: "plain")
        await second
        assert not written.is_set()
        gate.set()
        await first

    threads = Threads(pair)
    threads.events["root:1"] = written
    threads.run("pair")
    assert threads.promise("root").promise.state is PromiseState.RESOLVED
