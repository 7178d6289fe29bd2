"""The functions that safe deploys are tested with, as they were when the executions began."""

from __future__ import annotations

from resonate_faas import Constant, Context, Resonate

resonate = Resonate()


def reserve(item: str) -> str:
    return f"reserved {item}"


def ship(item: str) -> str:
    return f"shipped {item}"


def bank() -> None:
    raise OSError("no route to the bank")


@resonate.register(name="sell")
async def sell_once(ctx: Context, item: str) -> str:
    await ctx.run(reserve, item)
    return await ctx.promise(str)


@resonate.register(name="sell", version=2)
async def sell(ctx: Context, item: str) -> str:
    await ctx.run(reserve, item)
    approved = await ctx.promise(str)
    return approved + await ctx.run(ship, item)


@resonate.register
async def market(ctx: Context, item: str) -> None:
    await ctx.gather(
        ctx.rpc(sell, item), ctx.options(retry=Constant(delay=3_600)).run(bank), ctx.sleep(7_200)
    )
