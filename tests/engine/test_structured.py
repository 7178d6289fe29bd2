"""Structured concurrency: nothing a function started outlives it, and what is dropped is dropped in one commit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.engine.stage import Stage, begun, note, staged

from resonate_faas import Context, PromiseCanceledError, StepContext
from resonate_faas._machine.objects import Object, PromiseObject, PromiseState, TaskState
from resonate_faas._worker import Ended

RESOLVED, CANCELED, PENDING = PromiseState.RESOLVED, PromiseState.CANCELED, PromiseState.PENDING


def settle(stage: Stage, promise_id: str, value: Any = "word") -> None:
    stage.outside.client.settle(promise_id, RESOLVED, value)
    stage.play(until_ms=stage.clock.now_ms() + 1_000)


def states(stage: Stage) -> dict[str, str]:
    return {key: record.promise.state.value for key, record in stage.records().items()}


def watch_writes(stage: Stage) -> list[set[str]]:
    """Return a list that fills with the settled promises of each write."""
    seen: list[set[str]] = []
    inner = stage.memory.write

    def write(
        expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
    ) -> Mapping[str, int]:
        records = {key: one for key, one in writes.items() if isinstance(one, PromiseObject)}
        seen.append({key for key, one in records.items() if one.promise.state is not PENDING})
        return inner(expected, writes, nonce)

    stage.memory.write = write  # type: ignore[method-assign]
    return seen


async def remote(ctx: Context) -> str:
    return await ctx.promise(str)


async def waits(ctx: Context) -> str:
    return await ctx.promise(str)


# ---- a plain return joins


async def leaves_children(ctx: Context) -> str:
    ctx.run(waits)
    ctx.rpc(remote)
    ctx.promise()
    return "returned"


def test_a_plain_return_waits_for_every_child() -> None:
    stage = begun(leaves_children, remote)
    for promise_id in ("root:3", "root:2r.1", "root:1.1"):
        assert stage.root().state is PENDING, promise_id
        settle(stage, promise_id)
    assert stage.outcome() == ("value", "returned")
    assert set(states(stage).values()) == {"resolved"}


async def leaves_a_failing_child(ctx: Context) -> str:
    async def fails(inner: Context) -> None:
        await inner.promise()
        raise ValueError("nobody asks")

    ctx.run(fails)
    return "returned"


def test_a_child_that_fails_and_is_never_awaited_is_joined_and_its_error_recorded_with_it() -> None:
    stage = begun(leaves_a_failing_child)
    assert stage.root().state is PENDING
    settle(stage, "root:1.1")
    assert stage.outcome() == ("value", "returned")
    assert states(stage)["root:1"] == "rejected"


async def grandchildren(ctx: Context) -> str:
    async def child(inner: Context) -> str:
        inner.run(waits)
        return "child"

    return await ctx.run(child)


def test_a_child_joins_its_own_children_before_its_parent_hears_of_it() -> None:
    stage = begun(grandchildren)
    assert states(stage)["root:1"] == "pending"
    settle(stage, "root:1.1.1")
    assert stage.outcome() == ("value", "child")


# ---- a race drops its losers


async def races(ctx: Context, cancel: bool) -> str:
    members = [ctx.promise(str), ctx.rpc(remote), ctx.run(waits), ctx.sleep(500)]
    return str(await ctx.race(*members, cancel=cancel))


def test_losers_are_cancelled_in_the_commit_that_records_the_winner() -> None:
    stage = begun(races, remote, args=[True])
    writes = watch_writes(stage)
    settle(stage, "root:1")
    assert {"root:5", "root:2r", "root:3", "root:3.1", "root:4"} in writes
    assert stage.outcome() == ("value", "word")
    assert {key for key, state in states(stage).items() if state == CANCELED} == {
        "root:2r",
        "root:3",
        "root:3.1",
        "root:4",
    }


def test_cancel_false_keeps_the_losers_and_the_return_joins_them() -> None:
    stage = begun(races, remote, args=[False])
    settle(stage, "root:1")
    assert stage.root().state is PENDING
    settle(stage, "root:2r.1")
    settle(stage, "root:3.1")
    stage.play()
    assert stage.outcome() == ("value", "word")
    assert CANCELED not in states(stage).values()


async def races_deep(ctx: Context) -> str:
    async def outer(inner: Context) -> str:
        await inner.gather(
            inner.run(waits), inner.rpc(remote), inner.map(waits_for, [1, 2, 3], concurrency=1)
        )
        return "outer"

    return str(await ctx.race(ctx.promise(str), ctx.run(outer)))


async def waits_for(ctx: Context, number: int) -> int:
    await ctx.promise()
    return number


def test_a_loser_takes_everything_it_started_with_it_and_starts_nothing_more() -> None:
    stage = begun(races_deep, remote)
    settle(stage, "root:1")
    stage.play()
    assert stage.outcome() == ("value", "word")
    assert sorted(key for key, state in states(stage).items() if state == CANCELED) == [
        "root:2",
        "root:2.1",
        "root:2.1.1",
        "root:2.2r",
        "root:2.3",
        "root:2.3.1",
    ]
    assert "root:2.4" not in states(stage)


@pytest.mark.parametrize("count", [150, 320])
def test_a_crash_between_the_commits_of_a_large_race_leaves_no_loser_behind(count: int) -> None:
    """The choice goes out with the first commit: the next activation drops the losers that are left."""
    for cut in (2, 3, 4):
        stage = begun(many, args=[count])
        stage.outside.client.settle("root:7", RESOLVED, "seven")
        stage.store.after[stage.store.writes + cut] = stage.store.die
        stage.play(until_ms=stage.clock.now_ms() + 200_000)
        assert stage.outcome() == ("value", "seven")
        found = states(stage)
        losers = {found[f"root:{number}"] for number in range(1, count + 1) if number != 7}
        assert losers == {"rejected_canceled"}, cut


async def many(ctx: Context, count: int) -> str:
    won = await ctx.race(*[ctx.promise(str) for _ in range(count)])
    await ctx.sleep(10)
    return won


# ---- a function that raises drops its children


async def raises(ctx: Context, at_once: bool) -> None:
    ctx.promise()
    ctx.rpc(remote)
    ctx.run(waits)
    if not at_once:
        await ctx.promise()
    raise ValueError("stop")


@pytest.mark.parametrize("at_once", [True, False])
def test_the_children_of_a_function_that_raises_are_cancelled_in_the_commit_of_its_error(
    at_once: bool,
) -> None:
    stage = staged(raises, remote)
    writes = watch_writes(stage)
    stage.start("raises", at_once)
    stage.play(until_ms=stage.clock.now_ms() + 1_000)
    if not at_once:
        settle(stage, "root:4")
    below = set() if at_once else {"root:3.1"}  # a child that never began has started nothing
    assert {"root", "root:1", "root:2r", "root:3", *below} in writes
    assert stage.outcome() == ("ValueError", "stop")
    assert {states(stage)[key] for key in ("root:1", "root:2r", "root:3", *below)} == {"rejected_canceled"}


async def child_raises(ctx: Context) -> str:
    async def child(inner: Context) -> None:
        inner.promise()
        inner.map(waits_for, [1, 2, 3], concurrency=1)
        await inner.promise()
        raise ValueError("stop")

    try:
        await ctx.run(child)
    except ValueError as error:
        return f"caught {error}"
    return "none"


def test_a_child_that_raises_drops_only_its_own_and_starts_nothing_more() -> None:
    stage = begun(child_raises)
    settle(stage, "root:1.5")
    stage.play()
    assert stage.outcome() == ("value", "caught stop")
    assert sorted(states(stage)) == ["root", "root:1", "root:1.1", "root:1.2", "root:1.2.1", "root:1.5"]


async def cancels_on_replay(ctx: Context) -> str:
    async def child(inner: Context) -> None:
        inner.rpc(remote)
        await inner.run(waits)

    below = ctx.run(child)
    await ctx.promise()
    below.cancel()
    await ctx.sleep(10)
    return "done"


def test_a_child_cancelled_before_its_replay_takes_what_it_started_with_it() -> None:
    """The cancelling frame is replayed first: what the child started is known from the record alone."""
    stage = begun(cancels_on_replay, remote)
    settle(stage, "root:2")
    stage.play()
    assert stage.outcome() == ("value", "done")
    found = states(stage)
    assert {found[key] for key in ("root:1", "root:1.1r", "root:1.2", "root:1.2.1")} == {"rejected_canceled"}


# ---- remote children


async def starts_remote(ctx: Context) -> str:
    child = ctx.rpc(works)
    await ctx.promise()
    child.cancel()
    try:
        await child
    except PromiseCanceledError as error:
        return f"cancelled {error.promise_id}"
    return "not cancelled"


async def works(ctx: Context) -> str:
    await ctx.run(note, "one")
    await ctx.promise()
    return await ctx.run(note, "two")


def test_a_cancelled_remote_child_is_never_activated_again() -> None:
    stage = begun(starts_remote, works)
    settle(stage, "root:2")
    assert stage.outcome() == ("value", "cancelled root:1r")
    before = stage.story()
    settle(stage, "root:1r.2")
    assert stage.outside.worker.activate("root:1r") is Ended.NOTHING
    del before["root:1r.2"]
    assert {key: record for key, record in stage.story().items() if key != "root:1r.2"} == before
    assert stage.ran == ["root:1r.1"]
    assert stage.object("root:1r").task.state is TaskState.FULFILLED  # type: ignore[union-attr]


def cancelled_meanwhile(step: StepContext) -> str:
    stage: Stage = step.get_dependency("stage")
    stage.outside.client.settle("root:1r", CANCELED)
    return "for nobody"


async def starts_doomed(ctx: Context) -> str:
    try:
        return await ctx.rpc(doomed)
    except PromiseCanceledError:
        return "cancelled"


async def doomed(ctx: Context) -> str:
    await ctx.run(cancelled_meanwhile)
    return await ctx.run(note, "never")


def test_a_remote_child_cancelled_while_it_runs_stops_quietly() -> None:
    stage = begun(starts_doomed, doomed)
    stage.play()
    assert Ended.LOST in stage.inside.ended
    assert stage.outcome() == ("value", "cancelled")
    assert not stage.ran
    assert "root:1r.1" not in stage.records()
