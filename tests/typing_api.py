"""User code that mypy --strict must accept, and calls it must reject: the public types, held by ``assert_type``."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type
from uuid import UUID

from resonate_faas import Constant, Context, ExternalPromise, Future, Info, Never, Resonate, StepContext

resonate = Resonate()


def sync(a: int, *, b: str = "") -> float:
    return a + len(b)


async def coroutine(a: int) -> str:
    return str(a)


def of_step(ctx: StepContext, a: int) -> bytes:
    assert_type(ctx.info, Info)
    return bytes(a)


async def async_of_step(ctx: StepContext, a: int) -> list[int]:
    return [a, ctx.info.attempt]


@resonate.register
async def workflow(ctx: Context, a: int, b: str = "b") -> dict[str, int]:
    await ctx.sleep(timedelta(seconds=1))
    return {b: a}


@resonate.register(name="gen", version=2, retry=Never(), timeout=timedelta(hours=1))
def generator(ctx: Context, a: int) -> Generator[Any, Any, set[int]]:
    yield ctx.sleep(1.5)
    return {a}


@resonate.error
class DeclinedError(Exception):
    """Crosses by its message."""


class Service:
    def method(self, a: int) -> complex:
        return complex(a)

    async def work(self, ctx: Context, a: int) -> tuple[int, str]:
        return a, ctx.info.id


async def accepted_calls(ctx: Context) -> None:
    service = Service()
    assert_type(ctx.run(sync, 1, b="x"), Future[float])
    assert_type(await ctx.run(sync, 1), float)
    assert_type(await ctx.run(coroutine, 1), str)
    assert_type(await ctx.run(of_step, 1), bytes)
    assert_type(await ctx.run(async_of_step, 1), list[int])
    assert_type(await ctx.run(workflow, 1, b="x"), dict[str, int])
    assert_type(await ctx.run(generator, 1), set[int])
    assert_type(await ctx.run(service.method, 1), complex)
    assert_type(await ctx.run(service.work, 1), tuple[int, str])
    assert_type(await ctx.run(lambda: 5), int)
    assert_type(await ctx.run(len, "abc"), int)
    assert_type(await ctx.run("by name", 1, any_keyword=2), Any)
    assert_type(await ctx.rpc(sync, 1), float)
    assert_type(await ctx.rpc(coroutine, 1), str)
    assert_type(await ctx.rpc(of_step, 1), bytes)
    assert_type(await ctx.rpc(async_of_step, 1), list[int])
    assert_type(await ctx.rpc(workflow, 1), dict[str, int])
    assert_type(await ctx.rpc(generator, 1), set[int])
    assert_type(await ctx.rpc("by name"), Any)
    assert_type(
        await ctx.options(timeout=5, retry=Constant(), non_retryable=(ValueError,)).run(sync, 1), float
    )
    assert_type(await ctx.detached(workflow, 1), str)


async def accepted_operations(ctx: Context) -> None:
    assert_type(await ctx.sleep(1), None)
    assert_type(await ctx.sleep_until(datetime.now(UTC)), None)
    assert_type(await ctx.now(), datetime)
    assert_type(ctx.random(), float)
    assert_type(ctx.random.choice(["a"]), str)
    assert_type(ctx.uuid4(), UUID)
    promise = ctx.promise(int, timeout=timedelta(days=1))
    assert_type(promise, ExternalPromise[int])
    assert_type(promise.id, str)
    assert_type(promise.link("reject"), str)
    assert_type(await promise, int)
    assert_type(await ctx.promise(), Any)
    race = ctx.race(ctx.run(sync, 1), ctx.run(sync, 2))
    assert_type(await race, float)
    assert_type(race.winner, int)
    for future in ctx.as_completed(ctx.run(sync, 1)):
        assert_type(await future, float)
    assert_type(await ctx.gather(ctx.run(sync, 1), ctx.sleep(1)), list[Any])
    assert_type(await ctx.map(sync, [1, 2], concurrency=2), list[Any])
    ctx.log.info("event", count=1)
    client: str = ctx.get_dependency("client")
    assert client


def accepted_in_generators(ctx: Context) -> Generator[Any, Any, int]:
    text: str = yield ctx.run(coroutine, 1)
    number = yield from ctx.run(sync, 1)
    assert_type(number, float)
    return len(text)


async def rejected(ctx: Context) -> None:
    ctx.run(sync, "1")  # type: ignore[call-overload]
    ctx.run(sync, 1, c="x")  # type: ignore[call-arg, arg-type]
    ctx.run(sync)  # type: ignore[call-overload]
    ctx.run(workflow, "1")  # type: ignore[call-overload]
    ctx.run(generator, 1, 2)  # type: ignore[call-overload]
    ctx.run(coroutine(1))  # type: ignore[call-overload]
    ctx.rpc(of_step, "1")  # type: ignore[call-overload]
    ctx.rpc(5)  # type: ignore[call-overload]
    ctx.sleep("1")  # type: ignore[arg-type]
    ctx.sleep_until(5)  # type: ignore[arg-type]
    ctx.gather(coroutine(1))  # type: ignore[arg-type]
    ctx.race(coroutine(1))  # type: ignore[arg-type]
    ctx.options(timeout="1")  # type: ignore[arg-type]
    ctx.options(retry=3)  # type: ignore[arg-type]
    ctx.options(nobody=3)  # type: ignore[call-arg]
    ctx.map(sync, [1], limit=2)  # type: ignore[call-arg]
    number = await ctx.run(sync, 1)
    wrong: str = number  # type: ignore[assignment]
    assert wrong
    resonate.register(version="2")  # type: ignore[call-overload]
    resonate.error(int)  # type: ignore[type-var]
    ctx.info.attempt = 2  # type: ignore[misc]
