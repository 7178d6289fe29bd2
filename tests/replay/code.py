"""The workflows behind the recorded histories. Frozen: to change one, add another with a history of its own."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from resonate_faas import Constant, Context, PromiseCanceledError, StepContext


@dataclass(frozen=True)
class Item:
    name: str
    count: int


def reserve(item: Item) -> Item:
    return Item(item.name, item.count + 1)


def charge(amount: float) -> str:
    return f"charged {amount}"


def unreliable(step: StepContext) -> int:
    if step.info.attempt < 3:
        raise ValueError(f"attempt {step.info.attempt}")
    return step.info.attempt


def refuse(name: str) -> None:
    raise LookupError(name)


async def ship(ctx: Context, item: Item) -> str:
    await ctx.sleep(30)
    return await ctx.run(label, item.name)


def label(name: str) -> str:
    return f"label {name}"


async def purchase(ctx: Context, amount: float) -> dict[str, Any]:
    """Every kind of call, once: the broadest history."""
    item = await ctx.run(reserve, Item("book", 1))
    when = await ctx.now()
    approval = ctx.promise(str, timeout=7_200)
    race = ctx.race(approval, ctx.sleep(3_600))
    approved = await race
    if race.winner == 1:
        return {"approved": False}
    receipt, shipped = await ctx.gather(ctx.run(charge, amount), ctx.rpc(ship, item))
    told = await ctx.detached(follow_up, receipt)
    return {
        "approved": approved,
        "item": [item.name, item.count],
        "receipt": receipt,
        "shipped": shipped,
        "told": told.startswith("root-d"),
        "year": isinstance(when, datetime) and when.year,
        "draw": ctx.random.randint(1, 1_000_000),
    }


async def purchase_reordered(ctx: Context, amount: float) -> dict[str, Any]:
    """``purchase`` after a careless change: it charges before it asks."""
    item = await ctx.run(reserve, Item("book", 1))
    receipt = await ctx.run(charge, amount)
    return {"item": item.name, "receipt": receipt}


async def follow_up(ctx: Context, receipt: str) -> str:
    return await ctx.run(label, receipt)


async def persistent(ctx: Context) -> list[Any]:
    """Retries on record, a rejection caught, a child workflow."""
    tries = await ctx.options(retry=Constant(delay=60)).run(unreliable)
    try:
        await ctx.options(retry=Constant(delay=1, max_retries=0)).run(refuse, "nothing")
    except LookupError as error:
        said = str(error)
    return [tries, said, await ctx.run(child, 3)]


async def persistent_no_more(ctx: Context) -> str:
    """``persistent`` after a careless change: another step comes first."""
    return await ctx.run(label, "first")


async def child(ctx: Context, depth: int) -> int:
    word = await ctx.promise(int)
    return word + (await ctx.run(child, depth - 1) if depth > 1 else 0)


def chooser(ctx: Context) -> Generator[Any, Any, list[Any]]:
    """A generator: races, losers cancelled, a map with a limit."""
    words = [ctx.promise(str), ctx.promise(str)]
    won = yield ctx.race(*words)
    seen = [won]
    for word in words:
        try:
            seen.append((yield word))
        except PromiseCanceledError:
            seen.append("cancelled")
    labels = yield ctx.map(slow_label, ["x", "y", "z"], concurrency=2)
    return [*seen, *labels]


def slow_label(ctx: Context, name: str) -> Generator[Any, Any, str]:
    yield ctx.sleep(60)
    said = yield ctx.run(label, name)
    return str(said)


async def chooser_unlimited(ctx: Context) -> list[Any]:
    """``chooser`` after a careless change: the race is gone."""
    words = [ctx.promise(str), ctx.promise(str)]
    seen = await ctx.gather(*words, return_exceptions=True)
    await ctx.sleep(1)
    return seen


FUNCTIONS = (
    purchase,
    purchase_reordered,
    ship,
    follow_up,
    persistent,
    persistent_no_more,
    child,
    chooser,
    slow_label,
    chooser_unlimited,
)
