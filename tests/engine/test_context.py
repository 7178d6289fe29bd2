"""What a context tells: time, chance, dependencies, external promises, all the same in every replay."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from resonate_faas import (
    Context,
    ContextClosedError,
    DecodingError,
    DependencyNotFoundError,
    PromiseCanceledError,
    PromiseTimeoutError,
    Resonate,
    StepContext,
)
from resonate_faas._machine.objects import PromiseState
from resonate_faas.testing._deployment import MemoryDeployment


def test_now_random_and_uuid4_are_the_same_in_every_replay_and_differ_by_place() -> None:
    resonate = Resonate()
    seen: list[list[Any]] = []

    async def child(ctx: Context) -> float:
        return ctx.random()

    @resonate.register
    async def flow(ctx: Context) -> None:
        told: list[Any] = [
            await ctx.now(),
            ctx.random(),
            ctx.random.randint(1, 10**9),
            ctx.uuid4(),
            ctx.uuid4(),
        ]
        told += [await ctx.run(child), await ctx.run(child)]
        seen.append(told)
        await ctx.sleep(60)
        seen[-1].append((await ctx.now() - told[0]).total_seconds() >= 60)
        await ctx.sleep(60)

    deployment = MemoryDeployment(resonate)
    deployment.run("flow")
    assert len(seen) == 3
    assert seen[0] == seen[1][:-1] == seen[2][:-1]
    assert seen[1][-1] is seen[2][-1] is True
    assert seen[0][0].tzinfo is not None
    assert len(set(map(str, seen[0]))) == len(seen[0])
    first = list(seen[0])
    deployment.run("flow", id="another")
    assert not set(map(str, first)) & set(map(str, seen[-1][1:-1]))


@pytest.mark.parametrize("duration", [90, 90.0, timedelta(minutes=1.5)])
def test_sleep_lasts_as_long_as_it_says(duration: float | timedelta) -> None:
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> float:
        begun = await ctx.now()
        await ctx.sleep(duration)
        return (await ctx.now() - begun).total_seconds()

    assert MemoryDeployment(resonate).run("flow") == 90


def test_sleep_until_an_instant_and_not_at_all_for_a_past_one() -> None:
    resonate = Resonate()
    at = datetime(2030, 1, 1, tzinfo=UTC)

    @resonate.register
    async def flow(ctx: Context) -> list[str]:
        told = []
        for instant in (at - timedelta(days=9_999), at, at - timedelta(days=1)):
            await ctx.sleep_until(instant)
            told.append(f"{await ctx.now():%Y-%m-%d}")
        return told

    deployment = MemoryDeployment(resonate)
    deployment.clock.advance_to(int((at - timedelta(hours=5)).timestamp() * 1000))
    assert deployment.run("flow") == ["2029-12-31", "2030-01-01", "2030-01-01"]


@pytest.mark.parametrize("duration", [-1, float("nan"), float("inf"), timedelta(days=40_000), -0.001])
def test_a_duration_that_is_none_is_refused(duration: float | timedelta) -> None:
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> str:
        with pytest.raises(ValueError, match="from 0 to 100 years"):
            ctx.sleep(duration)
        with pytest.raises(ValueError, match="from 0 to 100 years"):
            ctx.options(timeout=duration)
        with pytest.raises(ValueError, match="from 0 to 100 years"):
            ctx.promise(timeout=duration)
        with pytest.raises(ValueError, match="time zone"):
            ctx.sleep_until(datetime(2030, 1, 1))  # noqa: DTZ001 - refused
        return "refused"

    assert MemoryDeployment(resonate).run("flow") == "refused"


# ---- dependencies


def test_dependencies_reach_workflows_and_steps() -> None:
    resonate = Resonate()
    resonate.set_dependency("db", {"answer": 42})

    def step(ctx: StepContext) -> int:
        return int(ctx.get_dependency("db")["answer"])

    async def async_step(ctx: StepContext) -> int:
        return int(ctx.get_dependency("db")["answer"]) + 1

    @resonate.register
    async def flow(ctx: Context) -> list[Any]:
        with pytest.raises(DependencyNotFoundError, match="set_dependency"):
            ctx.get_dependency("cache")
        return [await ctx.run(step), await ctx.run(async_step), ctx.get_dependency("db")["answer"]]

    assert MemoryDeployment(resonate).run("flow") == [42, 43, 42]


# ---- external promises


def waiting(call: str = "") -> tuple[MemoryDeployment, list[str]]:
    """Return a deployment whose workflow waits for a promise of an int, and the links it made."""
    resonate, links = Resonate(), list[str]()

    @resonate.register
    async def flow(ctx: Context) -> str:
        promise = ctx.promise(int, timeout=timedelta(hours=1))
        links.append(f"{promise.id} {promise.link(call or 'resolve')}")
        try:
            return f"got {await promise}"
        except PromiseTimeoutError as error:
            return f"{error.promise_id} timed out"
        except PromiseCanceledError as error:
            return f"{error.promise_id} was cancelled"
        except (DecodingError, Exception) as error:  # noqa: BLE001 - the kind is asserted
            return f"{type(error).__name__}: {error}"

    deployment = MemoryDeployment(resonate)
    deployment.start("flow")
    deployment.deliver_due()
    return deployment, links


@pytest.mark.parametrize(
    ("state", "value", "expected"),
    [
        (PromiseState.RESOLVED, 5, "got 5"),
        (
            PromiseState.RESOLVED,
            "5",
            "DecodingError: the record of root:1 can't be read: Input should be a valid integer",
        ),
        (
            PromiseState.RESOLVED,
            None,
            "DecodingError: the record of root:1 can't be read: Input should be a valid integer",
        ),
        (PromiseState.REJECTED, "no", "ApplicationError: no"),
        (PromiseState.CANCELED, None, "root:1 was cancelled"),
        (None, None, "root:1 timed out"),
    ],
)
def test_an_external_promise_is_settled_from_outside(
    state: PromiseState | None, value: Any, expected: str
) -> None:
    deployment, links = waiting()
    assert links[0].startswith("root:1 http://test.invalid/promises/root%3A1/resolve?token=")
    if state is not None:
        deployment.client.settle("root:1", state, value)
    deployment.settle()
    assert deployment.result() == expected
    assert len(set(links)) == 1


def test_the_promise_is_durable_before_any_step_that_is_started_after_it() -> None:
    resonate = Resonate()
    seen: list[bool] = []

    def mail(promise_id: str) -> None:
        found = deployment.client.get(promise_id)
        seen.append(found is not None and found.promise.state is PromiseState.PENDING)
        deployment.client.settle(promise_id, PromiseState.RESOLVED, "yes")

    @resonate.register
    async def flow(ctx: Context) -> str:
        promise = ctx.promise(str)
        await ctx.run(mail, promise.id)
        return await promise

    deployment = MemoryDeployment(resonate)
    assert deployment.run("flow") == "yes"
    assert seen == [True]


# ---- whose context it is


def test_a_context_serves_its_own_frame_alone_and_only_while_that_runs() -> None:
    resonate = Resonate()
    kept: list[Any] = []

    def step() -> None:
        with pytest.raises(ContextClosedError):
            kept[0].sleep(1)

    @resonate.register
    async def flow(ctx: Context) -> str:
        kept.append(ctx)
        await ctx.run(step)
        return "done"

    assert MemoryDeployment(resonate).run("flow") == "done"
    with pytest.raises(ContextClosedError, match="after its activation ended"):
        kept[0].run(step)


def test_a_generator_workflow_has_all_of_it_too() -> None:
    resonate = Resonate()

    @resonate.register
    def flow(ctx: Context) -> Generator[Any, Any, list[Any]]:
        begun = yield ctx.now()
        yield ctx.sleep(60)
        values = yield ctx.map(abs, [-1, -2], concurrency=1)
        first = ctx.race(ctx.sleep(5), ctx.promise())
        yield first
        ended = yield ctx.now()
        return [(ended - begun).total_seconds(), values, first.winner]

    assert MemoryDeployment(resonate).run("flow") == [65, [1, 2], 0]
