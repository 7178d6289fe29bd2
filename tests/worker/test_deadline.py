"""Near the deadline of an activation, and at SIGTERM, the task is given back and goes on at once elsewhere."""

from __future__ import annotations

import asyncio
import threading

import pytest
from tests.worker.kit import JOIN_S, Gate, World, activate, executes, start

from resonate_faas import Context, Resonate
from resonate_faas._machine.objects import PromiseState, TaskState
from resonate_faas._worker import Ended, WorkerSettings
from resonate_faas.testing._deployment import InlineRunner

SECOND = 1_000


def counted(world: World, calls: list[int], *, cost_ms: int, steps: int) -> Resonate:
    """Return a workflow of steps that take their time on the world's clock."""
    resonate = Resonate()

    def work(number: int) -> None:
        calls.append(number)
        world.clock.advance(cost_ms)

    @resonate.register
    async def flow(ctx: Context) -> int:
        for number in range(steps):
            await ctx.run(work, number)
        return steps

    return resonate


def test_no_step_starts_near_the_deadline_and_the_task_goes_on_at_once(world: World) -> None:
    """Without: the platform would kill the function in the middle of a step, and the crash would cost a lease."""
    calls: list[int] = []
    resonate = counted(world, calls, cost_ms=10 * SECOND, steps=5)
    node = world.node(
        resonate,
        runner=lambda: InlineRunner({}),
        worker=WorkerSettings(lease_ms=120 * SECOND, heartbeats=False),
    )
    start(node, "flow")
    world.take()
    assert node.worker.activate("root", deadline_mono_ms=34 * SECOND) is Ended.RELEASED
    assert calls == [0, 1, 2], "at 30 s less than the margin of 5 s is left"
    assert world.get().reason == "the deadline of the activation was near; next: work"
    assert (world.task().state, world.get().not_before) == (TaskState.PENDING, 0)
    assert executes(world.take()) == [1], "dispatched in the same instant"
    assert node.worker.activate("root") is Ended.DONE
    assert calls == [0, 1, 2, 3, 4], "no recorded step ran again"


def test_a_released_task_comes_to_its_end_without_time_passing_between_activations(skipping: World) -> None:
    """Without: each activation would be followed by the five seconds of a re-dispatch."""
    calls: list[int] = []
    resonate = counted(skipping, calls, cost_ms=10 * SECOND, steps=12)
    node = skipping.node(
        resonate,
        runner=lambda: InlineRunner({}),
        worker=WorkerSettings(lease_ms=120 * SECOND, heartbeats=False),
    )
    start(node, "flow")
    skipping.settle(node, limit_ms=30 * SECOND)
    assert calls == list(range(12))
    assert skipping.ended == [Ended.RELEASED] * 3 + [Ended.DONE]
    promise = skipping.get().promise
    assert promise.settled_at is not None
    assert promise.settled_at - promise.created_at == 120 * SECOND


def test_a_step_running_into_the_deadline_is_abandoned_and_not_recorded(world: World) -> None:
    """Without: the function would be killed while it holds the lease; the next start would wait for its end."""
    resonate, gate = Resonate(), Gate()
    began, cancelled = threading.Event(), threading.Event()

    async def ask() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    @resonate.register
    async def flow(ctx: Context) -> None:
        await ctx.gather(ctx.run(ask), ctx.run(gate.__call__))

    node = world.node(resonate)
    start(node, "flow")
    world.take()
    running = activate(node, deadline_mono_ms=9 * SECOND)
    gate.await_entered()
    assert began.wait(JOIN_S)
    for _ in range(7):
        world.clock.tick(SECOND, sleepers=2)
    assert not running.ended
    world.clock.advance(SECOND)
    assert running.join() is Ended.RELEASED
    assert cancelled.wait(JOIN_S)
    gate.opened.set()
    assert gate.left.wait(JOIN_S)
    assert world.history() == {}
    assert executes(world.take()) == [1]
    assert world.get().reason == "the deadline of the activation was near; running: Gate.__call__, ask"


def test_a_running_step_may_end_within_the_margin_and_is_recorded(world: World) -> None:
    """Without: what runs beside a step that may not start any more would be thrown away and done twice."""
    resonate, gate, calls = Resonate(), Gate(), list[str]()

    def late() -> None:
        calls.append("late")

    @resonate.register
    async def branch(ctx: Context) -> None:
        await ctx.sleep(5)
        await ctx.run(late)

    @resonate.register
    async def flow(ctx: Context) -> None:
        await ctx.gather(ctx.run(branch), ctx.run(gate.__call__))

    node = world.node(resonate)
    start(node, "flow")
    running = activate(node, deadline_mono_ms=9 * SECOND)
    gate.await_entered()
    for _ in range(6):
        world.clock.tick(SECOND, sleepers=2)
    assert calls == [], "late was due at 5 s, with less than the margin left"
    gate.opened.set()
    assert running.join() is Ended.RELEASED
    assert world.history()["root:2"].state is PromiseState.RESOLVED
    assert world.get().reason == "the deadline of the activation was near"
    assert activate(node).join() is Ended.DONE
    assert calls == ["late"]
    assert gate.count == 1


@pytest.mark.parametrize("where", ["step", "sleep", "replay"])
def test_stopping_the_worker_releases_what_it_holds_at_once(world: World, where: str) -> None:
    """Without: after SIGTERM every task held would wait for the end of its lease."""
    resonate, gate = Resonate(), Gate()

    @resonate.register
    async def flow(ctx: Context) -> str:
        if where == "sleep":
            await ctx.sleep(1.5)
        if where == "replay":
            gate.entered.set()
            assert gate.opened.wait(JOIN_S)
            await ctx.run(abs, 1)
            return "through"
        return await ctx.run(gate.__call__)

    node = world.node(resonate)
    start(node, "flow")
    world.take()
    running = activate(node)
    if where != "sleep":
        gate.await_entered()
    if where != "replay":
        world.clock.await_sleepers(2)
    node.worker.stop()
    if where == "replay":
        gate.opened.set()
    assert running.join() is Ended.RELEASED
    assert world.clock.monotonic_ms() == 0, "nothing waited"
    assert executes(world.take()) == [1]
    assert (world.get().reason or "").startswith("the process was told to end")
    assert world.get().barren == 0, "a deploy is not the task's fault: ten of them must not halt it"
    assert node.worker.activate("root") is Ended.NOTHING, "a stopped worker begins nothing"
    assert world.task().state is TaskState.PENDING


def test_the_end_of_a_workflow_is_recorded_even_in_the_last_moment(world: World) -> None:
    """Without: a finished workflow would be released, replayed, and only then finished."""
    resonate = counted(world, [], cost_ms=30 * SECOND, steps=1)
    node = world.node(
        resonate,
        runner=lambda: InlineRunner({}),
        worker=WorkerSettings(lease_ms=120 * SECOND, heartbeats=False),
    )
    start(node, "flow")
    assert node.worker.activate("root", deadline_mono_ms=30 * SECOND) is Ended.DONE
