"""Error 1199: whoever lost the task records nothing more, whichever write tells it, and the delivery is done."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import pytest
from tests.worker.kit import (
    LEASE_MS,
    Gate,
    SteppedClock,
    World,
    activate,
    executes,
    pokes,
    start,
)

from resonate_faas import Context, Invocation, Resonate
from resonate_faas._machine.objects import Execute, Object, PromiseObject, PromiseState, TaskState
from resonate_faas._machine.requests import TaskHalt
from resonate_faas._node import Node
from resonate_faas._worker import Ended
from resonate_faas.testing import EPOCH_MS
from resonate_faas.testing._deployment import InlineRunner


def thief(world: World, resonate: Resonate) -> Node:
    """Return a node whose wall clock is a minute ahead: to it, every lease of the others has run out.

    So a stalled process looks to the rest: it believes in its lease, another activation took the task.
    """
    clock = SteppedClock(EPOCH_MS)
    clock.shift(2 * LEASE_MS)
    return world.node(resonate, clock=clock, runner=lambda: InlineRunner({}))


class Theft:
    """Runs once, at the place in a workflow or write where it is called: another activation takes the task."""

    def __init__(self) -> None:
        self.by: Callable[[], object] | None = None

    def __call__(self) -> None:
        by, self.by = self.by, None
        if by is not None:
            by()


def flows(theft: Theft, calls: list[str]) -> Resonate:
    """Return workflows in which the task is stolen right before the write that their name tells."""
    resonate = Resonate()

    def step(name: str) -> str:
        calls.append(name)
        return name

    @resonate.register
    async def commit(ctx: Context) -> str:
        theft()
        return await ctx.run(step, "one")

    @resonate.register
    async def create(ctx: Context) -> str:
        theft()
        return await ctx.promise(str)

    @resonate.register
    async def fulfil(ctx: Context) -> str:
        await ctx.run(step, "one")
        theft()
        return "one"

    @resonate.register
    async def suspend(ctx: Context) -> str:
        first, second = ctx.promise(str), ctx.promise(str)
        await first
        theft()
        return await second

    return resonate


@pytest.mark.parametrize("function", ["commit", "create", "fulfil"])
def test_the_loser_of_the_lease_records_nothing(
    world: World, function: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the fence: two activations would both record, and one workflow would see two histories."""
    theft, calls = Theft(), list[str]()
    resonate = flows(theft, calls)
    node, other = world.node(resonate), thief(world, resonate)
    start(node, function)
    winner: list[Ended] = []
    theft.by = lambda: winner.append(other.worker.activate("root"))
    caplog.set_level(logging.WARNING, "resonate_faas.worker")
    (message,) = [one for one in world.take() if isinstance(one, Execute)]
    assert node.deliver(message) is Ended.LOST, "the delivery is acknowledged: nothing is raised"
    assert world.task().version == 2
    (record,) = [vars(one) for one in caplog.records if one.message == "task not acquired"]
    assert (record["code"], record["version"], record["lease_ms"]) == ("1199", 1, LEASE_MS)
    if function == "create":
        assert winner == [Ended.SUSPENDED]
        assert [promise.state for promise in world.history().values()] == [PromiseState.PENDING]
    else:
        assert winner == [Ended.DONE]
        assert node.client.result(world.get().promise) == "one"
        assert len(world.history()) == 1


def test_a_suspend_of_the_loser_is_refused_and_takes_no_wake_from_the_winner(world: World) -> None:
    """Without: the loser would put the task to sleep under the winner's hands."""
    theft, calls = Theft(), list[str]()
    resonate = flows(theft, calls)
    node, other = world.node(resonate), thief(world, resonate)
    start(node, "suspend")
    assert node.worker.activate("root") is Ended.SUSPENDED
    node.client.settle("root:1", PromiseState.RESOLVED, "a")
    session = other.worker.open_session("root", "the winner")
    theft.by = session.acquire
    assert node.worker.activate("root") is Ended.LOST
    task = world.task()
    assert (task.state, task.pid, task.version) == (TaskState.ACQUIRED, "the winner", 3)


