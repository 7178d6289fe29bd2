"""Steps that really run beside the driver: a loser that still runs, a sibling that waits far away. No sleeping."""

from __future__ import annotations

import asyncio
from threading import Event

from tests.engine.test_commits_riding import BOUND_S, Threads

from resonate_faas import Context, PromiseTimeoutError, StepContext
from resonate_faas._machine.objects import PromiseState, TaskState

LONG_LEASE_MS = 600_000


def test_a_timer_wins_while_the_step_it_races_with_still_runs() -> None:
    gate = Event()

    async def race(ctx: Context) -> int:
        won = ctx.race(ctx.run(gate.wait, BOUND_S), ctx.sleep(60))
        await won
        return won.winner

    threads = Threads(race, lease_ms=LONG_LEASE_MS)
    mover = threads.advance_when_waiting(60_000)
    threads.run("race")
    mover.join(BOUND_S)
    assert not gate.is_set()  # nobody waited for the step
    gate.set()
    assert threads.deployment.result() == 1
    assert threads.promise("root:1").promise.state is PromiseState.CANCELED
    assert threads.promise("root:3").promise.settled_at == threads.promise("root:1").promise.settled_at


def test_a_promise_that_settles_elsewhere_wins_while_the_step_still_runs() -> None:
    gate = Event()

    async def race(ctx: Context) -> int:
        won = ctx.race(ctx.run(gate.wait, BOUND_S), ctx.promise(int))
        await won
        return won.winner

    threads = Threads(race, lease_ms=LONG_LEASE_MS)
    created = threads.events["root:2"] = Event()

    def answer() -> None:
        assert created.wait(BOUND_S)
        threads.deployment.client.settle("root:2", PromiseState.RESOLVED, 7)
        threads.clock.await_waiters(1)
        threads.clock.advance(1_000)

    helper = threads.beside(answer)
    threads.run("race")
    helper.join(BOUND_S)
    gate.set()
    assert threads.deployment.result() == 1


def test_the_deadline_of_a_step_is_kept_while_it_runs() -> None:
    gate = Event()

    async def bounded(ctx: Context) -> str:
        try:
            await ctx.options(timeout=30).run(gate.wait, BOUND_S)
        except PromiseTimeoutError as error:
            return f"timeout of {error.promise_id}"
        return "in time"

    threads = Threads(bounded, lease_ms=LONG_LEASE_MS)
    mover = threads.advance_when_waiting(30_000)
    threads.run("bounded")
    mover.join(BOUND_S)
    gate.set()
    assert threads.deployment.result() == "timeout of root:1"


def test_a_child_that_waits_far_away_does_not_suspend_the_activation_while_a_sibling_step_runs() -> None:
    gate, done = Event(), []

    def slow(step: StepContext) -> str:
        assert gate.wait(BOUND_S)
        done.append(step.info.id)
        return "slow"

    async def child(ctx: Context) -> str:
        return await ctx.promise(str)

    async def parent(ctx: Context) -> list[str]:
        return await ctx.gather(ctx.run(child), ctx.run(slow))

    threads = Threads(parent, lease_ms=LONG_LEASE_MS)
    created = threads.events["root:1.1"] = Event()

    def watch() -> None:
        assert created.wait(BOUND_S)
        threads.clock.await_waiters(1)  # the driver waits for the step, it has not suspended
        task = threads.promise("root").task
        assert task is not None
        assert task.state is TaskState.ACQUIRED
        gate.set()

    helper = threads.beside(watch)
    threads.run("parent")
    helper.join(BOUND_S)
    assert done == ["root:2"]
    suspended = threads.promise("root").task
    assert suspended is not None
    assert suspended.state is TaskState.SUSPENDED
    assert threads.promise("root:1.1").promise.callbacks == ("root",)
    threads.deployment.client.settle("root:1.1", PromiseState.RESOLVED, "far")
    threads.deployment.node.worker.activate("root")
    assert threads.deployment.result() == ["far", "slow"]
    assert done == ["root:2"]


def test_an_async_step_that_loses_is_cancelled() -> None:
    cancelled, started = Event(), Event()

    async def endless() -> None:
        started.set()
        try:
            await forever()
        finally:
            cancelled.set()

    async def race(ctx: Context) -> int:
        won = ctx.race(ctx.run(endless), ctx.run(started.wait, BOUND_S))
        await won
        return won.winner

    threads = Threads(race)
    threads.run("race")
    assert cancelled.wait(BOUND_S)
    assert threads.deployment.result() == 1


async def forever() -> None:
    await asyncio.get_running_loop().create_future()
