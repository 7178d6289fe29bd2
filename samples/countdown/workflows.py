"""Count down, one durable step and one durable sleep at a time."""

from __future__ import annotations

import os
from pathlib import Path

from resonate_faas import Context, Resonate

resonate = Resonate()


def announce(number: int) -> str:
    """Say the number. With COUNTDOWN_LOG set, append it to that file too: proof of what really ran."""
    log = os.environ.get("COUNTDOWN_LOG")
    if log:
        with Path(log).open("a", encoding="utf-8") as lines:
            lines.write(f"{number}\n")
    return f"{number}..."


@resonate.register
async def countdown(ctx: Context, n: int, every: float = 1.0) -> str:
    """Announce n, n-1, ... 1, ``every`` seconds apart; nothing runs while it sleeps."""
    for number in range(n, 0, -1):
        await ctx.run(announce, number)
        await ctx.sleep(every)
    return "lift-off"