@pytest.mark.parametrize("how", ["stolen", "halted"])
def test_a_refused_heartbeat_ends_a_running_step(world: World, how: str) -> None:
    """Without: a long step would go on for its whole length beside the next holder's."""
    resonate, gate = Resonate(), Gate()

    @resonate.register
    async def flow(ctx: Context) -> str:
        return await ctx.run(gate.__call__)

    node, other = world.node(resonate), thief(world, resonate)
    start(node, "flow")
    running = activate(node)
    gate.await_entered()
    world.clock.await_sleepers(2)
    if how == "stolen":
        assert other.worker.open_session("root", "the winner").acquire() is not None
    else:
        assert other.server.ask(TaskHalt(id="root")).reply.ok
    before = world.get()
    for _ in range(9):
        world.clock.tick(1_000, sleepers=2)
    world.clock.advance(LEASE_MS // 2)
    assert running.join() is Ended.LOST
    gate.opened.set()
    assert world.get() == before
    assert world.history() == {}


def test_one_of_two_claims_at_once_gets_the_task_and_the_other_sends_one_poke(world: World) -> None:
    """Without: both would run the workflow, or a crash of the winner would wait for the next sweep."""
    resonate, gate = Resonate(), Gate()

    @resonate.register
    async def flow(ctx: Context) -> str:
        return await ctx.run(gate.__call__)

    node, other = world.node(resonate), world.node(resonate)
    start(node, "flow")
    world.take()

    def race_for_it() -> None:
        world.store.on_history = lambda: None
        assert other.worker.open_session("root", "the winner").acquire() is not None

    world.store.on_history = race_for_it
    assert node.worker.activate("root") is Ended.NOTHING
    assert world.task().pid == "the winner"
    assert pokes(world.queue.held())[-1:] == [EPOCH_MS + LEASE_MS]
    assert executes(world.queue.held()) == []


def test_a_claim_that_met_another_activation_replays_what_that_one_recorded(world: World) -> None:
    """Without: the history read before the claim is replayed, and recorded steps are run again."""
    resonate, calls = Resonate(), list[str]()

    def step(name: str) -> str:
        calls.append(name)
        return name

    @resonate.register
    async def flow(ctx: Context) -> list[str]:
        return [await ctx.run(step, name) for name in ("one", "two", "three")]

    node = world.node(resonate)
    start(node, "flow")

    def other_activation() -> None:
        """Another process runs two steps, then hands the task back, all between our read and our claim."""
        world.store.on_history = lambda: None
        other = world.node(resonate)
        world.store.before_write = lambda _: other.worker.stop() if calls == ["one", "two"] else None
        assert other.worker.activate("root") is Ended.RELEASED
        world.store.before_write = lambda _: None

    world.store.on_history = other_activation
    assert node.worker.activate("root") is Ended.DONE
    assert calls == ["one", "two", "three"]


@pytest.mark.parametrize("number", range(1, 7))
def test_an_activation_overtaken_at_any_write_leaves_one_history(world: World, number: int) -> None:
    """Without the fence on every single write: a mix of two runs' results would be on record."""
    resonate, calls = Resonate(), list[str]()
    who = ["first"]

    def step(name: str) -> str:
        calls.append(f"{name} by {who[-1]}")
        return calls[-1]

    @resonate.register
    async def flow(ctx: Context) -> list[str]:
        first = await ctx.run(step, "one")
        both = await ctx.gather(ctx.run(step, "two"), ctx.run(step, "three"))
        return [first, *both, await ctx.run(step, "four")]

    node, other = world.node(resonate, runner=lambda: InlineRunner({})), thief(world, resonate)
    start(node, "flow")
    world.store.written.clear()
    writes, overtaken = [0], list[Ended]()

    def overtake(changed: Mapping[str, Object | None]) -> None:
        del changed
        if who[-1] == "second":
            return
        writes[0] += 1
        if writes[0] == number:
            who.append("second")
            overtaken.append(other.worker.activate("root"))
            who.append("first again")

    world.store.before_write = overtake
    ended = node.worker.activate("root")
    result = node.client.result(world.get().promise)
    records = [node.client.result(promise) for promise in world.history().values()]
    assert result == records
    if not overtaken:
        assert ended is Ended.DONE
        return
    assert overtaken == [Ended.DONE]
    assert ended is (Ended.NOTHING if number == 1 else Ended.LOST)
    assert not any("first again" in text for text in result)
    kept = [text for text in result if "by first" in text]
    assert result == [*kept, *[text for text in result if "by second" in text]], (
        "one prefix, then the winner's"
    )
    settles = [key for writes_ in world.store.written for key in writes_ if key != "root"]
    assert sorted(settles) == sorted(set(settles)), "no record was written twice"


@pytest.mark.parametrize("number", range(2, 7))
def test_an_activation_overtaken_by_one_that_still_runs_records_nothing_more(
    world: World, number: int
) -> None:
    """Without the version in the fence: the loser's writes would pass under the winner's lease."""
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> int:
        first = await ctx.run(abs, -1)
        both = await ctx.gather(ctx.run(abs, -2), ctx.run(abs, -3))
        total: int = first + sum(both) + await ctx.run(abs, -4)
        return total

    node, other = world.node(resonate, runner=lambda: InlineRunner({})), thief(world, resonate)
    start(node, "flow")
    writes = [0]
    at_theft: list[tuple[object, object]] = []

    def overtake(changed: Mapping[str, Object | None]) -> None:
        del changed
        writes[0] += 1
        if writes[0] == number:
            assert other.worker.open_session("root", "the winner").acquire() is not None
            at_theft.append((world.get(), world.history()))

    world.store.before_write = overtake
    ended = node.worker.activate("root")
    if at_theft:
        assert ended is Ended.LOST
        assert [(world.get(), world.history())] == at_theft
    else:
        assert ended is Ended.DONE


def test_an_id_in_use_by_a_settled_execution_is_not_run_again(world: World) -> None:
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> str:
        return await ctx.run(str, "done")

    node = world.node(resonate)
    start(node, "flow")
    message = next(one for one in world.take() if isinstance(one, Execute))
    assert node.deliver(message) is Ended.DONE
    assert node.deliver(message) is Ended.NOTHING
    node.client.invoke(Invocation(function="flow", id="root"))
    assert executes(world.take()) == []
    assert isinstance(world.get(), PromiseObject)
