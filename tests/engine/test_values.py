"""Arguments and results by type hints: what the first run sees is what every replay sees."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, Optional, TypeVar, Union
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from resonate_faas import Context, EncodingError, Resonate
from resonate_faas.testing._deployment import MemoryDeployment

T = TypeVar("T")


class Color(Enum):
    RED = "red"
    BLUE = 2


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Mode(StrEnum):
    FAST = "fast"


class Rights(Flag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: int
    label: str = "p"


class Row(TypedDict, total=False):
    id: int
    blob: bytes
    when: datetime


class Item(BaseModel):
    sku: str
    price: Decimal
    tags: set[str] = Field(default_factory=set)


class Order(BaseModel):
    id: UUID
    items: list[Item]
    at: datetime
    kind: Literal["order"] = "order"


class Refund(BaseModel):
    amount: Decimal
    kind: Literal["refund"] = "refund"


class Page(BaseModel, Generic[T]):
    items: list[T]


@dataclass
class Leg:
    start: date
    blob: bytes = b""
    weights: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Trip:
    legs: tuple[Leg, ...]
    total: float
    color: Color | None = None


NOON = datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)
FAR = datetime(2026, 1, 2, 12, tzinfo=timezone(timedelta(hours=5, minutes=30)))
LEG = Leg(date(2026, 1, 2), b"\x00\xff", {1: 0.5, -2: float("inf")})
ITEM = Item(sku="s", price=Decimal("1.10"), tags={"a", "b"})
ORDER = Order(id=UUID(int=7), items=[ITEM], at=NOON)
TEXT = "snow \u2603, astral \U0001f600, NUL \x00, a \\\\ and a \\t"

TYPED: list[tuple[Any, Any]] = [
    (int, 2**80),
    (int, -1),
    (bool, True),
    (float, 0.1),
    (float, 5.0),
    (float, float("inf")),
    (float, -0.0),
    (str, TEXT),
    (bytes, bytes(range(256))),
    (None, None),
    (Optional[int], None),  # noqa: UP045 - both spellings must work
    (Union[int, str], "5"),  # noqa: UP007 - as above
    (int | str, 5),
    (int | float, 5.0),
    (bool | int, True),
    (bool | int, 1),
    (datetime, NOON),
    (datetime, FAR),
    (datetime, datetime(2026, 1, 2)),  # noqa: DTZ001 - a naive instant stays naive
    (date, date(2026, 1, 2)),
    (time, time(12, 30)),
    (timedelta, timedelta(days=1, microseconds=1)),
    (UUID, UUID(int=1)),
    (Decimal, Decimal("1.10")),
    (complex, 1 + 2j),
    (Path, Path("/a/b")),
    (Color, Color.RED),
    (Color, Color.BLUE),
    (Level, Level.HIGH),
    (Mode, Mode.FAST),
    (Literal["a", 1], 1),
    (Point, Point(3, "q")),
    (Row, {"id": 1, "blob": b"\xff", "when": NOON}),
    (Row, {}),
    (Item, ITEM),
    (Order, ORDER),
    (Order | Refund, Refund(amount=Decimal("3.0"))),
    (Order | Refund, ORDER),
    (Page[Item], Page[Item](items=[ITEM])),
    (Leg, LEG),
    (Trip, Trip((LEG,), 2.0, Color.RED)),
    (list[Order], [ORDER, ORDER]),
    (list[Leg], [LEG]),
    (dict[int, Item], {1: ITEM, 20: ITEM}),
    (dict[str, list[Leg]], {"a": [LEG]}),
    (dict[UUID, int], {UUID(int=3): 1}),
    (dict[date, str], {date(2026, 1, 2): "x"}),
    (dict[Color, int], {Color.RED: 1}),
    (dict[bool, int], {True: 1, False: 0}),
    (set[int], {3, 1, 2}),
    (frozenset[str], frozenset({"a"})),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], (1, 2, 3)),
    (tuple[()], ()),
    (list[int | None], [1, None]),
    (Mapping[str, int], {"a": 1}),
    (Sequence[int], [1, 2]),
    (list[bytes], [b"\x80"]),
    (list[float], [1.0, float("-inf")]),
    (object, [1, "a", None]),
    (Any, {"a": [1, 2.5, None, True, "x"]}),
]


def shape(value: Any) -> Any:
    """Return a value with every type named, so that equal is equal in type too, all the way down."""
    if isinstance(value, Mapping):
        return type(value), [(shape(key), shape(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [shape(item) for item in value]
    if isinstance(value, set | frozenset):
        return type(value), sorted(map(repr, value))
    if isinstance(value, BaseModel):
        return type(value), shape(dict(value))
    if isinstance(value, datetime):
        return type(value), value.isoformat(), value.utcoffset()
    return type(value), repr(value)


def returning(hint: Any, value: Any) -> Callable[[], Any]:
    """Return a step of this declared result."""

    def step() -> Any:
        return value

    step.__annotations__["return"] = hint
    return step


def sightings(step: Callable[[], Any]) -> list[Any]:
    """Return what a workflow is given by a step: live, and in a replay."""
    resonate = Resonate()
    seen: list[Any] = []

    @resonate.register
    async def watch(ctx: Context) -> None:
        seen.append(await ctx.run(step))
        await ctx.sleep(60)

    MemoryDeployment(resonate).run("watch")
    assert len(seen) == 2
    return seen


@pytest.mark.parametrize(("hint", "value"), TYPED, ids=[f"{hint}-{value!r:.20}" for hint, value in TYPED])
def test_a_typed_result_is_the_same_value_live_and_in_a_replay(hint: Any, value: Any) -> None:
    live, replayed = sightings(returning(hint, value))
    assert shape(live) == shape(value)
    assert shape(replayed) == shape(value)


UNTYPED: list[tuple[Any, Any]] = [
    ((1, 2), [1, 2]),
    ({1: "a"}, {"1": "a"}),
    (NOON, "2026-01-02T12:00:00.123456Z"),
    (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (Decimal("1.10"), "1.10"),
    (b"\xff", "_w=="),
    (Color.RED, "red"),
    (Refund(amount=Decimal(3)), {"amount": "3", "kind": "refund"}),
    (Point(1, "a"), [1, "a"]),
    (float("inf"), float("inf")),
]


@pytest.mark.parametrize(("value", "expected"), UNTYPED, ids=[repr(value) for value, _ in UNTYPED])
def test_an_undeclared_result_is_plain_json_data_already_in_the_first_run(value: Any, expected: Any) -> None:
    live, replayed = sightings(lambda: value)
    assert shape(live) == shape(expected)
    assert shape(replayed) == shape(expected)


@pytest.mark.parametrize(("hint", "value"), TYPED, ids=[f"{hint}-{value!r:.20}" for hint, value in TYPED])
def test_a_typed_argument_arrives_at_a_task_of_its_own_as_it_was_given(hint: Any, value: Any) -> None:
    resonate = Resonate()
    seen: list[Any] = []

    def take(value: Any) -> None:
        seen.append(value)

    take.__annotations__["value"] = hint
    resonate.register(take)

    @resonate.register
    async def send(ctx: Context) -> None:
        await ctx.rpc(take, value)

    MemoryDeployment(resonate).run("send")
    assert [shape(one) for one in seen] == [shape(value)]


Legacy = namedtuple("Legacy", ["a", "b"])  # noqa: PYI024 - the untyped kind must work too

REFUSED: list[tuple[Any, Any, str]] = [
    (int, "5", "int"),
    (int, 5.5, "int"),
    (str, 5, "str"),
    (bool, 1, "bool"),
    (list[int], ["1"], "int"),
    (Item, {"sku": "s"}, "Item"),
    (Literal["a"], "b", "literal"),
    (int, None, "int"),
    (None, 5, "None"),
    (tuple[int, str], (1,), "tuple"),
    (Any, object(), "object"),
    (Any, lambda: None, "function"),
    (Any, "\ud800", "surrogates"),
    (str, "\ud800", "surrogates"),
    (Any, {"deep": [object()]}, "object"),
]


@pytest.mark.parametrize(("hint", "value", "word"), REFUSED, ids=[f"{h}-{v!r:.15}" for h, v, _ in REFUSED])
def test_a_result_that_cannot_be_recorded_rejects_the_step_by_name_and_the_workflow_goes_on(
    hint: Any, value: Any, word: str
) -> None:
    resonate = Resonate()
    runs: list[int] = []
    inner = returning(hint, value)

    def troubled() -> Any:
        runs.append(1)
        return inner()

    troubled.__annotations__["return"] = hint
    texts: list[str] = []

    @resonate.register
    async def flow(ctx: Context) -> str:
        try:
            await ctx.run(troubled)
        except EncodingError as error:
            texts.append(str(error))
        await ctx.sleep(60)
        return "went on"

    assert MemoryDeployment(resonate).run("flow") == "went on"
    assert runs == [1]
    assert texts[0] == texts[1]
    assert "troubled" in texts[0]
    assert "root:1" in texts[0]
    assert word.lower() in texts[0].lower()


def test_a_bool_declared_as_an_int_is_an_int_from_the_first_run_on() -> None:
    live, replayed = sightings(returning(int, value=True))
    assert shape(live) == shape(replayed) == shape(1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=40, deadline=None)
@given(JSON)
def test_any_json_data_survives(value: Any) -> None:
    live, replayed = sightings(lambda: value)
    assert shape(live) == shape(value)
    assert shape(replayed) == shape(value)


TRIPS = st.builds(
    Trip,
    legs=st.lists(
        st.builds(
            Leg,
            start=st.dates(),
            blob=st.binary(),
            weights=st.dictionaries(st.integers(), st.floats(allow_nan=False), max_size=3),
        ),
        max_size=3,
    ).map(tuple),
    total=st.floats(allow_nan=False),
    color=st.sampled_from([*Color, None]),
)


@settings(max_examples=40, deadline=None)
@given(TRIPS)
def test_any_dataclass_of_dataclasses_survives(trip: Trip) -> None:
    live, replayed = sightings(returning(Trip, trip))
    assert shape(live) == shape(trip)
    assert shape(replayed) == shape(trip)


ORDERS = st.builds(
    Order,
    id=st.uuids(),
    items=st.lists(
        st.builds(
            Item,
            sku=st.text(),
            price=st.decimals(allow_nan=False, allow_infinity=False),
            tags=st.sets(st.text(max_size=3), max_size=3),
        ),
        max_size=3,
    ),
    at=st.datetimes(timezones=st.just(UTC)),
)


@settings(max_examples=40, deadline=None)
@given(ORDERS)
def test_any_model_of_models_survives(order: Order) -> None:
    live, replayed = sightings(returning(Order, order))
    assert live == replayed == order
    assert shape(live) == shape(replayed)
