"""Arguments: checked against the signature at the call, converted strictly, defaults untouched, nothing recorded if wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel

from resonate_faas import ArgumentsError, Context, EncodingError, Invocation, PromiseTimeoutError, Resonate
from resonate_faas.testing._deployment import MemoryDeployment


class Item(BaseModel):
    sku: str
    count: int = 1


@dataclass
class Pair:
    left: int
    right: bytes


SENTINEL = object()


def taker() -> tuple[Resonate, list[Any]]:
    """Return functions of every kind of parameter, and what they were called with."""
    resonate, seen = Resonate(), list[Any]()

    @resonate.register
    def plain(a: int, b: str = "b", *rest: float, key: date | None = None, **more: Item) -> None:
        seen.append((a, b, rest, key, more))

    @resonate.register
    def untouched(a: int, marker: Any = SENTINEL, items: list[int] = [1]) -> None:  # noqa: B006 - left alone
        seen.append((a, marker is SENTINEL, items))

    @resonate.register
    def positional(a: int, /, *, only: bool) -> None:
        seen.append((a, only))

    @resonate.register
    def record(pair: Pair, item: Item) -> None:
        seen.append((pair, item))

    @resonate.register
    def unhinted(a, b=None) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - what is not declared passes as is
        seen.append((a, b))

    return resonate, seen


RIGHT: list[tuple[str, tuple[Any, ...], dict[str, Any], Any]] = [
    ("plain", (1,), {}, (1, "b", (), None, {})),
    (
        "plain",
        (1, "x", 1.5, 2),
        {"key": date(2026, 1, 2), "extra": Item(sku="s")},
        (1, "x", (1.5, 2.0), date(2026, 1, 2), {"extra": Item(sku="s", count=1)}),
    ),
    ("plain", (), {"a": 1, "b": "y"}, (1, "y", (), None, {})),
    ("untouched", (1,), {}, (1, True, [1])),
    ("positional", (1,), {"only": True}, (1, True)),
    ("record", (Pair(1, b"\xff"), Item(sku="s")), {}, (Pair(1, b"\xff"), Item(sku="s"))),
    ("unhinted", ({"a": [1]},), {}, ({"a": [1]}, None)),
]


@pytest.mark.parametrize(("name", "args", "kwargs", "expected"), RIGHT)
def test_arguments_arrive_as_their_declared_types(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], expected: Any
) -> None:
    resonate, seen = taker()

    @resonate.register
    async def flow(ctx: Context) -> None:
        await ctx.rpc(name, *args, **kwargs)
        await ctx.run(name, *args, **kwargs)
        await ctx.detached(name, *args, **kwargs)

    deployment = MemoryDeployment(resonate)
    deployment.run("flow")
    deployment.run(name, *args, id="direct", **kwargs)
    assert seen == [expected] * 4
    assert [type(one) for one in seen[0]] == [type(one) for one in expected]


MISFITS: list[tuple[str, tuple[Any, ...], dict[str, Any], str | None]] = [
    ("plain", (), {}, "a"),
    ("plain", (1,), {"a": 1}, "a"),
    ("positional", (1,), {}, "only"),
    ("positional", (1, 2), {"only": True}, None),
    ("positional", (), {"a": 1, "only": True}, "a"),
    ("record", (), {"nobody": 1}, "pair"),
]
MISTYPED: list[tuple[str, tuple[Any, ...], dict[str, Any], str | None]] = [
    ("plain", ("5",), {}, "a"),
    ("plain", (True,), {}, "a"),
    ("plain", (1.5,), {}, "a"),
    ("plain", (1, 5), {}, "b"),
    ("plain", (1, "b", "c"), {}, "rest"),
    ("plain", (1,), {"key": "soon"}, "key"),
    ("plain", (1,), {"extra": {"count": 1}}, "extra"),
    ("positional", (1,), {"only": 1}, "only"),
    ("record", ({"left": "1", "right": ""}, {"sku": "s"}), {}, "pair"),
]


@pytest.mark.parametrize("how", ["run", "rpc", "detached"])
@pytest.mark.parametrize(("name", "args", "kwargs", "field"), MISFITS)
def test_a_call_that_does_not_fit_the_signature_is_refused_where_it_is_made(
    how: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], field: str | None
) -> None:
    _refused(how, name, args, kwargs, field)


@pytest.mark.parametrize("how", ["rpc", "detached"])
@pytest.mark.parametrize(("name", "args", "kwargs", "field"), MISTYPED)
def test_an_argument_of_another_type_is_refused_where_the_task_is_made(
    how: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], field: str | None
) -> None:
    _refused(how, name, args, kwargs, field)


def _refused(how: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], field: str | None) -> None:
    resonate, seen = taker()
    errors: list[ArgumentsError] = []

    @resonate.register
    async def flow(ctx: Context) -> str:
        try:
            getattr(ctx, how)(name, *args, **kwargs)
        except ArgumentsError as error:
            errors.append(error)
        await ctx.sleep(60)
        return "went on"

    deployment = MemoryDeployment(resonate)
    assert deployment.run("flow") == "went on"
    assert len(errors) == 2
    for error in errors:
        assert (error.function, error.field) == (name, field)
        assert field is None or field in str(error)
    assert not seen
    assert {found.id for found in deployment.store.search("promise", limit=100)} == {"root", "root:2"}


@pytest.mark.parametrize(("name", "args", "kwargs", "field"), MISFITS + MISTYPED)
def test_an_invocation_that_does_not_fit_stores_nothing(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], field: str | None
) -> None:
    resonate, seen = taker()
    deployment = MemoryDeployment(resonate)
    with pytest.raises(ArgumentsError) as refused:
        deployment.client.invoke(Invocation(function=name, args=args, kwargs=kwargs, id="root"))
    assert (refused.value.function, refused.value.field) == (name, field)
    assert deployment.client.get("root") is None
    assert not seen


@pytest.mark.parametrize(
    "value", [object(), len, "\ud800", {"a": {1, object()}}], ids=lambda v: type(v).__name__
)
@pytest.mark.parametrize("how", ["run", "rpc", "detached", "map"])
def test_an_argument_that_json_can_not_carry_is_refused_at_the_call_by_the_name_of_the_function(
    how: str, value: Any
) -> None:
    resonate = Resonate()

    @resonate.register
    def leaf(_value: Any) -> None:
        raise AssertionError("it must not run")

    @resonate.register
    async def flow(ctx: Context) -> str:
        try:
            if how == "map":
                ctx.map(leaf, [value])
            else:
                getattr(ctx, how)(leaf, value)
        except EncodingError as error:
            return str(error)
        return "accepted"

    deployment = MemoryDeployment(resonate)
    assert "the arguments of leaf can't be recorded" in deployment.run("flow")
    assert {found.id for found in deployment.store.search("promise", limit=100)} == {"root"}


@pytest.mark.parametrize("how", ["rpc", "detached"])
def test_a_number_that_the_task_could_not_read_is_refused_at_the_call(how: str) -> None:
    resonate = Resonate()

    @resonate.register
    def leaf(_value: Any) -> None:
        raise AssertionError("it must not run")

    @resonate.register
    async def flow(ctx: Context) -> str:
        with pytest.raises(EncodingError, match="the arguments of leaf can't be recorded"):
            getattr(ctx, how)(leaf, 10**5_000)
        return "refused"

    assert MemoryDeployment(resonate).run("flow") == "refused"


def test_a_builtin_without_a_signature_takes_what_it_takes() -> None:
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> list[Any]:
        return [await ctx.run(max, 1, 2), await ctx.run(dict, a=1), await ctx.run(len, "abc")]

    assert MemoryDeployment(resonate).run("flow") == [2, {"a": 1}, 3]


@pytest.mark.parametrize(
    ("call", "args"),
    [(partial(lambda a, b: [a, b], 1), (2,)), (partial(lambda a, *, b: [a, b], b=2), (1,))],
)
def test_a_partial_is_checked_for_what_it_leaves_open(
    call: Callable[..., Any], args: tuple[Any, ...]
) -> None:
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> list[Any]:
        try:
            ctx.run(call, *args, 9, 9)
        except ArgumentsError:
            return await ctx.run(call, *args)
        return []

    assert MemoryDeployment(resonate).run("flow") == [1, 2]


def test_an_unresolvable_annotation_passes_its_argument_as_it_is() -> None:
    resonate, seen = Resonate(), list[Any]()

    def leaf(value: Any) -> None:
        seen.append(value)

    leaf.__annotations__["value"] = "NoSuchName"
    resonate.register(leaf)
    MemoryDeployment(resonate).run("leaf", {"a": 1})
    assert seen == [{"a": 1}]


def test_a_promise_whose_value_has_another_type_raises_where_it_is_awaited() -> None:
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> str:
        try:
            return str(await ctx.promise(int, timeout=5))
        except PromiseTimeoutError as error:
            return error.promise_id

    assert MemoryDeployment(resonate).run("flow") == "root:1"
