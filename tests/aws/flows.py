"""Business code for these tests: workflows whose every run of a step leaves a line in a file."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

from resonate_faas import Constant, Context, Resonate, StepContext

STEPS: Final = 20
REMOTE: Final = frozenset({4, 12})
STUBBORN: Final = 7
STEP_S: Final = 0.03
LONG_S: Final = 1_000.0

resonate = Resonate()


def note(step: StepContext) -> None:
    """Write that the step runs: one line in one write."""
    log = os.open(os.environ["TEST_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, f"{step.info.id} {step.info.attempt}\n".encode())
    os.close(log)


def visit(step: StepContext, place: int) -> int:
    """Leave a trace, then be busy for a while: a kill often falls between the effect and its record."""
    note(step)
    threading.Event().wait(STEP_S)
    if place == STUBBORN and step.info.attempt == 1:
        raise ConnectionError(f"place {place} is closed")
    return place * place


@resonate.register
async def excursion(ctx: Context, place: int) -> int:
    """Visit a place as a task of its own."""
    return await ctx.run(visit, place)


@resonate.register
async def journey(ctx: Context, steps: int) -> list[int]:
    """Visit all places, some by a task of their own; one needs patience."""
    seen: list[int] = []
    for place in range(1, steps + 1):
        if place in REMOTE:
            seen.append(await ctx.rpc(excursion, place))
        else:
            seen.append(await ctx.options(retry=Constant(delay=0.05)).run(visit, place))
    return seen


def hang_once(step: StepContext) -> str:
    """Hang, the first time."""
    note(step)
    wait_once("hung")
    return "done"


def wait_once(name: str) -> None:
    """Wait, the first time, for longer than a process lives; a file remembers."""
    flag = Path(os.environ["TEST_LOG"] + name)
    if not flag.exists():
        flag.touch()
        threading.Event().wait(LONG_S)


@resonate.register
async def hanging(ctx: Context, steps: int) -> list[int | str]:
    """Take some steps, of which the last hangs once."""
    seen: list[int | str] = [await ctx.run(visit, place) for place in range(1, steps + 1)]
    return [*seen, await ctx.run(hang_once)]


@resonate.register
async def blocking(ctx: Context, place: int) -> int:
    """Block the driver itself, once: neither a heartbeat nor the deadline gets a word in, until Lambda stops it."""
    found = await ctx.run(visit, place)
    wait_once("blocked")
    return found + await ctx.run(visit, place + 1)


if "TEST_OLD" not in os.environ:

    @resonate.register
    async def novelty(ctx: Context, place: int) -> int:
        """Unknown to the version of this code that is deployed next to it."""
        return await ctx.run(visit, place)
