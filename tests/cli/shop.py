"""The functions that the command line is tested with."""

from __future__ import annotations

from typing import Any

from resonate_faas import Context, Never, Resonate

resonate = Resonate()


@resonate.register
async def greet(ctx: Context, name: str, *, loud: bool = False) -> str:
    text = await ctx.run(compose, name)
    return text.upper() if loud else text


def compose(name: str) -> str:
    return f"hello {name}"


@resonate.register
async def echo(ctx: Context, *values: Any) -> Any:
    del ctx
    return list(values)


@resonate.register
async def approval(ctx: Context, item: str) -> str:
    answer = await ctx.promise(str)
    return f"{item}: {answer}"


@resonate.register
async def fail(ctx: Context, reason: str) -> None:
    await ctx.options(retry=Never()).run(refuse, reason)


def refuse(reason: str) -> None:
    raise LookupError(reason)


@resonate.register
async def order(ctx: Context) -> str:
    await ctx.run(compose, "stock")
    await ctx.rpc(charge, 5)
    await ctx.sleep(0.01)
    answer = await ctx.promise(str)
    return f"shipped {answer}"


@resonate.register
async def charge(ctx: Context, amount: int) -> int:
    return await ctx.run(double, amount)


def double(amount: int) -> int:
    return 2 * amount
