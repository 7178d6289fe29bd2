"""A corpus of workflow shapes in plain Python: ``ctx`` is the engine's context, or one that runs things directly."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any, Self

log: contextvars.ContextVar[list[Any]] = contextvars.ContextVar("log")
Gen = Generator[Any, Any, Any]


# ---- steps


def double(value: int) -> int:
    return value * 2


def boom(text: str) -> None:
    raise ValueError(text)


def missing(key: str) -> None:
    raise KeyError(key)


# ---- helpers in the frame of their caller


async def helper(ctx: Any, value: int) -> int:
    await ctx.sleep(5)
    return int(await ctx.run(double, value)) + 1


def gen_helper(ctx: Any, value: int) -> Gen:
    yield ctx.sleep(5)
    return (yield ctx.run(double, value)) + 1


async def child(ctx: Any, value: int) -> int:
    return await helper(ctx, value) + int(await ctx.run(gen_child, value))


def gen_child(ctx: Any, value: int) -> Gen:
    first = yield ctx.run(double, value)
    second = yield from gen_helper(ctx, first)
    third = yield helper(ctx, second)
    fourth = yield gen_helper(ctx, third)
    if fourth > 1_000:
        raise LookupError(f"too much: {fourth}")
    return fourth


@contextlib.contextmanager
def noted(name: str, seen: list[Any], *, swallow: bool = False) -> Iterator[str]:
    seen.append(f"enter {name}")
    try:
        yield name
    except ValueError as error:
        seen.append(f"{name} sees {error}")
        if not swallow:
            raise
    seen.append(f"exit {name}")


@contextlib.asynccontextmanager
async def held(ctx: Any, name: str, seen: list[Any]) -> AsyncIterator[int]:
    seen.append(f"enter {name}")
    value = await ctx.run(double, 4)
    yield value
    seen.append(await ctx.run(double, value))


class Lock:
    def __init__(self, ctx: Any, seen: list[Any]) -> None:
        self.ctx, self.seen = ctx, seen

    async def __aenter__(self) -> Self:
        self.seen.append(await self.ctx.run(double, 1))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: object) -> bool:
        self.seen.append(f"{kind.__name__ if kind else None}: {error}")
        await self.ctx.sleep(1)
        return kind is ValueError


class Counted:
    """An async iterator with durable steps inside."""

    def __init__(self, ctx: Any, count: int) -> None:
        self.ctx, self.left = ctx, count

    def __aiter__(self) -> Counted:
        return self

    async def __anext__(self) -> int:
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        await self.ctx.sleep(3)
        return int(await self.ctx.run(double, self.left))


async def stream(ctx: Any, count: int) -> AsyncGenerator[int]:
    for number in range(count):
        yield await ctx.run(double, number)


class Durable:
    """An awaitable of the user's own."""

    def __init__(self, ctx: Any) -> None:
        self.ctx = ctx

    def __await__(self) -> Gen:
        first = yield from self.ctx.run(double, 8).__await__()
        return first + 1


# ---- shapes: async


async def branches_and_loops(ctx: Any) -> Any:
    total, seen = 0, []
    for number in range(5):
        if number == 3:
            continue
        while (doubled := await ctx.run(double, number)) > total:
            total += doubled
            seen.append(total)
        seen.append("else")
        await ctx.sleep(2)
    seen.append("for else")
    return total, seen


async def handlers(ctx: Any) -> Any:
    seen: list[Any] = []
    for text in ("a", "b"):
        try:
            seen.append(await ctx.run(double, 1))
            if text == "b":
                await ctx.run(boom, text)
        except ValueError as error:
            seen.append(f"caught {error}")
            await ctx.sleep(5)
        else:
            seen.append("else")
        finally:
            seen.append(await ctx.run(double, 5))
    try:
        await ctx.run(missing, "k")
    except (KeyError, IndexError) as error:
        seen.append((type(error).__name__, error.args))
    return seen


async def finally_overrides(ctx: Any) -> Any:
    async def inner(how: str) -> str:
        try:
            await ctx.run(boom, how)
        finally:
            if how == "returns":
                return "finally"  # noqa: B012 - that it swallows is the point
            await ctx.sleep(5)
        return "unreachable"

    seen = [await inner("returns")]
    try:
        await inner("raises")
    except ValueError as error:
        seen.append(str(error))
    return seen


async def chained(ctx: Any) -> Any:
    try:
        try:
            await ctx.run(boom, "first")
        except ValueError as error:
            await ctx.sleep(5)
            raise RuntimeError("second") from error
    except RuntimeError as error:
        cause = error.__cause__
        return [str(error), str(cause), error.__suppress_context__, type(cause).__name__]


async def reraised(ctx: Any) -> Any:
    try:
        await ctx.run(boom, "again")
    except ValueError:
        await ctx.sleep(1)
        raise


async def groups(ctx: Any) -> Any:
    seen: list[Any] = []
    try:
        errors = []
        for name in ("a", "b"):
            try:
                await ctx.run(boom if name == "a" else missing, name)
            except Exception as error:  # noqa: BLE001 - collected
                errors.append(error)
        raise ExceptionGroup("all", errors)
    except* ValueError as group:
        seen.append([str(error) for error in group.exceptions])
        await ctx.sleep(1)
    except* KeyError as group:
        seen.append([str(error) for error in group.exceptions])
    return seen


