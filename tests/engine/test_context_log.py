"""ctx.log: each line once, however often the code that says it is replayed."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from resonate_faas import Constant, Context, Resonate, StepContext
from resonate_faas._worker import WorkerSettings
from resonate_faas.testing._deployment import MemoryDeployment


def lines(
    resonate: Resonate, caplog: pytest.LogCaptureFixture, *args: Any, in_place_ms: int = 0
) -> tuple[list[str], int]:
    """Return the lines that a run of "flow" logs, and how many activations it took."""
    caplog.set_level(logging.DEBUG, "resonate_faas.workflow")
    worker = WorkerSettings(heartbeats=False, in_place_ms=in_place_ms)
    deployment = MemoryDeployment(resonate, worker=worker)
    deployment.run("flow", *args)
    told = [
        " ".join(
            [
                record.getMessage(),
                *(str(value) for key, value in vars(record)["fields"].items() if key != "promise_id"),
            ]
        )
        for record in caplog.records
        if record.name == "resonate_faas.workflow"
    ]
    return told, len(deployment.ended)


def touch(value: int = 0) -> int:
    return value


@pytest.mark.parametrize("in_place_ms", [0, 2_000])
def test_a_sequence_says_each_line_once(caplog: pytest.LogCaptureFixture, in_place_ms: int) -> None:
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> None:
        ctx.log.info("started")
        await ctx.run(touch)
        ctx.log.info("touched")
        ctx.log.info("and touched")
        for number in range(4):
            await ctx.sleep(number)
            ctx.log.info("slept", number=number)
            await ctx.run(touch, number)
            ctx.log.info("ran", number=number)
        ctx.log.info("ends")

    told, activations = lines(resonate, caplog, in_place_ms=in_place_ms)
    pairs = [word for number in range(4) for word in (f"slept {number}", f"ran {number}")]
    assert told == ["started", "touched", "and touched", *pairs, "ends"]
    assert activations > (3 if in_place_ms else 4)


def test_children_say_each_line_once_whenever_they_begin(caplog: pytest.LogCaptureFixture) -> None:
    resonate = Resonate()

    async def quiet(ctx: Context) -> None:
        ctx.log.info("at once")

    async def child(ctx: Context, name: str) -> None:
        ctx.log.info("begins", name=name)
        await ctx.run(touch)
        ctx.log.info("touched", name=name)
        await ctx.sleep(30)
        ctx.log.info("slept", name=name)

    @resonate.register
    async def remote(ctx: Context) -> None:
        ctx.log.info("remote begins")
        await ctx.sleep(5)
        ctx.log.info("remote ends")

    @resonate.register
    async def flow(ctx: Context) -> None:
        await ctx.run(child, "a")
        ctx.log.info("between")
        await ctx.run(quiet)
        await ctx.gather(ctx.run(child, "b"), ctx.sleep(10), ctx.rpc(remote))
        ctx.log.info("gathered")
        await ctx.run(quiet)
        await ctx.sleep(10)
        await ctx.run(quiet)

    told, _ = lines(resonate, caplog)
    assert told.count("at once") == 3
    of_both = [f"{word} {name}" for name in "ab" for word in ("begins", "touched", "slept")]
    rest = sorted([*of_both, "between", "gathered", "remote begins", "remote ends"])
    assert sorted(word for word in told if word != "at once") == rest


def test_lines_around_retries_and_errors_come_once(caplog: pytest.LogCaptureFixture) -> None:
    resonate = Resonate()

    def flaky(ctx: StepContext) -> None:
        if ctx.info.attempt < 3:
            raise ValueError("again")

    @resonate.register
    async def flow(ctx: Context) -> None:
        ctx.log.info("tries")
        await ctx.options(retry=Constant(delay=30)).run(flaky)
        ctx.log.info("done")
        try:
            await ctx.options(retry=Constant(max_retries=0)).run(int, "x")
        except ValueError:
            ctx.log.warning("caught")
        await ctx.sleep(10)
        ctx.log.error("ends")

    assert lines(resonate, caplog)[0] == ["tries", "done", "caught", "ends"]


def test_every_level_carries_its_fields_and_the_promise(caplog: pytest.LogCaptureFixture) -> None:
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> None:
        ctx.log.debug("debugging", count=1)
        ctx.log.info("informing")
        ctx.log.warning("warning")
        ctx.log.error("failing")
        ctx.log.log(35, "own level")

    lines(resonate, caplog)
    records = [record for record in caplog.records if record.name == "resonate_faas.workflow"]
    assert [record.levelno for record in records] == [10, 20, 30, 40, 35]
    assert [record.getMessage() for record in records] == [
        "debugging",
        "informing",
        "warning",
        "failing",
        "own level",
    ]
    assert vars(records[0])["fields"] == {"promise_id": "root", "count": 1}
    assert {vars(record)["promise_id"] for record in records} == {"root"}


def test_lines_between_waits_for_calls_made_earlier_come_once(caplog: pytest.LogCaptureFixture) -> None:
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> None:
        timers = [ctx.sleep(10 * (number + 1)) for number in range(4)]
        for number, timer in enumerate(timers):
            await timer
            ctx.log.info("slept", number=number)

    assert lines(resonate, caplog)[0] == ["slept 0", "slept 1", "slept 2", "slept 3"]
