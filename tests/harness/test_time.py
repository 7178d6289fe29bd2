"""Time is virtual: sleeps, retries, timeouts, schedules and chains of executions pass at once, in order."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from resonate_faas import (
    ArgumentsError,
    Constant,
    Context,
    FunctionNotFoundError,
    Invocation,
    PromiseState,
    PromiseTimeoutError,
    Resonate,
    StepContext,
)
from resonate_faas.testing import EPOCH_MS, Harness

resonate = Resonate()
START = datetime.fromtimestamp(EPOCH_MS / 1000, tz=UTC)
DAY = timedelta(days=1)


async def whisper(text: str) -> str:
    await asyncio.sleep(0)
    return text.lower()


@resonate.register(timeout=timedelta(days=60))
async def nap(ctx: Context, days: float) -> str:
    await ctx.sleep(timedelta(days=days))
    return await ctx.run(whisper, "RESTED")


@resonate.register(timeout=timedelta(days=60))
async def steps_of_a_week(ctx: Context) -> list[datetime]:
    instants = []
    for _ in range(7):
        await ctx.sleep(DAY)
        instants.append(await ctx.now())
    return instants


@resonate.register
async def impatient(ctx: Context) -> str:
    return await ctx.promise(str, timeout=60)


def stumble(step: StepContext, times: int) -> int:
    if step.info.attempt <= times:
        raise ConnectionError("not yet")
    return step.info.attempt


@resonate.register
async def stubborn(ctx: Context, times: int) -> int:
    return await ctx.options(retry=Constant(delay=600)).run(stumble, times)


@resonate.register
async def chain(ctx: Context, left: int) -> int:
    await ctx.sleep(60)
    if left:
        await ctx.detached(chain, left - 1)
    return left


@resonate.register
async def endless(ctx: Context) -> None:
    await ctx.sleep(60)
    await ctx.detached(endless)


@resonate.register
async def remote(ctx: Context) -> str:
    return str(await ctx.rpc("elsewhere", 1))


@pytest.fixture
def harness(resonate_harness: Callable[..., Harness]) -> Harness:
    return resonate_harness(resonate)


def test_a_week_takes_no_time(harness: Harness) -> None:
    began = time.monotonic()
    assert harness.run(nap, 7) == "rested"
    assert harness.now == START + 7 * DAY
    assert time.monotonic() - began < 60  # a bound, not a measurement: a week it was not


def test_each_instant_is_exact(harness: Harness) -> None:
    found = harness.run(steps_of_a_week)
    assert [datetime.fromisoformat(one) for one in found] == [START + day * DAY for day in range(1, 8)]


def test_started_nothing_runs_until_it_is_told(harness: Harness) -> None:
    run = harness.start(nap, 7)
    assert (run.id, run.state, len(run.history())) == ("nap-1", PromiseState.PENDING, 1)
    harness.run_until_idle()
    assert [str(entry.kind) for entry in run.history()] == ["root", "sleep"]
    assert harness.now == START
    harness.advance(6 * DAY)
    assert (run.state, harness.now) == (PromiseState.PENDING, START + 6 * DAY)
    harness.advance(86_400.0)
    assert (run.state, run.result()) == (PromiseState.RESOLVED, "rested")
    assert harness.now == START + 7 * DAY


def test_a_result_stops_the_time_at_its_instant_while_others_go_on(harness: Harness) -> None:
    long, short = harness.start(nap, 20), harness.start(nap, 2)
    assert short.result() == "rested"
    assert (harness.now, long.state) == (START + 2 * DAY, PromiseState.PENDING)
    assert harness.result(long) == "rested"
    assert harness.result("nap-1") == "rested"
    assert [run.id for run in harness.runs] == ["nap-1", "nap-2"]


def test_retries_and_timeouts_skip_too(harness: Harness) -> None:
    assert harness.run(stubborn, 5) == 6
    assert harness.now == START + timedelta(minutes=50)
    assert harness.history().call(stumble).attempts == 6
    with pytest.raises(PromiseTimeoutError) as caught:
        harness.run(impatient)
    assert harness.now == START + timedelta(minutes=51)
    assert "promise → rejected_timedout" in caught.value.__notes__[-1]


def test_what_was_detached_is_followed(harness: Harness) -> None:
    run = harness.start(chain, 3)
    assert run.result() == 3
    assert harness.now == START + timedelta(minutes=1)
    harness.run_until_done()
    assert [one.result() for one in run.successors()] == [2, 1, 0]
    assert harness.now == START + timedelta(minutes=4)


def test_what_never_ends_is_told_instead_of_hanging(harness: Harness) -> None:
    harness.start(endless)
    with pytest.raises(
        AssertionError, match=r"executions by now, and 'endless-1-d\w+' still goes on; .*scenario="
    ):
        harness.run_until_done()


def test_schedules_fire_as_time_passes(harness: Harness) -> None:
    schedule = harness.schedule("0 9 * * *", nap, 0.25, id="mornings", zone="Europe/Paris")
    harness.advance(timedelta(days=3))
    runs = schedule.runs()
    # the epoch of the tests is 22:13 UTC; nine in Paris in winter is eight in UTC
    assert [one.id for one in runs] == [
        f"mornings-{EPOCH_MS + 35_200_000 + day * 86_400_000}" for day in range(3)
    ]
    assert [one.result() for one in runs] == ["rested"] * 3
    assert runs[0].history()[0].args == (0.25,)


def test_an_invocation_says_more(harness: Harness) -> None:
    run = harness.start(
        Invocation(function="nap", args=[1], id="mine", delay=DAY, timeout=timedelta(days=0.5))
    )
    with pytest.raises(PromiseTimeoutError):
        run.result()
    assert (run.id, harness.now) == ("mine", START + 1.5 * DAY)


def test_a_step_that_never_stops_failing_fails_the_test_instead_of_retrying_for_days(
    harness: Harness, resonate_harness: Callable[..., Harness]
) -> None:
    words = r"the step stumble\(1000\) \(stubborn-1:1\) failed 100 times, the last time with ConnectionError\('not yet'\)"
    with pytest.raises(AssertionError, match=words):
        harness.run(stubborn, 1000)
    assert harness.now == START + timedelta(minutes=990)
    assert resonate_harness(resonate, attempts_max=5).run(stubborn, 3) == 4


def test_an_invocation_without_an_id_gets_the_next_one(harness: Harness) -> None:
    assert harness.start(Invocation(function="nap", args=[1])).id == "nap-1"
    assert harness.start(Invocation(function="nap", args=[1]), id="mine").id == "mine"


def test_wrong_arguments_and_names_are_refused_at_once(harness: Harness) -> None:
    with pytest.raises(ArgumentsError, match="days"):
        harness.start(nap, "seven")
    with pytest.raises(FunctionNotFoundError):
        harness.start("snooze")
    with pytest.raises(AssertionError, match="nothing was started"):
        harness.result()
    with pytest.raises(ValueError, match="backwards"):
        harness.advance(-1)


def test_a_task_that_can_t_go_on_fails_the_test_at_once(harness: Harness) -> None:
    with pytest.raises(AssertionError, match=r"'remote-1:1r' can't go on: .*elsewhere"):
        harness.run(remote)


async def in_a_coroutine(harness: Harness) -> str:
    return str(harness.run(nap, 7))


def test_an_async_test_uses_it_as_it_is_and_async_steps_run(harness: Harness) -> None:
    assert asyncio.run(in_a_coroutine(harness)) == "rested"


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_under_the_plugin_of_anyio(harness: Harness, anyio_backend: str) -> None:
    assert anyio_backend == "asyncio"
    assert harness.run(nap, 7) == "rested"
    assert await asyncio.to_thread(harness.run, nap, 7) == "rested"


def test_an_async_step_that_raises_inside_an_async_test(harness: Harness) -> None:
    async def broken(text: str) -> str:
        raise ValueError(text)

    harness.stub(whisper, does=broken)

    async def body() -> None:
        harness.start(nap, 0)
        harness.advance(30)
        assert harness.history().call(whisper).attempts >= 3

    asyncio.run(body())


def test_no_thread_is_left_behind(harness: Harness) -> None:
    before = set(threading.enumerate())
    asyncio.run(in_a_coroutine(harness))
    harness.crash_matrix(nap, 1)
    assert set(threading.enumerate()) == before


@resonate.register
async def looks_at_the_clock(ctx: Context) -> float:
    await ctx.run(whisper, "x")
    return time.time()


def test_a_guard_refuses_what_a_replay_can_t_repeat(resonate_harness: Callable[..., Harness]) -> None:
    with pytest.raises(
        AssertionError, match=r"'looks_at_the_clock-1' can't go on: .*time\.time.*test_time\.py:\d+"
    ):
        resonate_harness(resonate).run(looks_at_the_clock)
    assert resonate_harness(resonate, guard="off").run(looks_at_the_clock) > 0
