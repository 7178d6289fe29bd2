"""The history as typed entries, and as a tree to read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from pydantic import BaseModel

from resonate_faas import Constant, Context, PromiseState, Resonate
from resonate_faas.testing import EPOCH_MS, Harness

resonate = Resonate()


class Item(BaseModel):
    name: str
    price: int


def price(item: Item, discount: int = 0) -> int:
    return item.price - discount


def fail() -> None:
    raise ValueError("broken")


async def both(ctx: Context, item: Item) -> int:
    full = await ctx.run(price, item)
    return full + await ctx.run(price, item, discount=1)


@resonate.register
async def tell(ctx: Context, text: str) -> str:
    await ctx.sleep(5)
    return text


@resonate.register(timeout=timedelta(days=9))
async def everything(ctx: Context, item: Item) -> int:
    total = await ctx.run(both, item)
    await ctx.now()
    await ctx.rpc(tell, "hello")
    await ctx.sleep(timedelta(days=1))
    with suppress(ValueError):
        await ctx.options(retry=Constant(delay=60, max_retries=1)).run(fail)
    await ctx.race(ctx.sleep(10), ctx.sleep(20))
    await ctx.options(tags={"ask": "x"}).promise(int)
    await ctx.detached(tell, "bye")
    return total


TREE = """\
everything-1  everything({'name': 'pen', 'price': 3}) → 5 after 1 day, 0:01:15
   everything-1:1  both(…) → 5
      everything-1:1.1  price(Item(name='pen', price=3)) → 3
      everything-1:1.2  price(Item(name='pen', price=3), discount=1) → 2
   everything-1:2  now → '2023-11-14T22:13:20Z'
   everything-1:3r  rpc tell('hello') → 'hello' after 0:00:05
      everything-1:3r.1  sleep → woke after 0:00:05
   everything-1:4  sleep → woke after 1 day
   everything-1:5  fail() → rejected: broken (2 attempts) after 0:01:00
   everything-1:6  sleep → woke after 0:00:10
   everything-1:7  sleep → rejected_canceled: promise 'everything-1:7' was cancelled after 0:00:10
   everything-1:8  race → 0
   everything-1:9  promise → 4
   everything-1:10  detached tell(…) → '{successor}'"""


@pytest.fixture
def harness(resonate_harness: Callable[..., Harness]) -> Harness:
    harness = resonate_harness(resonate)
    harness.respond(resolve=4)
    harness.run(everything, Item(name="pen", price=3))
    return harness


def test_it_is_drawn_as_a_tree(harness: Harness) -> None:
    (successor,) = harness.runs[0].successors()
    assert str(harness.history()) == TREE.replace("{successor}", successor.id)


def test_entries_are_typed(harness: Harness) -> None:
    history = harness.history()
    root = history[0]
    assert (root.kind, root.parent_id, root.function, root.version) == ("root", None, "everything", 1)
    assert (root.args, root.value, root.attempts) == (({"name": "pen", "price": 3},), 5, 0)
    assert root.started_at.timestamp() * 1000 == EPOCH_MS
    assert root.timeout_at - root.started_at == timedelta(days=9)
    first, second = history.calls(price)
    assert (first.args, second.kwargs) == ((Item(name="pen", price=3),), {"discount": 1})
    assert (first.parent_id, first.attempts, first.value) == ("everything-1:1", 1, 3)
    failed = history.call("fail")
    assert (failed.state, failed.attempts, repr(failed.error)) == (
        PromiseState.REJECTED,
        2,
        "ValueError('broken')",
    )
    assert failed.settled_at is not None
    assert failed.settled_at - failed.started_at == timedelta(minutes=1)
    assert [one.id for one in history.kinds("sleep")] == [
        f"everything-1:{place}" for place in ("3r.1", 4, 6, 7)
    ]
    assert history.kinds("promise")[0].tags == {"ask": "x"}
    assert len(history[1:3]) == 2


def test_the_only_call_must_be_the_only_one(harness: Harness) -> None:
    with pytest.raises(AssertionError, match="price was called 2 times, not once:\neverything-1"):
        harness.history().call(price)
    with pytest.raises(AssertionError, match="charge was called 0 times"):
        harness.history().call("charge")


def test_a_pending_one(resonate_harness: Callable[..., Harness]) -> None:
    harness = resonate_harness(resonate)
    harness.start(everything, Item(name="pen", price=3))
    harness.run_until_idle()
    last = harness.history()[-1]
    assert (str(last), last.state, last.settled_at, last.value) == ("sleep → pending", "pending", None, None)


@resonate.register
async def patched(ctx: Context) -> int:
    first = await ctx.run(price, Item(name="pen", price=3))
    return first + await ctx.run(price, Item(name="ink", price=4)) if ctx.patched("ink") else first


def test_a_patch_stands_before_the_numbered_calls_and_keeps_the_checks(
    resonate_harness: Callable[..., Harness],
) -> None:
    harness = resonate_harness(resonate)
    assert harness.run(patched) == 7
    assert [(one.id, one.kind) for one in harness.history()] == [
        ("patched-1", "root"),
        ("patched-1:patch-ink", "patch"),
        ("patched-1:1", "run"),
        ("patched-1:2", "run"),
    ]
    assert harness.crash_matrix(patched).runs > 10
    assert harness.replay_every_step().runs > 3
