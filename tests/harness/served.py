"""What the dev server of these tests serves, and their harness knows."""

from __future__ import annotations

from datetime import timedelta

from resonate_faas import ApplicationError, Constant, Context, Resonate, StepContext

resonate = Resonate()


def greet(name: str, *, loud: bool = False) -> str:
    return f"HELLO {name}" if loud else f"hello {name}"


def stumble(step: StepContext) -> int:
    if step.info.attempt == 1:
        raise ConnectionError("busy")
    return step.info.attempt


@resonate.register
async def child(ctx: Context, name: str) -> str:
    return await ctx.run(greet, name, loud=True)


@resonate.register
async def meet(ctx: Context, name: str) -> list[str]:
    first = await ctx.run(greet, name)
    tries = await ctx.options(retry=Constant(delay=0.1)).run(stumble)
    second = await ctx.rpc(child, name)
    answer = await ctx.options(tags={"ask": "ada"}).promise(str)
    await ctx.detached(child, answer)
    return [first, str(tries), second, answer]


@resonate.register
async def refuse(ctx: Context) -> None:
    await ctx.run(greet, "nobody")
    raise ApplicationError("as planned")


@resonate.register(timeout=timedelta(days=9))
async def nap(ctx: Context, days: float) -> str:
    await ctx.sleep(timedelta(days=days))
    return "rested"
