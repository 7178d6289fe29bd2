"""Every step twice: what is idempotent passes, and each planted fault is found and named."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from resonate_faas import Constant, Context, Resonate, StepContext
from resonate_faas.testing import Harness

resonate = Resonate()


class Table:
    """Rows by primary key."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.rows: dict[str, int] = {}
        self.serial = count(1)

    def insert(self, key: str, value: int) -> None:
        if key in self.rows:
            raise ValueError(f"duplicate key {key}")
        self.upsert(key, value)

    def upsert(self, key: str, value: int) -> None:
        self.harness.effect("row", value, key=key)
        self.rows[key] = value

    def append(self, value: int) -> int:
        self.harness.effect("row", value)
        number = next(self.serial)
        self.rows[str(number)] = value
        return number


def set_up(harness: Harness) -> None:
    harness.set_dependency("table", Table(harness))


def insert(step: StepContext, value: int) -> str:
    step.get_dependency("table").insert(step.info.id, value)
    return "ok"


def upsert(step: StepContext, value: int) -> str:
    step.get_dependency("table").upsert(step.info.id, value)
    return "ok"


async def append(step: StepContext, value: int) -> int:
    number: int = step.get_dependency("table").append(value)
    return number


def flaky(step: StepContext) -> int:
    if step.info.attempt == 1:
        raise ConnectionError("busy")
    return step.info.attempt


def drain(items: list[int]) -> int:
    total = sum(items)
    items.clear()
    return total


@resonate.register
async def inserts(ctx: Context) -> str:
    return await ctx.run(insert, 1)


@resonate.register
async def upserts(ctx: Context) -> list[Any]:
    await ctx.sleep(60)
    first = await ctx.run(upsert, 1)
    second = await ctx.options(retry=Constant(delay=60)).run(flaky)
    return [first, second, await ctx.rpc(drains)]


@resonate.register
async def appends(ctx: Context) -> int:
    return await ctx.run(append, 1)


@resonate.register
async def drains(ctx: Context) -> int:
    return await ctx.run(drain, [1, 2])


@pytest.fixture
def harness(resonate_harness: Callable[..., Harness]) -> Harness:
    return resonate_harness(resonate, setup=set_up)


def test_idempotent_steps_pass_and_really_ran_twice(harness: Harness) -> None:
    seen: list[int] = []

    def note(items: list[int]) -> int:
        seen.append(len(items))
        return 0

    harness.stub("drain", does=note)
    assert harness.twice(upserts).runs == 2
    assert seen == [2, 2, 2]  # once undisturbed, then twice


def test_arguments_that_a_step_changes_are_those_of_a_fresh_process_the_second_time(harness: Harness) -> None:
    harness.twice(drains)


def test_a_step_that_raises_the_second_time(harness: Harness) -> None:
    with pytest.raises(AssertionError) as caught:
        harness.twice(inserts)
    text = str(caught.value)
    assert text.startswith("twice: 1 finding in 2 runs")
    assert "the step insert(1) does not come to the same when it runs again" in text
    assert "again: raised ValueError('duplicate key inserts-1:1')" in text
    assert "At: inserts-1:1" in text
    assert "an upsert instead of an insert" in text


def test_a_step_that_returns_something_else_and_doubles_its_effect(harness: Harness) -> None:
    with pytest.raises(AssertionError) as caught:
        harness.twice(appends)
    text = str(caught.value)
    assert "twice: 2 findings" in text
    assert "first: 1" in text
    assert "again: 2" in text
    assert "the effect row 1 happened 2 times instead of 1, and has no key" in text


def test_a_result_may_be_allowed_to_differ_but_not_a_doubled_effect(harness: Harness) -> None:
    with pytest.raises(AssertionError) as caught:
        harness.twice(appends, may_differ=["append"])
    assert "twice: 1 finding" in str(caught.value)
    assert "happened 2 times" in str(caught.value)
