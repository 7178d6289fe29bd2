"""Business code that a dev server of these tests serves: every step leaves a line in a file."""

from __future__ import annotations

import os
import time
from pathlib import Path

from resonate_faas import Context, PromiseTimeoutError, Resonate

LOG = Path(os.environ.get("STEPS_LOG", os.devnull))
resonate = Resonate()


def note(line: str) -> str:
    with LOG.open("a") as log:
        log.write(f"{line}\n")
    return line


def hold(seconds: float) -> None:
    note("holding")
    time.sleep(seconds)


@resonate.register
async def count(ctx: Context, name: str, steps: int, pause: float = 0.0) -> int:
    for number in range(steps):
        await ctx.run(note, f"{name}-{number}")
        if pause:
            await ctx.sleep(pause)
    return steps


@resonate.register
async def fan(ctx: Context, name: str, children: int) -> int:
    return sum(await ctx.gather(*[ctx.rpc(count, f"{name}.{child}", 2) for child in range(children)]))


@resonate.register
async def slow(ctx: Context, seconds: float) -> str:
    await ctx.run(hold, seconds)
    return "done"


@resonate.register
async def approve(ctx: Context) -> str:
    answer = ctx.promise(str, timeout=600)
    await ctx.run(note, answer.link("resolve"))
    try:
        return f"answered {await answer}"
    except PromiseTimeoutError:
        return "nobody answered"
