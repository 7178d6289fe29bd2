"""Replays from every prefix: a deterministic workflow passes, and each planted divergence is found and named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from resonate_faas import Constant, Context, Resonate, StepContext
from resonate_faas.testing import Harness

resonate = Resonate()
NUMBERS = count()


def double(number: int) -> int:
    return number * 2


def flaky(step: StepContext) -> int:
    if step.info.attempt < 3:
        raise ConnectionError("busy")
    return 3


async def part(ctx: Context, number: int) -> int:
    await ctx.sleep(number)
    return await ctx.run(double, number)


@resonate.register
async def far(ctx: Context, number: int) -> int:
    return await ctx.run(part, number)


@resonate.register(timeout=timedelta(days=30))
async def steady(ctx: Context, number: int) -> list[Any]:
    found = await ctx.map(double, range(5), concurrency=2)
    both = await ctx.gather(ctx.run(part, 3), ctx.run(part, 5), ctx.rpc(far, 7))
    tries = await ctx.options(retry=Constant(delay=60)).run(flaky)
    race = ctx.race(ctx.promise(str, timeout=60), ctx.rpc(far, 9))
    won = await race
    failed = await ctx.gather(ctx.run(fails), ctx.run(part, 100), return_exceptions=True)
    if number:
        await ctx.detached(steady, number - 1)
    return [found, both, tries, won, race.winner, str(failed[0]), ctx.random.randint(1, 100)]


async def fails(ctx: Context) -> None:
    await ctx.sleep(1)
    ctx.run(part, 50)
    raise ValueError("while another runs")


@resonate.register
async def other_arguments(ctx: Context) -> int:
    return await ctx.run(double, next(NUMBERS))


@resonate.register
async def other_branch(ctx: Context) -> int:
    await ctx.run(double, 1)
    if next(NUMBERS) % 2:
        return await ctx.run(double, 2)
    return await ctx.run(len, "a")


@resonate.register
async def one_more_call(ctx: Context) -> None:
    await ctx.run(double, 1)
    if SEEN:
        await ctx.run(double, 2)
    SEEN.append(1)


SEEN: list[int] = []


@resonate.register
async def other_result(ctx: Context) -> int:
    await ctx.run(double, 1)
    return next(NUMBERS)


@resonate.register
async def effect_in_passing(ctx: Context) -> None:
    ctx.get_dependency("harness").effect("log", "hello")
    await ctx.run(double, 1)


@pytest.fixture
def harness(resonate_harness: Callable[..., Harness]) -> Harness:
    return resonate_harness(resonate)


def report(harness: Harness, workflow: Callable[..., Any]) -> str:
    with pytest.raises(AssertionError) as caught:
        harness.replay_every_step(workflow)
    return str(caught.value)


def test_a_deterministic_workflow_does_the_same_from_every_prefix(harness: Harness) -> None:
    assert harness.replay_every_step(steady, 1).runs > 50


def test_what_ran_already_is_replayed_without_arguments(harness: Harness) -> None:
    harness.run(steady, 0)
    began = harness.now
    done = harness.replay_every_step()
    assert done.runs > 25
    assert (harness.now, len(harness.runs)) == (began, 1)


def test_other_arguments_where_the_call_is_not_on_record_yet(harness: Harness) -> None:
    text = report(harness, other_arguments)
    assert "the replay calls something else at other_arguments-1:1" in text
    assert "recorded: run double (arguments" in text
    assert "other_arguments-1 with 0 records" in text


def test_another_branch(harness: Harness) -> None:
    text = report(harness, other_branch)
    assert "other_branch-1:2" in text
    assert "diverged" in text or "something else" in text


def test_a_call_that_was_never_made(harness: Harness) -> None:
    SEEN.clear()
    text = report(harness, one_more_call)
    assert "the replay calls something else at one_more_call-1:2" in text
    assert "recorded: nothing" in text


def test_another_result(harness: Harness) -> None:
    assert "the replay of other_result-1 ends with another result" in report(harness, other_result)


def test_an_effect_outside_a_step_is_done_again_by_each_replay(harness: Harness) -> None:
    harness.set_dependency("harness", harness)
    text = report(harness, effect_in_passing)
    assert 'an effect was done by a replay, outside any step: log "hello"' in text
