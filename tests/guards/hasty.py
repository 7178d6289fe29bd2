"""Business code that is deployed: it asks for no guard, and reads the clock."""

from __future__ import annotations

import time

from resonate_faas import Context, Resonate

resonate = Resonate(guard="off")


@resonate.register
async def hasty(_ctx: Context) -> float:
    """Differ from replay to replay."""
    return time.time() * 0
