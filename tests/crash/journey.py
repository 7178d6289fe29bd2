"""A process that runs workflows over one SQLite file until they have ended, or it is killed. Started by the tests.

Usage: journey.py DB LOG LEASE_MS ID... Each run of a step appends a line to LOG: what really happened, recorded or not.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Final

from resonate_faas import Constant, Context, Invocation, Resonate, StepContext
from resonate_faas_local import LocalNode

STEPS: Final = 20
REMOTE: Final = frozenset({4, 9, 14, 19})
STUBBORN: Final = 7
FAILURES: Final = 2
NAP_AFTER: Final = 12
NAP_S: Final = 0.3
STEP_S: Final = 0.02
SWEEP_MS: Final = 100
WAIT_MS: Final = 120_000

resonate = Resonate()


def note(step: StepContext) -> None:
    """Write that the step runs: one line to the log in one write, then one to the parent."""
    line = f"{step.info.id} {step.info.attempt}\n".encode()
    os.write(step.get_dependency("log"), line)
    os.write(sys.stdout.fileno(), line)


def visit(step: StepContext, place: int) -> int:
    """Leave a trace, then be busy for a while: a kill often falls between the effect and its record."""
    note(step)
    threading.Event().wait(STEP_S)
    if place == STUBBORN and step.info.attempt <= FAILURES:
        raise ConnectionError(f"place {place} is closed")
    return place * place


@resonate.register
async def excursion(ctx: Context, place: int) -> int:
    """Visit a place as a task of its own."""
    return await ctx.run(visit, place)


@resonate.register
async def journey(ctx: Context, steps: int) -> list[int]:
    """Visit all places, some by a task of their own; one needs patience, and once there is a nap."""
    seen: list[int] = []
    for place in range(1, steps + 1):
        if place in REMOTE:
            seen.append(await ctx.rpc(excursion, place))
        else:
            seen.append(await ctx.options(retry=Constant(delay=0.1)).run(visit, place))
        if place == NAP_AFTER:
            await ctx.sleep(NAP_S)
    return seen


def main(db: str, log: str, lease_ms: str, *ids: str) -> None:
    resonate.set_dependency("log", os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT))
    with LocalNode(resonate, db, workers=4, lease_ms=int(lease_ms), sweep_interval_ms=SWEEP_MS) as node:
        for one in ids:
            node.client.invoke(Invocation(function="journey", args=[STEPS], id=one))
        os.write(sys.stdout.fileno(), b"ready\n")
        for one in ids:
            node.client.wait(one, WAIT_MS)


if __name__ == "__main__":
    main(*sys.argv[1:])
