"""run, gather, race, map: any callable, started now and awaited later, never more in flight than asked for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import Any

import pytest

from resonate_faas import (
    ArgumentsError,
    Context,
    FunctionNotFoundError,
    Future,
    LimitExceededError,
    Never,
    PromiseCanceledError,
    Resonate,
    StepContext,
)
from resonate_faas._machine.objects import PromiseState
from resonate_faas.testing._deployment import MemoryDeployment


def sync(a: int, b: int = 2) -> int:
    return a + b


async def coroutine(a: int, b: int = 2) -> int:
    return a + b


def with_step_context(ctx: StepContext, a: int, b: int = 2) -> int:
    assert ctx.info.id == "root:1"
    return a + b


async def async_with_step_context(ctx: StepContext, a: int, b: int = 2) -> int:
    assert ctx.info.attempt == 1
    return a + b


async def workflow(ctx: Context, a: int, b: int = 2) -> int:
    return await ctx.run(sync, a, b)


def generator(ctx: Context, a: int, b: int = 2) -> Generator[Any, Any, int]:
    total = yield ctx.run(sync, a, b)
    return int(total)


class Box:
    def __init__(self, base: int = 0) -> None:
        self.base = base

    def method(self, a: int, b: int = 2) -> int:
        return self.base + a + b

    async def async_method(self, a: int, b: int = 2) -> int:
        return self.base + a + b

    async def workflow_method(self, ctx: Context, a: int, b: int = 2) -> int:
        return self.base + int(await ctx.run(sync, a, b))

    def generator_method(self, ctx: Context, a: int, b: int = 2) -> Generator[Any, Any, int]:
        return self.base + int((yield ctx.run(sync, a, b)))

    @classmethod
    def made(cls, a: int, b: int = 2) -> int:
        return a + b

    @staticmethod
    def static(a: int, b: int = 2) -> int:
        return a + b

    def __call__(self, a: int, b: int = 2) -> int:
        return self.base + a + b


class AsyncBox:
    async def __call__(self, ctx: Context, a: int, b: int = 2) -> int:
        return await ctx.run(sync, a, b)


def wrapped(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return inner


CALLABLES: dict[str, Any] = {
    "sync": sync,
    "coroutine": coroutine,
    "step context": with_step_context,
    "async step context": async_with_step_context,
    "workflow": workflow,
    "generator": generator,
    "lambda": lambda a, b=2: a + b,
    "lambda with context": lambda ctx, a, b=2: a + b + (ctx.info.attempt - 1),
    "method": Box().method,
    "async method": Box().async_method,
    "workflow method": Box().workflow_method,
    "generator method": Box().generator_method,
    "class method": Box.made,
    "static method": Box.static,
    "callable object": Box(),
    "async callable object": AsyncBox(),
    "partial": functools.partial(sync, b=2),
    "partial of a coroutine function": functools.partial(coroutine, b=2),
    "partial of a workflow": functools.partial(workflow, b=2),
    "partial of a generator": functools.partial(generator, b=2),
    "decorated": wrapped(sync),
    "builtin": max,
    "cached": functools.lru_cache(sync),
    "name": "registered",
    "class": int,
}


@pytest.mark.parametrize("kind", CALLABLES)
def test_any_callable_runs_once_and_is_replayed_from_its_record(kind: str) -> None:
    resonate = Resonate()
    resonate.register(name="registered")(sync)
    seen: list[Any] = []

    @resonate.register
    async def flow(ctx: Context) -> Any:
        future = ctx.run(CALLABLES[kind], 3) if kind != "builtin" else ctx.run(max, 3, 5)
        seen.append(await future)
        await ctx.sleep(60)
        return await future

    deployment = MemoryDeployment(resonate)
    expected = 3 if kind == "class" else 5
    assert deployment.run("flow") == expected
    assert seen == [expected, expected]


def test_functions_of_one_decorator_are_told_apart() -> None:
    resonate = Resonate()

    @resonate.register
    @wrapped
    def first(a: int) -> str:
        return f"first {a}"

    @resonate.register
    @wrapped
    def second(a: str, b: str) -> str:
        return f"second {a}{b}"

    @resonate.register
    async def flow(ctx: Context) -> list[str]:
        return [await ctx.run(first, 1), await ctx.rpc(second, "x", "y"), await ctx.run("second", "a", b="b")]

    assert MemoryDeployment(resonate).run("flow") == ["first 1", "second xy", "second ab"]


def test_what_can_not_run_is_refused_with_the_cure() -> None:
    resonate = Resonate()

    def no_context() -> Generator[int, None, None]:
        yield 1

    @resonate.register
    async def flow(ctx: Context) -> list[str]:
        texts = []
        for call, kind in [
            (coroutine(1), TypeError),
            (7, TypeError),
            (no_context, ArgumentsError),
            ("nobody", FunctionNotFoundError),
        ]:
            with pytest.raises(kind) as refused:
                ctx.run(call)  # type: ignore[call-overload]
            texts.append(str(refused.value))
        with pytest.raises(FunctionNotFoundError) as unknown:
            ctx.rpc(sync, 1)
        texts.append(str(unknown.value))
        return texts

    texts = MemoryDeployment(resonate).run("flow")
    for text, words in zip(
        texts, ["not callable", "not callable", "must be ctx", "'nobody'", "'sync'"], strict=True
    ):
        assert words in text


def test_a_step_that_hands_back_a_coroutine_is_told_to_pass_the_function_itself() -> None:
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> str:
        try:
            await ctx.options(retry=Never()).run(lambda: coroutine(1))
        except Exception as error:  # noqa: BLE001 - the text is asserted
            return str(error)
        return "accepted"

    assert "pass the coroutine function itself" in MemoryDeployment(resonate).run("flow")


def test_futures_start_at_the_call_and_can_be_awaited_later_and_twice() -> None:
    resonate = Resonate()
    order: list[str] = []

    def step(name: str) -> str:
        order.append(name)
        return name

    @resonate.register
    async def flow(ctx: Context) -> list[str]:
        first, second = ctx.run(step, "first"), ctx.run(step, "second")
        order.append("called")
        timer = ctx.sleep(30)
        late = [await second, await first, await second]
        await timer
        await timer
        return late

    assert MemoryDeployment(resonate).run("flow") == ["second", "first", "second"]
    assert [name for name in order if name != "called"] == ["first", "second"]


def test_a_step_runs_in_a_copy_of_its_callers_context_variables() -> None:
    resonate = Resonate()
    variable: ContextVar[str] = ContextVar("variable", default="none")

    def step(_item: int = 0) -> str:
        seen = variable.get()
        variable.set("leaked")
        return seen

    async def child(ctx: Context) -> str:
        seen = await ctx.run(step)
        variable.set("of the child")
        return seen

    @resonate.register
    async def flow(ctx: Context) -> list[Any]:
        variable.set("one")
        early = ctx.run(step)
        variable.set("two")
        values = [await early, await ctx.run(step), await ctx.run(child)]
        mapped = await ctx.map(step, [1, 2, 3], concurrency=1)
        return [*values, mapped, variable.get()]

    expected = ["one", "two", "two", ["two", "two", "two"], "two"]
    assert MemoryDeployment(resonate).run("flow") == expected


# ---- gather


def test_gather_gives_values_in_argument_order_nested_and_empty() -> None:
    resonate = Resonate()
    resonate.register(sync)

    @resonate.register
    async def flow(ctx: Context) -> list[Any]:
        empty = await ctx.gather()
        nested = ctx.gather(ctx.rpc(sync, 2), ctx.gather(ctx.run(sync, 3), ctx.sleep(5)))
        return [empty, await ctx.gather(ctx.sleep(50), ctx.run(sync, 1), nested), await nested]

    assert MemoryDeployment(resonate).run("flow") == [[], [None, 3, [4, [5, None]]], [4, [5, None]]]


def fails(text: str) -> None:
    raise ValueError(text)


@pytest.mark.parametrize("return_exceptions", [True, False])
def test_gather_waits_for_all_and_then_tells_of_rejections_in_argument_order(return_exceptions: bool) -> None:
    resonate = Resonate()
    resonate.register(retry=Never())(fails)

    @resonate.register
    async def flow(ctx: Context) -> list[str]:
        late = ctx.sleep(100)
        members = [ctx.rpc(fails, "b"), ctx.options(retry=Never()).run(fails, "a"), late]
        try:
            values = await ctx.gather(*members, return_exceptions=return_exceptions)
        except ValueError as error:
            values = [error]
        begun = await ctx.now()
        await late
        return [*map(str, values), str(begun == await ctx.now())]

    expected = ["b", "a", "None", "True"] if return_exceptions else ["b", "True"]
    assert MemoryDeployment(resonate).run("flow") == expected


@pytest.mark.parametrize("combine", ["gather", "race", "as_completed"])
def test_bare_coroutines_are_refused_with_the_cure_and_none_is_left_unawaited(combine: str) -> None:
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> str:
        try:
            combined = getattr(ctx, combine)(coroutine(1), ctx.run(sync, 1), coroutine(2))
            if combine == "as_completed":
                next(combined)
        except TypeError as error:
            return str(error)
        return "accepted"

    text = MemoryDeployment(resonate).run("flow")
    assert "takes futures of the context, got coroutine" in text
    assert "start it with ctx.run(fn, ...)" in text


# ---- race and as_completed


def test_race_gives_the_first_settled_and_as_completed_all_in_that_order() -> None:
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> list[Any]:
        slow, quick, ready = ctx.promise(timeout=90), ctx.sleep(30), ctx.run(sync, 1)
        await ready
        first = ctx.race(slow, ready, cancel=False)
        got = [await first, first.winner, await first]
        second = ctx.race(slow, quick, cancel=False)
        await second
        members = ctx.as_completed(ctx.sleep(20), ctx.sleep(10), ctx.run(sync, 7))
        order = [(await done, str(await ctx.now())[14:19]) for done in members]
        return [got, second.winner, order]

    got, winner, order = MemoryDeployment(resonate).run("flow")
    assert (got, winner) == ([3, 1, 3], 1)
    assert [value for value, _ in order] == [9, None, None]
    assert order[0][1] < order[1][1] < order[2][1]


def test_the_winner_is_not_known_before_the_race_was_awaited() -> None:
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> int:
        race = ctx.race(ctx.sleep(10), ctx.sleep(20))
        with pytest.raises(RuntimeError, match="await the race"):
            _ = race.winner
        await race
        return race.winner

    assert MemoryDeployment(resonate).run("flow") == 0


# ---- cancellation


def test_a_cancelled_call_raises_its_own_error_and_the_rest_goes_on() -> None:
    resonate = Resonate()

    async def child(ctx: Context) -> None:
        await ctx.promise()

    @resonate.register
    async def flow(ctx: Context) -> list[str]:
        told = []
        members: list[Future[Any]] = [ctx.sleep(1_000), ctx.promise(), ctx.run(child), ctx.rpc("elsewhere")]
        both = ctx.gather(*members)
        for call in [*members, both]:
            call.cancel()
            call.cancel()
        for call in members:
            try:
                await call
            except PromiseCanceledError as error:
                told.append(error.promise_id)
        return told

    deployment = MemoryDeployment(resonate)
    assert deployment.run("flow") == ["root:1", "root:2", "root:3", "root:4r"]
    found = deployment.client.get("root:4r")
    assert found is not None
    assert found.promise.state is PromiseState.CANCELED


# ---- limits


def limited(call: Callable[[Context], Future[Any]], bound: int = 10) -> tuple[Any, int]:
    """Return what a workflow gets that calls under a promise limit, and how many records it left."""
    resonate = Resonate()
    resonate.register(sync)

    @resonate.register
    async def flow(ctx: Context) -> str:
        try:
            return f"done: {await call(ctx)}"
        except LimitExceededError as error:
            return str(error)

    deployment = MemoryDeployment(resonate, promises_max=bound)
    return deployment.run("flow"), len(deployment.store.search("promise", limit=1_000)) - 1


@pytest.mark.parametrize("concurrency", [None, 1, 3])
@pytest.mark.parametrize("remote", [True, False])
def test_map_over_the_promise_limit_is_an_error_to_catch(concurrency: int | None, remote: bool) -> None:
    text, records = limited(lambda ctx: ctx.map(sync, range(11), concurrency=concurrency, remote=remote))
    assert "the promise count of 'root' is limited to 10: split the loop" in text
    assert records <= 10


def test_gather_over_the_promise_limit_is_an_error_at_the_call() -> None:
    text, records = limited(lambda ctx: ctx.gather(*(ctx.rpc(sync, n) for n in range(11))))
    assert "is limited to 10" in text
    assert records <= 10


def test_the_promise_limit_itself_is_allowed() -> None:
    assert limited(lambda ctx: ctx.map(sync, range(10), concurrency=3)) == (
        "done: [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]",
        10,
    )
