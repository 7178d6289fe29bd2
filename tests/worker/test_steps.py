"""Steps inside an activation: whatever they raise is an outcome of theirs, never the worker's end or a success."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest
from tests.worker.kit import JOIN_S, World, activate, start

from resonate_faas import ApplicationError, Context, Never, Resonate
from resonate_faas._machine.objects import PromiseState
from resonate_faas._worker import Ended, WorkerSettings
from resonate_faas.testing._deployment import InlineRunner


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()]
)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_base_exception_in_a_step_rejects_it_and_leaves_the_worker_alive(
    world: World, error: BaseException, kind: str
) -> None:
    """Without: ``sys.exit()`` in a library would end the worker, or be recorded as None."""
    resonate = Resonate()

    def leave() -> None:
        raise error

    async def leave_later() -> None:
        await asyncio.sleep(0)
        raise error

    @resonate.register
    async def flow(ctx: Context) -> str:
        try:
            await ctx.options(retry=Never()).run(leave if kind == "sync" else leave_later)
        except ApplicationError as caught:
            return caught.name
        return "a success"

    node = world.node(resonate)
    for promise_id in ("root", "again"):
        start(node, "flow", id=promise_id)
        assert activate(node, promise_id).join() is Ended.DONE
        assert node.client.result(world.get(promise_id).promise) == type(error).__name__
    assert world.get("root:1").promise.state is PromiseState.REJECTED


def test_a_base_exception_is_retried_like_any_failure(skipping: World) -> None:
    """Without: one stray ``sys.exit()`` would spend the step for good."""
    resonate, tries = Resonate(), list[int]()

    def leave() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise SystemExit
        return "stayed"

    @resonate.register
    async def flow(ctx: Context) -> str:
        return await ctx.run(leave)

    node = skipping.node(resonate, worker=WorkerSettings(heartbeats=False), runner=lambda: InlineRunner({}))
    start(node, "flow")
    skipping.settle(node)
    assert node.client.result(skipping.get().promise) == "stayed"
    assert len(tries) == 3


def test_sync_and_async_steps_run_side_by_side(world: World) -> None:
    """Without: one slow step would hold up the others of a gather."""
    resonate, met = Resonate(), threading.Barrier(3)

    def in_a_thread() -> int:
        return met.wait(JOIN_S)

    async def on_the_loop() -> int:
        return await asyncio.get_running_loop().run_in_executor(None, met.wait, JOIN_S)

    @resonate.register
    async def flow(ctx: Context) -> list[int]:
        return await ctx.gather(ctx.run(in_a_thread), ctx.run(in_a_thread), ctx.run(on_the_loop))

    node = world.node(resonate)
    start(node, "flow")
    assert activate(node).join() is Ended.DONE
    assert sorted(node.client.result(world.get().promise)) == [0, 1, 2]


def test_a_step_sees_the_context_variables_of_its_workflow_and_changes_none(world: World) -> None:
    """Without: a tracing library would lose its span in every step, or a step's would leak into the next."""
    resonate = Resonate()
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    def step() -> str:
        seen = variable.get()
        variable.set("by a step")
        return seen

    @resonate.register
    async def flow(ctx: Context) -> list[str]:
        variable.set("by the workflow")
        first = await ctx.run(step)
        return [first, await ctx.run(step), variable.get()]

    node = world.node(resonate)
    start(node, "flow")
    assert activate(node).join() is Ended.DONE
    assert node.client.result(world.get().promise) == ["by the workflow"] * 3
    assert variable.get() == "unset"


def test_the_loser_of_a_race_in_a_thread_is_abandoned_and_its_result_dropped(world: World) -> None:
    """Without: the activation would wait for a step whose result nobody wants."""
    resonate, release, left = Resonate(), threading.Event(), threading.Event()

    def slow() -> str:
        assert release.wait(JOIN_S)
        left.set()
        return "slow"

    @resonate.register
    async def flow(ctx: Context) -> str:
        return await ctx.race(ctx.run(slow), ctx.run(str, "quick"))

    node = world.node(resonate)
    start(node, "flow")
    assert activate(node).join() is Ended.DONE
    release.set()
    assert left.wait(JOIN_S)
    assert node.client.result(world.get().promise) == "quick"
    assert world.get("root:1").promise.state is PromiseState.CANCELED
