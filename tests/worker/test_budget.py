"""A root that outgrows its budget is warned of by name and cure, and past the limit is told so; deadlines hold."""

from __future__ import annotations

from typing import Any

import pytest
from tests.worker.kit import DAY_MS, LEASE_MS, Gate, World, activate, start

from resonate_faas import Context, LimitExceededError, PromiseTimeoutError, Resonate
from resonate_faas._machine.objects import PromiseState, TaskState
from resonate_faas._worker import Ended, WorkerSettings
from resonate_faas.testing import EPOCH_MS
from resonate_faas.testing._deployment import InlineRunner

QUIET = WorkerSettings(lease_ms=LEASE_MS, heartbeats=False)


def budget_warnings(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(record) for record in caplog.records if record.message == "replay budget"]


def loop(steps: int) -> Resonate:
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> int:
        for number in range(steps):
            await ctx.run(abs, number)
        return steps

    return resonate


@pytest.mark.parametrize(("steps", "warned"), [(10, False), (11, True), (19, True)])
def test_more_than_half_of_the_promise_limit_is_warned_of_once(
    world: World, caplog: pytest.LogCaptureFixture, steps: int, *, warned: bool
) -> None:
    """Without: the first that anyone hears of a loop that grows for ever is its failure."""
    node = world.node(loop(steps), promises_max=20, worker=QUIET, runner=lambda: InlineRunner({}))
    start(node, "flow")
    assert node.worker.activate("root") is Ended.DONE
    told = budget_warnings(caplog)
    assert len(told) == warned
    for fields in told:
        assert (fields["promise_id"], fields["promises"], fields["promises_max"]) == ("root", 11, 20)
        assert "ctx.detached" in fields["cure"]


def test_past_the_promise_limit_the_call_is_an_error_that_names_root_and_cure(world: World) -> None:
    """Without: replay would grow beyond what an activation can do, silently."""
    node = world.node(loop(21), promises_max=20, worker=QUIET, runner=lambda: InlineRunner({}))
    start(node, "flow")
    assert node.worker.activate("root") is Ended.DONE
    with pytest.raises(LimitExceededError, match=r"'root'.*limited to 20.*ctx\.detached"):
        node.client.result(world.get().promise)
    assert len(world.history()) == 20


@pytest.mark.parametrize(("replay_ms", "warned"), [(15_000, False), (15_001, True)])
def test_a_replay_longer_than_half_the_lease_is_warned_of(
    world: World, caplog: pytest.LogCaptureFixture, replay_ms: int, *, warned: bool
) -> None:
    """Without: leases would suddenly be lost at a length nobody saw coming."""
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> int:
        world.clock.advance(replay_ms)
        return await ctx.run(abs, 1)

    node = world.node(resonate, worker=QUIET, runner=lambda: InlineRunner({}))
    start(node, "flow")
    assert node.worker.activate("root") is Ended.DONE
    told = budget_warnings(caplog)
    assert len(told) == warned
    for fields in told:
        assert (fields["promise_id"], fields["replay_ms"], fields["lease_ms"]) == (
            "root",
            replay_ms,
            LEASE_MS,
        )


def test_the_time_of_steps_is_no_replay_time(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Without: every slow step would be reported as a history that is too long."""
    resonate = Resonate()

    def work() -> None:
        world.clock.advance(20_000)

    @resonate.register
    async def flow(ctx: Context) -> None:
        await ctx.run(work)

    node = world.node(resonate, worker=QUIET, runner=lambda: InlineRunner({}))
    start(node, "flow")
    assert node.worker.activate("root") is Ended.DONE
    assert budget_warnings(caplog) == []


@pytest.mark.parametrize("where", ["workflow", "step"])
def test_the_roots_deadline_passing_during_an_activation_wins(world: World, where: str) -> None:
    """Without: a result would be recorded that a reader was already told had timed out."""
    resonate = Resonate()

    def pass_time() -> str:
        world.clock.advance(10_000)
        return "late"

    @resonate.register
    async def flow(ctx: Context) -> str:
        return pass_time() if where == "workflow" else await ctx.run(pass_time)

    node = world.node(resonate, worker=QUIET, runner=lambda: InlineRunner({}))
    start(node, "flow", timeout=10)
    assert node.worker.activate("root") is Ended.LOST
    found = node.client.get("root")
    assert found is not None
    assert (found.promise.state, found.promise.settled_at) == (PromiseState.TIMEDOUT, EPOCH_MS + 10_000)
    assert world.task().state is TaskState.FULFILLED
    assert world.history() == {}
    with pytest.raises(PromiseTimeoutError):
        node.client.result(found.promise)
    world.settle(node, until_ms=EPOCH_MS + DAY_MS, sweep=True)
    assert world.task().version == 1, "a dead task is not run again"


def test_a_long_step_of_a_dead_root_is_ended_by_the_heartbeat(world: World) -> None:
    """Without: a step would run to its end for a workflow that has long timed out."""
    resonate, gate = Resonate(), Gate()

    @resonate.register
    async def flow(ctx: Context) -> str:
        return await ctx.run(gate.__call__)

    node = world.node(resonate)
    start(node, "flow", timeout=12)
    running = activate(node)
    gate.await_entered()
    for _ in range(15):
        world.clock.tick(1_000, sleepers=2)
    world.clock.advance(2_000)
    assert running.join() is Ended.LOST
    gate.opened.set()
    assert world.get().promise.state is PromiseState.PENDING, "stored by whoever reads or sweeps it next"
    node.server.advance("root")
    assert world.get().promise.state is PromiseState.TIMEDOUT


def test_what_a_replay_took_is_on_record_once_the_task_waits(world: World) -> None:
    """Without: who asks why a task waits can't see how near its replay is to the lease."""
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> None:
        world.clock.advance(400)
        await ctx.sleep(DAY_MS / 1_000)

    node = world.node(resonate, worker=QUIET, runner=lambda: InlineRunner({}))
    start(node, "flow")
    assert node.worker.activate("root") is Ended.SUSPENDED
    assert world.get().replay_ms == 400
