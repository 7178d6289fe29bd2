"""Registration and versions: names refused, callables described, a running execution stays on its version."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from resonate_faas import (
    AlreadyRegisteredError,
    Context,
    FunctionNotFoundError,
    InvalidNameError,
    Invocation,
    Resonate,
    StepContext,
)
from resonate_faas._engine.registry import Registry, describe
from resonate_faas.testing._deployment import MemoryDeployment


def plain(a: int) -> int:
    return a


class Service:
    def method(self, ctx: Context, a: int) -> int:
        return a + ctx.info.attempt

    async def work(self, ctx: Context, a: int) -> int:
        return a + ctx.info.attempt


@pytest.mark.parametrize(
    ("call", "options", "reason"),
    [
        (lambda: None, {}, "give it a name"),
        (plain, {"name": ""}, "give it a name"),
        (plain, {"name": "a\tb"}, "give it a name"),
        (plain, {"name": "x" * 257}, "at most 256 bytes"),
        (plain, {"version": 0}, r"greater than zero \(0 provided\)"),
        (plain, {"version": -1}, r"greater than zero \(-1 provided\)"),
        (lambda: (yield), {"name": "gen"}, "its first parameter must be the context"),
    ],
)
def test_what_can_not_be_registered_is_refused(call: Any, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidNameError, match=reason):
        Registry().register(call, **options)


def test_a_name_is_taken_once_at_each_version() -> None:
    registry = Registry()
    registry.register(plain)
    registry.register(lambda: 2, name="plain", version=2)
    with pytest.raises(AlreadyRegisteredError, match="already registered"):
        registry.register(plain)
    assert registry.names() == [("plain", 1), ("plain", 2)]
    assert (registry.get("plain").version, registry.get("plain", 1).version) == (2, 1)
    for name, version in [("plain", 3), ("nobody", 0), ("nobody", 1)]:
        with pytest.raises(FunctionNotFoundError, match="registered: 'plain'"):
            registry.get(name, version)
        assert registry.find(name, version) is None


def made(kind: type) -> Callable[..., Any]:
    """Return a function whose code is shared and whose types are its own."""

    def step(value: Any) -> Any:
        return value

    step.__annotations__.update({"value": kind, "return": kind})
    return step


def test_functions_of_one_code_are_described_each_by_itself() -> None:
    assert [describe(made(kind)).hints["value"] for kind in (int, str, int)] == [int, str, int]
    assert [describe(made(kind)).result for kind in (int, str)] == [int, str]


def test_a_method_and_the_function_behind_it_are_told_apart() -> None:
    service = Service()
    for _ in range(2):
        assert str(describe(service.work).signature) == "(a: 'int') -> 'int'"
        assert describe(service.work).is_workflow
        assert not describe(Service.work).takes_context
        assert describe(service.method).takes_context
        assert not describe(service.method).is_workflow


def with_any(ctx: Any) -> None: ...
def unannotated(ctx): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - both are the point
def named_context(context): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - as above
def by_type(c: Context) -> None: ...
def by_step_type(c: StepContext) -> None: ...
def other_name(state): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - as above
def other_type(ctx: int) -> None: ...
def keyword_only(*, ctx: Context) -> None: ...
def second(a: int, ctx: Context) -> None: ...
def starred(*ctx: Context) -> None: ...


def unresolved(c: Context, other: Any) -> None: ...


unresolved.__annotations__["other"] = "NoSuchName"


@pytest.mark.parametrize(
    "call",
    [with_any, unannotated, named_context, by_type, by_step_type, unresolved],
    ids=lambda c: c.__name__,
)
def test_the_context_is_the_first_parameter_by_type_or_by_name(call: Callable[..., Any]) -> None:
    assert describe(call).takes_context


@pytest.mark.parametrize(
    "call",
    [plain, other_name, other_type, keyword_only, second, starred, len, dict],
    ids=lambda c: c.__name__,
)
def test_anything_else_is_no_context(call: Callable[..., Any]) -> None:
    assert not describe(call).takes_context


# ---- versions


def code(ran: list[str], *, newer: bool) -> Resonate:
    """Return the code of a deployment: the old one, or the new one with a second version of everything."""
    resonate = Resonate()
    for version in (1, 2) if newer else (1,):
        _register(resonate, version, ran)
    return resonate


def beside(resonate: Resonate, other: MemoryDeployment) -> MemoryDeployment:
    """Return a deployment of other code over the same store and queue."""
    made = MemoryDeployment(resonate, store=other.store, clock=other.clock, queue=other.queue)
    made.queue = other.queue
    return made


def _register(resonate: Resonate, version: int, ran: list[str]) -> None:
    @resonate.register(name="leaf", version=version)
    def leaf(text: str) -> str:
        ran.append(f"leaf {version} {text}")
        return f"{version}{text}"

    @resonate.register(name="flow", version=version)
    async def flow(ctx: Context) -> list[Any]:
        told = [
            version,
            await ctx.run("leaf", "run"),
            await ctx.rpc("leaf", "rpc"),
            await ctx.run(leaf, "object"),
        ]
        child = ctx.rpc("sleeper")
        await ctx.sleep(60)
        told += [
            await child,
            await ctx.rpc("leaf", "late"),
            await ctx.options(version=1).rpc("leaf", "chosen"),
        ]
        return [
            *told,
            await ctx.options(version=1).run("leaf", "here"),
            await ctx.detached("leaf", "detached") != "",
        ]

    @resonate.register(name="sleeper", version=version)
    def sleeper(ctx: Context) -> Generator[Any, Any, int]:
        yield ctx.sleep(30)
        return version


def test_a_running_execution_stays_on_its_version_and_so_does_what_it_called() -> None:
    ran: list[str] = []
    old = MemoryDeployment(code(ran, newer=False))
    old.start("flow")
    new = beside(code(ran, newer=True), old)
    for _ in range(6):
        old.deliver_due()
    new.settle()
    told = new.result()
    assert told == [1, "1run", "1rpc", "1object", 1, "2late", "1chosen", "1here", True]
    assert ran.count("leaf 2 late") == 1
    assert ran[-1] == "leaf 2 detached"
    assert new.run("flow", id="fresh")[:5] == [2, "2run", "2rpc", "2object", 2]
    assert new.client.invoke(Invocation(function="flow", id="older", version=1)).id == "older"
    new.settle()
    assert new.result("older")[0] == 1


def test_a_function_object_is_its_own_version_unless_another_is_asked_for() -> None:
    resonate = Resonate()

    @resonate.register(name="leaf", version=1)
    def one() -> int:
        return 1

    @resonate.register(name="leaf", version=2)
    def two() -> int:
        return 2

    @resonate.register
    async def flow(ctx: Context) -> list[int]:
        older, newer = ctx.options(version=1), ctx.options(version=2)
        told = [await ctx.run(one), await ctx.rpc(one), await newer.rpc(one), await newer.run(one)]
        with pytest.raises(FunctionNotFoundError):
            ctx.options(version=3).run(one)
        return [*told, await older.run(two), await ctx.run("leaf"), await older.run("leaf")]

    assert MemoryDeployment(resonate).run("flow") == [1, 1, 2, 2, 1, 2, 1]


def test_a_version_that_is_not_served_here_waits_for_one_that_serves_it() -> None:
    new = MemoryDeployment(code([], newer=True))
    new.client.invoke(Invocation(function="flow", id="root", version=2))
    old = beside(code([], newer=False), new)
    old.deliver_due()
    waiting = old.client.get("root")
    assert waiting is not None
    assert "function 'flow' (version 2) is not registered" in (waiting.reason or "")
    new.settle()
    assert new.result()[0] == 2
