"""A function that tells, with each answer, what its process has imported so far."""

from __future__ import annotations

import sys
from typing import Any

from resonate_faas import Context, Resonate
from resonate_faas_aws import lambda_handler

resonate = Resonate()


@resonate.register
async def twice(ctx: Context, number: int) -> int:
    """Take two steps of plain values."""
    return await ctx.run(lambda: number) + await ctx.run(lambda: number)


function = lambda_handler(resonate)


def handler(event: Any, context: Any) -> Any:
    """Handle the event; tell what is imported behind it."""
    answer = function(event, context)
    return {"answer": answer, "modules": sorted(sys.modules)}
