"""Suspension: on the smallest sufficient set, with every context dead, and never on what is settled."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest
from tests.engine.stage import Stage, begun, note, staged

from resonate_faas import Constant, Context, PromiseCanceledError, StepContext
from resonate_faas._machine.objects import PromiseState


def awaited(stage: Stage, awaiter: str = "root") -> list[str]:
    """Return the promises that the awaiter is registered on."""
    return [key for key, record in stage.records().items() if awaiter in record.promise.callbacks]


async def remote(ctx: Context) -> str:
    return await ctx.promise(str)


async def waits(ctx: Context) -> str:
    return await ctx.promise(str)


def fails(step: StepContext) -> None:
    raise ValueError(step.info.attempt)


async def on_one(ctx: Context) -> None:
    ctx.promise()
    await ctx.promise()


async def on_gather(ctx: Context) -> None:
    await ctx.gather(ctx.promise(), ctx.rpc(remote), ctx.sleep(60))


async def on_join(ctx: Context) -> None:
    ctx.promise()
    ctx.rpc(remote)
    ctx.sleep(60)


async def on_race(ctx: Context) -> None:
    await ctx.race(ctx.promise(), ctx.rpc(remote), ctx.sleep(60))


async def on_race_of_gathers(ctx: Context) -> None:
    await ctx.race(ctx.gather(ctx.promise(), ctx.promise()), ctx.gather(ctx.promise(), ctx.promise()))


async def on_gather_of_races(ctx: Context) -> None:
    await ctx.gather(
        ctx.race(ctx.promise(), ctx.promise(), ctx.promise()), ctx.race(ctx.promise(), ctx.promise())
    )


async def on_frames(ctx: Context) -> None:
    ctx.run(waits)
    ctx.run(on_race)
    await ctx.promise()


async def on_a_child(ctx: Context) -> None:
    await ctx.gather(ctx.run(waits), ctx.promise())


async def on_a_retry(ctx: Context) -> None:
    slow = ctx.options(retry=Constant(delay=60)).run(fails)
    await ctx.gather(slow, ctx.promise())


async def on_a_limited_map(ctx: Context) -> None:
    await ctx.map(remote_of, [1, 2, 3, 4], concurrency=2, remote=True)


async def on_the_end_of_a_map(ctx: Context) -> None:
    await ctx.map(remote_of, [1, 2, 3, 4], remote=True)


async def remote_of(ctx: Context, number: int) -> int:
    await ctx.promise()
    return number


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (on_one, ["root:2"]),
        (on_gather, ["root:1"]),
        (on_join, ["root:1"]),
        (on_race, ["root:1", "root:2r", "root:3"]),
        (on_race_of_gathers, ["root:1", "root:3"]),
        (on_gather_of_races, ["root:5", "root:6"]),
        (on_frames, ["root:1.1", "root:2.1", "root:2.2r", "root:2.3", "root:3"]),
        (on_a_child, ["root:1.1"]),
        (on_a_retry, ["root:1.a1"]),
        (on_a_limited_map, ["root:1r", "root:2r"]),
        (on_the_end_of_a_map, ["root:1r"]),
    ],
)
def test_an_activation_suspends_on_the_smallest_sufficient_set(function: Any, expected: list[str]) -> None:
    stage = begun(function, remote, remote_of)
    assert stage.object("root").task is not None
    assert stage.object("root").task.state == "suspended"  # type: ignore[union-attr]
    assert awaited(stage) == expected


async def gathers_many(ctx: Context, count: int) -> int:
    return len(await ctx.gather(*[ctx.promise() for _ in range(count)]))


async def races_many(ctx: Context, count: int) -> str:
    return str(await ctx.race(*[ctx.promise() for _ in range(count)]))


def test_a_gather_of_a_thousand_suspends_on_one_promise() -> None:
    assert awaited(begun(gathers_many, args=[1_000])) == ["root:1"]


@pytest.mark.parametrize("count", [97, 98, 99, 196, 197, 1_000])
def test_a_race_suspends_on_every_member_whatever_their_number(count: int) -> None:
    stage = begun(races_many, args=[count])
    registered = [f"root:{number}" for number in range(1, count + 1)]
    found = stage.memory.read(registered)
    assert all("root" in found[key].object.promise.callbacks for key in registered)  # type: ignore[union-attr]
    stage.outside.client.settle(f"root:{count}", PromiseState.RESOLVED, "last")
    stage.play(until_ms=stage.clock.now_ms() + 1_000)
    assert stage.outcome() == ("value", "last")
    states = {stage.object(key).promise.state for key in registered[:-1]}
    assert states == {PromiseState.CANCELED}


def test_a_promise_that_settles_before_the_suspension_is_written_is_delivered_at_once() -> None:
    """The redirect: the lease is kept, no callback stays behind, nothing is dispatched again."""
    stage = staged(waits)
    stage.start("waits")

    def settle() -> None:
        stage.outside.client.settle("root:1", PromiseState.RESOLVED, "early")

    stage.store.before[3] = settle  # after the claim and the create, just ahead of the suspension
    stage.play(until_ms=stage.clock.now_ms() + 1_000)
    assert stage.outcome() == ("value", "early")
    assert stage.object("root").task.version == 1  # type: ignore[union-attr]


def test_nothing_new_is_recorded_by_code_that_runs_while_a_frame_is_closed() -> None:
    said: list[str] = []

    async def cleans(ctx: Context) -> str:
        try:
            word = await ctx.promise(str)
        finally:
            said.append("finally")
            calls: tuple[Callable[[], Any], ...] = (
                lambda: ctx.run(note, "late"),
                lambda: ctx.sleep(1),
                ctx.promise,
                lambda: ctx.rpc("cleans"),
                lambda: ctx.detached("cleans"),
                ctx.now,
                ctx.gather,
                ctx.race,
                lambda: ctx.map(note, ["late"]),
            )
            for call in calls:
                try:
                    call()
                except BaseException as error:  # noqa: BLE001 - whatever refuses it
                    said.append(type(error).__name__)
        return word

    stage = begun(cleans)
    assert said == ["finally", *["ContextClosedError"] * 9]
    assert list(stage.records()) == ["root", "root:1"]
    assert not stage.ran


def test_awaiting_in_a_finally_block_does_not_hold_the_suspension_up() -> None:
    async def cleans(ctx: Context) -> None:
        try:
            await ctx.promise()
        finally:
            await ctx.run(note, "late")

    def cleans_too(ctx: Context) -> Generator[Any, Any, None]:
        try:
            yield ctx.promise()
        finally:
            yield ctx.run(note, "late")

    for function in (cleans, cleans_too):
        stage = begun(function)
        assert list(stage.records()) == ["root", "root:1"]
        assert awaited(stage) == ["root:1"]


def test_except_exception_does_not_see_the_suspension() -> None:
    seen: list[str] = []

    async def careful(ctx: Context) -> str:
        try:
            return await ctx.promise(str)
        except Exception as error:  # noqa: BLE001 - the point of the test
            seen.append(repr(error))
        return "swallowed"

    stage = begun(careful)
    assert not seen
    assert stage.root().state is PromiseState.PENDING


def test_the_context_of_a_parent_is_refused_in_a_child_in_a_step_and_after_the_end() -> None:
    kept: list[Context] = []
    refused: list[str] = []

    def attempt(ctx: Context) -> None:
        try:
            ctx.sleep(1)
        except BaseException as error:  # noqa: BLE001 - whatever refuses it
            refused.append(f"{type(error).__name__} {getattr(error, 'promise_id', '')}")

    async def child(_ctx: Context) -> None:
        attempt(kept[-1])

    async def parent(ctx: Context) -> None:
        kept.append(ctx)
        await ctx.run(child)
        await ctx.run(lambda: attempt(ctx))

    stage = begun(parent)
    attempt(kept[-1])
    assert refused == ["ContextClosedError root"] * 3
    assert sorted(stage.records()) == ["root", "root:1", "root:2"]


def test_a_parent_context_is_refused_in_the_finally_block_of_a_child_that_is_cancelled() -> None:
    refused: list[str] = []

    async def parent(ctx: Context) -> str:
        async def child(mine: Context) -> None:
            try:
                await mine.promise()
            finally:
                try:
                    ctx.run(note, "late")
                except BaseException as error:  # noqa: BLE001 - whatever refuses it
                    refused.append(type(error).__name__)

        running = ctx.run(child)
        await ctx.sleep(1)
        running.cancel()
        try:
            await running
        except PromiseCanceledError:
            return "cancelled"
        return "not cancelled"

    stage = begun(parent, within_ms=5_000)
    assert stage.outcome() == ("value", "cancelled")
    assert refused
    assert set(refused) == {"ContextClosedError"}
    assert not stage.ran


async def outlives_a_deadline(ctx: Context) -> None:
    await ctx.options(timeout=1).run(note, "quick")
    await ctx.sleep(60)


def test_a_deadline_that_was_outlived_does_not_keep_the_activation_waiting() -> None:
    stage = staged(outlives_a_deadline)
    stage.start("outlives_a_deadline")
    before = stage.clock.now_ms()
    stage.deliver(stage.queue.pop_due(before)[0])
    assert stage.object("root").task.state == "suspended"  # type: ignore[union-attr]
    assert stage.clock.now_ms() == before
