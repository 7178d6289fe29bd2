"""Business code that `resonate-faas worker` serves for a server that is not ours; each step leaves a line in a file."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from resonate_faas import Constant, Context, Resonate

LOG = Path(os.environ.get("STEPS_LOG", os.devnull))
resonate = Resonate()


def note(line: str) -> str:
    with LOG.open("a") as log:
        log.write(f"{line}\n")
    return line


def double(number: int) -> int:
    note(f"double {number}")
    return number * 2


def hold() -> None:
    """Stay long enough to be killed, but only once."""
    is_first = "holding" not in LOG.read_text()
    note("holding")
    if is_first:
        time.sleep(60)


@resonate.register
async def increment(ctx: Context, number: int) -> int:
    return number + 1


@resonate.register
async def refuse(ctx: Context, number: int) -> None:
    raise ValueError(f"no {number}")


@resonate.register
async def nested(ctx: Context, number: int) -> int:
    return await ctx.run(double, number)


@resonate.register
async def tour(ctx: Context, number: int) -> dict[str, Any]:
    doubled = await ctx.run(double, number)
    await ctx.sleep(2.5)
    children = await ctx.gather(*[ctx.rpc(increment, n) for n in range(3)])
    try:
        await ctx.rpc(refuse, 7)
    except ValueError as error:
        message = str(error)
    inner = await ctx.run(nested, doubled)
    await ctx.sleep(0.2)
    last = await ctx.run(note, "end")
    return {"doubled": doubled, "children": children, "error": message, "nested": inner, "last": last}


@resonate.register
async def errand(ctx: Context, number: int, nap_s: float) -> list[int]:
    """A step, a sleep, a child and a grandchild: what a pushed function is asked for again and again."""
    doubled = await ctx.run(double, number)
    await ctx.sleep(nap_s)
    child = await ctx.rpc(relayed, doubled)
    return [doubled, child]


@resonate.register
async def relayed(ctx: Context, number: int) -> int:
    return await ctx.options(target="default").rpc(increment, number)


def stubborn() -> str:
    if LOG.read_text().count("stubborn") < 2:
        note("stubborn")
        raise ConnectionError("busy")
    return note("gave in")


@resonate.register
async def never(ctx: Context) -> Any:
    return await ctx.promise()


@resonate.register
async def varied(ctx: Context) -> dict[str, Any]:
    """A retry with waits, a race whose loser is cancelled, a child that runs out of time, a promise that does."""
    note("begun")
    retried = await ctx.options(retry=Constant(delay=0.1)).run(stubborn)
    won = await ctx.race(ctx.sleep(0.2), ctx.rpc(never), cancel=True)
    late = []
    for what in (ctx.options(timeout=0.4).rpc(never), ctx.options(timeout=0.4).promise()):
        try:
            await what
        except TimeoutError as error:
            late.append(type(error).__name__)
    return {"retried": retried, "won": won is None, "late": late}


@resonate.register
async def approval(ctx: Context) -> Any:
    return await ctx.promise()


@resonate.register
async def relay(ctx: Context, left: int) -> str:
    if left == 0:
        return "done"
    return await ctx.detached(relay, left - 1)


@resonate.register
async def patient(ctx: Context) -> str:
    await ctx.run(note, "before")
    await ctx.run(hold)
    return "held"
