"""The guard loop: whatever only an event loop could settle is refused at its line, with the cure, and not recorded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator
from inspect import getsourcelines
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from tests.engine.stage import Stage, begun

from resonate_faas import Context
from resonate_faas._machine.objects import PromiseState, TaskState

HERE = "# <- here"


class Foreign:
    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield "something")  # <- here


async def awaits_a_stranger(_ctx: Context) -> None:
    await Foreign()


async def sleeps(_ctx: Context) -> None:
    await asyncio.sleep(1)  # <- here


async def sleeps_zero(_ctx: Context) -> None:
    await asyncio.sleep(0)  # <- here


async def makes_a_task(_ctx: Context) -> None:
    asyncio.create_task(asyncio.sleep(1))  # noqa: RUF006 # <- here


async def gathers(ctx: Context) -> None:
    await asyncio.gather(ctx.sleep(1))  # <- here


async def waits_for(ctx: Context) -> None:
    await asyncio.wait_for(ctx.sleep(1), 5)  # <- here


async def times_out(ctx: Context) -> None:
    async with asyncio.timeout(1):  # <- here
        await ctx.sleep(1)


async def groups(_ctx: Context) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(1))  # <- here


async def uses_a_thread(_ctx: Context) -> None:
    await asyncio.to_thread(print)  # <- here


async def waits_for_an_event(_ctx: Context) -> None:
    await asyncio.Event().wait()  # <- here


async def calls_the_loop(_ctx: Context) -> None:
    asyncio.get_running_loop().call_later(1, print)  # <- here


async def calls_http(_ctx: Context) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        await client.get("http://127.0.0.1:1/")  # <- here


async def sleeps_in_anyio(_ctx: Context) -> None:
    await anyio.sleep(1)  # <- here


async def uses_anyios_threads(_ctx: Context) -> None:
    await anyio.to_thread.run_sync(print)  # <- here


def yields_a_value(_ctx: Context) -> Generator[Any, Any, None]:
    yield 5  # <- here


def yields_nothing(_ctx: Context) -> Generator[Any, Any, None]:
    yield  # <- here


def yields_a_foreign_coroutine(_ctx: Context) -> Generator[Any, Any, None]:
    yield asyncio.sleep(1)  # <- here


def yields_a_bare_one(_ctx: Context) -> Generator[Any, Any, None]:
    yield asyncio.sleep(0)  # <- here


async def in_a_helper(ctx: Context) -> None:
    async def helper() -> None:
        await asyncio.sleep(1)  # <- here

    del ctx
    await helper()


async def in_a_child(ctx: Context) -> None:
    async def child(_ctx: Context) -> None:
        await asyncio.sleep(1)  # <- here

    await ctx.run(child)


async def swallowed(_ctx: Context) -> str:
    try:
        await asyncio.sleep(1)  # <- here
    except BaseException:  # noqa: BLE001 - the point of the test
        return "went on"
    return "slept"


async def swallowed_in_a_group(_ctx: Context) -> str:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(1))  # <- here
    except BaseException:  # noqa: BLE001 - the point of the test
        return "went on"
    return "slept"


FOREIGN: list[Callable[..., Any]] = [
    sleeps,
    sleeps_zero,
    makes_a_task,
    gathers,
    waits_for,
    times_out,
    groups,
    uses_a_thread,
    waits_for_an_event,
    calls_the_loop,
    calls_http,
    sleeps_in_anyio,
    uses_anyios_threads,
    yields_a_value,
    yields_nothing,
    yields_a_foreign_coroutine,
    yields_a_bare_one,
    in_a_helper,
    in_a_child,
    swallowed,
    swallowed_in_a_group,
]


def reason(stage: Stage) -> str:
    return stage.object("root").reason or ""


@pytest.mark.parametrize("function", FOREIGN)
def test_a_foreign_await_is_refused_at_its_line_with_the_cure(function: Callable[..., Any]) -> None:
    lines, start = getsourcelines(function)
    line = start + next(number for number, text in enumerate(lines) if HERE in text)
    stage = begun(function)
    assert f" at {Path(__file__)}:{line}: await only what its context returns; put I/O into a step" in reason(
        stage
    )
    assert stage.root().state is PromiseState.PENDING
    assert not [key for key in stage.records() if key != "root"]


def test_a_stranger_is_told_where_it_yields() -> None:
    line = getsourcelines(Foreign)[1] + 2
    said = reason(begun(awaits_a_stranger))
    assert said.startswith(
        f"a workflow awaited str (not a future of the context) at {Path(__file__)}:{line}: "
    )


def test_a_foreign_await_halts_the_task_in_the_end() -> None:
    stage = begun(sleeps)
    stage.play(until_ms=stage.clock.now_ms() + 12 * 3_600_000)
    halted = stage.object("root").task
    assert halted is not None
    assert halted.state is TaskState.HALTED
    assert "asyncio" in reason(stage)


def test_a_foreign_await_after_recorded_steps_records_nothing_more() -> None:
    async def later(ctx: Context) -> None:
        await ctx.sleep(1)
        await asyncio.sleep(1)

    stage = begun(later, within_ms=5_000)
    assert sorted(stage.records()) == ["root", "root:1"]
    assert "asyncio" in reason(stage)


def test_steps_may_use_asyncio_and_workflows_may_log(caplog: pytest.LogCaptureFixture) -> None:
    async def step() -> str:
        await asyncio.sleep(0)
        return "stepped"

    async def workflow(ctx: Context) -> str:
        logging.getLogger("mine").warning("in the workflow")
        return await ctx.run(step)

    assert begun(workflow).outcome() == ("value", "stepped")
    assert "in the workflow" in caplog.text


def test_the_loop_of_the_thread_is_given_back() -> None:
    """An activation may be driven from inside a running loop; it must find its loop again."""

    async def drive() -> bool:
        before = asyncio.get_running_loop(), asyncio.current_task()
        begun(sleeps)
        return before == (asyncio.get_running_loop(), asyncio.current_task())

    assert asyncio.run(drive())
