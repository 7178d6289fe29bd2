"""The workflows that these tests deploy."""

from __future__ import annotations

import os
import time
from pathlib import Path

from resonate_faas import Context, Resonate

REVISION = os.environ.get("TEST_REVISION", "1")
MOMENT_S = 0.01
resonate = Resonate()


def echo(number: int) -> int:
    """Do nothing else."""
    return number


@resonate.register
async def nothing(ctx: Context) -> str:
    """End at once."""
    del ctx
    return "done"


@resonate.register
async def sequence(ctx: Context, count: int) -> int:
    """Take steps one after another."""
    return sum([await ctx.run(echo, number) for number in range(count)])


@resonate.register
async def child(ctx: Context, number: int) -> int:
    """Be a task of its own."""
    del ctx
    return number


@resonate.register
async def fan_out(ctx: Context, count: int) -> int:
    """Have as many tasks at the same time."""
    numbers = await ctx.gather(*[ctx.rpc(child, number) for number in range(count)])
    return sum(numbers)


@resonate.register
async def sleeper(ctx: Context, seconds: float) -> str:
    """Sleep once."""
    await ctx.sleep(seconds)
    return "awake"


@resonate.register
async def chain(ctx: Context, left: int) -> int:
    """Go on in a fresh execution."""
    if left:
        await ctx.detached(chain, left - 1)
    return left


def meet(folder: str, name: str, other: str) -> int:
    """Wait until the other one is there too; return the process."""
    Path(folder, name).touch()
    while not Path(folder, other).exists():
        time.sleep(MOMENT_S)
    return os.getpid()


@resonate.register
async def meeting(ctx: Context, folder: str, name: str, other: str) -> int:
    """Do something that only two of us at the same time can."""
    return await ctx.run(meet, folder, name, other)


def which(number: int) -> str:
    """Tell which revision took the step."""
    time.sleep(MOMENT_S)
    del number
    return REVISION


@resonate.register
async def revisions(ctx: Context, count: int) -> list[str]:
    """Take steps and naps, each nap an occasion to change the revision."""
    told: list[str] = []
    for number in range(count):
        told.append(await ctx.run(which, number))
        await ctx.sleep(0.6)
    return told


if REVISION == "2":

    @resonate.register
    async def novelty(ctx: Context) -> str:
        """Exist in the second revision alone."""
        return await ctx.run(which, 1)


def hold(folder: str) -> str:
    """Last until somebody lets it end."""
    Path(folder, f"held-{os.getpid()}").touch()
    while not Path(folder, "free").exists():
        time.sleep(MOMENT_S)
    return "held"


@resonate.register
async def holding(ctx: Context, folder: str) -> str:
    """Take one long step."""
    return await ctx.run(hold, folder)
