"""Business code of ours that calls functions of the official SDKs and is called by them."""

from __future__ import annotations

from typing import Any

from resonate_faas import Context, Resonate

resonate = Resonate()


@resonate.register
async def add(ctx: Context, left: int, right: int) -> int:
    return left + right


@resonate.register
async def refuse(ctx: Context, why: str) -> None:
    raise ValueError(why)


@resonate.register
async def ask(ctx: Context, target: str, function: str, value: Any) -> dict[str, Any]:
    """Return what a foreign function makes of a value, and the error that it raises."""
    answer = await ctx.options(target=target).rpc(function, value)
    try:
        await ctx.options(target=target).rpc("fails", value)
    except Exception as error:
        return {"answer": answer, "error": str(error)}
    return {"answer": answer, "error": None}