async def managers(ctx: Any) -> Any:
    seen: list[Any] = []
    with noted("outer", seen) as name, noted("inner", seen, swallow=True):
        seen.append(await ctx.run(double, len(name)))
        await ctx.sleep(3)
        await ctx.run(boom, "inside")
    async with held(ctx, "held", seen) as value, Lock(ctx, seen):
        seen.append(value)
        await ctx.run(boom, "locked")
    async with contextlib.AsyncExitStack() as stack:
        seen.append(await stack.enter_async_context(held(ctx, "stacked", seen)))
        stack.callback(seen.append, "called back")
        await ctx.sleep(1)
    with contextlib.suppress(ValueError):
        await ctx.run(boom, "suppressed")
    return seen


async def comprehensions(ctx: Any) -> Any:
    futures = [ctx.run(double, number) for number in range(4)]
    awaited = [await future for future in futures if future is not futures[1]]
    mapped = {number: await ctx.run(double, number) for number in range(2)}
    return [
        awaited,
        mapped,
        {await ctx.run(double, number) for number in (1, 1)},
        [number async for number in Counted(ctx, 3)],
        [number async for number in stream(ctx, 3) if number],
        sum([await helper(ctx, number) for number in range(2)]),
        [[await ctx.run(double, a * b) for a in range(2)] for b in range(2)],
        await ctx.gather(*futures),
    ]


async def iterators(ctx: Any) -> Any:
    seen = []
    async for number in Counted(ctx, 4):
        if number == 2:
            break
        seen.append(number)
    async with contextlib.aclosing(stream(ctx, 9)) as numbers:
        async for number in numbers:
            seen.append(number)
            if number > 2:
                break
    return seen, await Durable(ctx)


async def depths(ctx: Any) -> Any:
    seen: list[Any] = [await child(ctx, 1), await ctx.run(child, 2), await ctx.run(gen_child, 3)]
    seen += await ctx.gather(ctx.run(child, 4), ctx.run(gen_child, 5), ctx.sleep(1))
    try:
        await ctx.run(gen_child, 900)
    except LookupError as error:
        seen.append((type(error).__name__, str(error)))
    return seen


async def variables(ctx: Any) -> Any:
    log.set([])
    token = log.set(["inner"])
    await ctx.sleep(5)
    before = log.get()
    log.reset(token)

    async def sets() -> None:
        log.get().append(await ctx.run(double, 1))

    await sets()
    return before, log.get()


async def closures(ctx: Any) -> Any:
    count = 0

    def bump(by: int) -> int:
        nonlocal count
        count += by
        return count

    calls = [lambda number=number: number + 1 for number in range(3)]
    values = [await ctx.run(call) for call in calls]
    await ctx.sleep(1)
    bump(1)
    match values:
        case [1, *rest] if (length := len(rest)) == 2:
            return count, rest, length
    return None


async def recursion(ctx: Any) -> Any:
    async def down(depth: int) -> int:
        return 0 if depth == 0 else 1 + await down(depth - 1) + int(await ctx.run(double, 0))

    return await down(60)


async def raises_at_once(_ctx: Any) -> Any:
    raise ValueError("at once")


async def asserts(ctx: Any) -> Any:
    assert await ctx.run(double, 2) == 5, "not five"


async def divides(ctx: Any) -> Any:
    return 1 / await ctx.run(double, 0)


async def stops(ctx: Any) -> Any:
    await ctx.sleep(1)
    raise StopIteration(3)


# ---- shapes: generators


def gen_handlers(ctx: Any) -> Gen:
    seen: list[Any] = []
    for text in ("a", "b"):
        try:
            seen.append((yield ctx.run(double, 1)))
            if text == "b":
                yield ctx.run(boom, text)
        except ValueError as error:
            seen.append(f"caught {error}")
            yield ctx.sleep(5)
        else:
            seen.append("else")
        finally:
            seen.append((yield ctx.run(double, 5)))
    return seen


def gen_mixed(ctx: Any) -> Gen:
    seen: list[Any] = [(yield ctx.run(child, 1)), (yield ctx.run(gen_child, 2)), (yield child(ctx, 3))]
    with noted("gen", seen, swallow=True):
        yield ctx.sleep(5)
        yield ctx.run(boom, "inside")
    futures = [ctx.run(double, number) for number in range(3)]
    seen.append((yield ctx.gather(*futures)))
    seen += [(yield futures[2]), (yield futures[0])]
    try:
        yield failing(ctx)
    except ValueError as error:
        seen.append(str(error))
    return seen


def failing(ctx: Any) -> Gen:
    try:
        yield ctx.run(boom, "deep")
    finally:
        yield ctx.sleep(5)


def gen_delegates(ctx: Any) -> Gen:
    value = yield from gen_child(ctx, 1)
    try:
        yield from failing(ctx)
    except ValueError as error:
        return [value, str(error)]


def gen_loops(ctx: Any) -> Gen:
    total = 0
    while (doubled := (yield ctx.run(double, total + 1))) < 20:
        total += doubled
        yield ctx.sleep(1)
    return total, doubled


def gen_raises(ctx: Any) -> Gen:
    yield ctx.sleep(1)
    raise LookupError("gone")


def gen_stops(ctx: Any) -> Gen:
    yield ctx.sleep(1)
    next(iter(()))


SHAPES: list[Callable[[Any], Any]] = [
    *(branches_and_loops, handlers, finally_overrides, chained, reraised, groups, managers, comprehensions),
    *(iterators, depths, variables, closures, recursion, raises_at_once, asserts, divides, stops),
    *(gen_handlers, gen_mixed, gen_delegates, gen_loops, gen_raises, gen_stops),
]
