"""The stored answer is what the workflow sees, whatever was predicted; and nothing is told before it is stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.engine.stage import Crash, Stage, begun, note, staged

from resonate_faas import Context, PromiseCanceledError, PromiseTimeoutError, StepContext
from resonate_faas._machine.objects import Promise, PromiseObject, PromiseState

RESOLVED, REJECTED, CANCELED = PromiseState.RESOLVED, PromiseState.REJECTED, PromiseState.CANCELED


def settle(stage: Stage, promise_id: str, state: PromiseState, value: Any = None) -> Callable[[], None]:
    def act() -> None:
        stage.outside.client.settle(promise_id, state, value)

    return act


def assert_the_same_on_replay(stage: Stage) -> None:
    _, turn = stage.replay()
    assert not turn.effects
    assert turn.finish is not None
    assert turn.finish.value == stage.root().value


async def cancels(ctx: Context) -> str:
    word = ctx.promise(str)
    await ctx.sleep(1)
    word.cancel()
    try:
        return await word
    except PromiseCanceledError:
        return "cancelled"


def test_a_promise_resolved_just_before_it_is_cancelled_stays_resolved() -> None:
    stage = staged(cancels)
    stage.start("cancels")
    stage.store.before[4] = settle(
        stage, "root:1", RESOLVED, "faster"
    )  # claim, creates, the timer's end, cancel
    stage.play(until_ms=stage.clock.now_ms() + 5_000)
    assert stage.outcome() == ("value", "faster")
    assert_the_same_on_replay(stage)


async def races(ctx: Context) -> list[str]:
    members = [ctx.promise(str), ctx.promise(str)]
    seen = [await ctx.race(*members)]
    for member in members:
        try:
            seen.append(await member)
        except PromiseCanceledError:
            seen.append("cancelled")
    return seen


def test_a_loser_that_settles_just_before_the_choice_is_recorded_keeps_its_value() -> None:
    stage = begun(races)
    stage.outside.client.settle("root:1", RESOLVED, "first")
    stage.store.before[stage.store.writes + 2] = settle(stage, "root:2", RESOLVED, "second")  # claim, choice
    stage.play(until_ms=stage.clock.now_ms() + 5_000)
    assert stage.outcome() == ("value", ["first", "first", "second"])
    assert_the_same_on_replay(stage)


def overlong(step: StepContext) -> str:
    step.get_dependency("stage").clock.advance(6_000)
    return "late"


@pytest.mark.parametrize("rides", [False, True])
def test_a_step_that_ends_after_its_deadline_timed_out(rides: bool) -> None:
    async def slow(ctx: Context) -> str:
        if rides:
            begin = ctx.options(timeout=5).run(overlong)
            ctx.promise()
        else:
            begin = ctx.options(timeout=5).run(overlong)
        try:
            return await begin
        except PromiseTimeoutError as error:
            return f"timeout of {error.promise_id}"

    stage = begun(slow)
    if rides:
        settle(stage, "root:2", RESOLVED)()
        stage.play(until_ms=stage.clock.now_ms() + 10_000)
    assert stage.outcome() == ("value", "timeout of root:1")
    record = stage.object("root:1").promise
    assert record.state is PromiseState.TIMEDOUT
    assert record.settled_at == record.timeout_at == record.created_at + 5_000
    assert_the_same_on_replay(stage)


async def child(ctx: Context) -> str:
    await ctx.promise()
    return await ctx.run(note, "child")


async def parent(ctx: Context) -> str:
    try:
        return await ctx.run(child)
    except PromiseCanceledError as error:
        return f"cancelled: {error.promise_id}"


def test_a_local_child_cancelled_from_outside_is_cancelled_whatever_it_returns() -> None:
    stage = begun(parent)
    settle(stage, "root:1.1", RESOLVED)()
    stage.store.before[stage.store.writes + 2] = settle(stage, "root:1", CANCELED)  # claim, the child's step
    stage.play(until_ms=stage.clock.now_ms() + 5_000)
    assert stage.outcome() == ("value", "cancelled: root:1")
    assert_the_same_on_replay(stage)


# ---- what another activation created meanwhile


def plant(
    stage: Stage, promise_id: str, state: PromiseState, value: Any, like: Promise
) -> Callable[[], None]:
    """Return what writes a record into the store, behind the back of the activation."""

    def write() -> None:
        held = stage.object("root")
        settled_at = None if state is PromiseState.PENDING else stage.clock.now_ms()
        encoded = stage.inside.client._codec.encode(value, Any, promise_id)
        promise = replace(like, id=promise_id, state=state, value=encoded, settled_at=settled_at)
        planted = PromiseObject(promise=promise, at=stage.clock.now_ms(), birth=held.birth)
        stage.memory.write({promise_id: 0}, {promise_id: planted}, "rival")

    return write


async def steps(ctx: Context) -> list[str]:
    return [await ctx.run(note, "one"), await ctx.run(note, "two")]


async def other_steps(ctx: Context) -> list[str]:
    return [await ctx.run(note, "uno"), await ctx.run(note, "due")]


def recorded(function: Callable[..., Any], promise_id: str) -> Promise:
    """Return the record that a plain run of the function leaves."""
    return begun(function).object(promise_id).promise


def test_a_step_recorded_by_another_activation_keeps_that_outcome() -> None:
    stage = staged(steps)
    stage.start("steps")
    stage.store.before[3] = plant(stage, "root:2", RESOLVED, "theirs", recorded(steps, "root:2"))
    stage.play(until_ms=stage.clock.now_ms() + 1_000)
    assert stage.outcome() == ("value", ["one.", "theirs"])
    assert_the_same_on_replay(stage)


def test_a_choice_recorded_by_another_activation_stands() -> None:
    async def chooses(ctx: Context) -> list[Any]:
        race = ctx.race(ctx.run(note, "a"), ctx.run(note, "b"))
        return [await race, race.winner]

    stage = staged(chooses)
    stage.start("chooses")
    stage.store.before[3] = plant(stage, "root:3", RESOLVED, 1, recorded(chooses, "root:3"))
    stage.play(until_ms=stage.clock.now_ms() + 1_000)
    assert stage.outcome() == ("value", ["b.", 1])
    assert_the_same_on_replay(stage)


def test_a_create_that_meets_the_record_of_another_call_is_a_divergence_and_overwrites_nothing() -> None:
    stage = staged(steps)
    stage.start("steps")
    theirs = recorded(other_steps, "root:2")
    stage.store.before[3] = plant(stage, "root:2", RESOLVED, "theirs", theirs)
    stage.play(until_ms=stage.clock.now_ms() + 1_000)
    assert stage.object("root:2").promise.param == theirs.param
    reason = stage.object("root").reason or ""
    assert reason.startswith("'root:2' was recorded as run note (arguments ")
    assert stage.root().state is PromiseState.PENDING


# ---- durable before delivered


def assert_stored(stage: Stage, *promise_ids: str) -> None:
    for promise_id in promise_ids:
        assert stage.object(promise_id).promise.state is not PromiseState.PENDING, promise_id


def test_nothing_is_told_to_the_workflow_before_it_is_stored() -> None:
    told: list[str] = []

    async def careful(ctx: Context) -> str:
        stage: Stage = ctx.get_dependency("stage")

        def know(*promise_ids: str) -> None:
            told.append(promise_ids[-1])
            assert_stored(stage, *promise_ids)

        await ctx.run(note, "step")
        know("root:1")
        await ctx.now()
        know("root:2")
        await ctx.race(ctx.run(note, "a"), ctx.run(note, "b"))
        know("root:3", "root:4", "root:5")
        await ctx.detached("echo", 1)
        know("root:6")
        await ctx.sleep(1)
        know("root:7")
        await ctx.gather(ctx.run(note, "c"), ctx.rpc("echo", 1))
        know("root:8", "root:9r")
        return "done"

    def echo(value: int) -> int:
        return value

    for count in range(1, 30):
        stage = staged(careful, echo)
        stage.start("careful")
        stage.store.before[count] = stage.store.die
        told.clear()
        for _ in range(3):
            stage.play(until_ms=stage.clock.now_ms() + 40_000)
        assert stage.outcome() == ("value", "done")
        assert told[-1] == "root:9r"


def test_an_encoded_value_that_the_store_lost_is_not_believed() -> None:
    """A crash instead of the commit: the step runs again, for nobody has heard of its outcome."""
    stage = staged(steps)
    stage.start("steps")
    stage.store.before[2] = stage.store.die
    stage.play(until_ms=stage.clock.now_ms() + 100_000)
    assert stage.ran == ["root:1", "root:1", "root:2"]
    assert not stage.reruns
    assert stage.outcome() == ("value", ["one.", "two."])


def test_a_dead_process_takes_nothing_more_from_the_store() -> None:
    """The canary of the tests that crash: without death the release of the lease would be written."""
    stage = staged(steps)
    stage.start("steps")
    stage.store.before[2] = stage.store.die
    with pytest.raises(Crash):
        stage.inside.node.deliver(stage.queue.pop_due(stage.clock.now_ms())[0])
    assert stage.object("root").task.state == "acquired"  # type: ignore[union-attr]
