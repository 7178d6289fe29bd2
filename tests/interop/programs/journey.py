"""A user's programs on resonate-sdk (Python), run against the server named on the command line.

Run by an interpreter that has resonate-sdk 0.8: journey.py URL GROUP SECONDS [PROGRAM...]; prints one JSON object: the
outcome of every program, each given that many seconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from resonate.context import Context
from resonate.resonate import Resonate
from resonate.retry import Constant, Never
from resonate.types import Value

URL, GROUP, LIMIT_S = sys.argv[1], sys.argv[2], float(sys.argv[3])
SHORT = timedelta(milliseconds=300)
attempts: dict[str, int] = {}
undone: list[str] = []


@dataclass
class Order:
    item: str
    count: int


async def hello(ctx: Context, name: str) -> str:
    return f"hello {name}"


async def fib_run(ctx: Context, n: int) -> int:
    if n < 2:
        return n
    left, right = ctx.run(fib_run, n - 1), ctx.run(fib_run, n - 2)
    return await left + await right


async def fib_rpc(ctx: Context, n: int) -> int:
    if n < 2:
        return n
    left, right = ctx.rpc(fib_rpc, n - 1), ctx.rpc(fib_rpc, n - 2)
    return await left + await right


async def fib_both(ctx: Context, n: int) -> int:
    if n < 2:
        return n
    left, right = ctx.run(fib_both, n - 1), ctx.rpc(fib_both, n - 2)
    return await left + await right


async def fan_out(ctx: Context, width: int) -> int:
    parts = [ctx.rpc(square, n) for n in range(width)]
    return sum([await part for part in parts])


async def square(ctx: Context, n: int) -> int:
    return n * n


async def nap(ctx: Context) -> str:
    await ctx.sleep(SHORT)
    await ctx.sleep(SHORT)
    return "rested"


async def approval(ctx: Context) -> Any:
    return await ctx.promise()


async def flaky(ctx: Context, key: str) -> int:
    attempts[key] = attempts.get(key, 0) + 1
    if attempts[key] < 3:
        raise ValueError(f"not yet: {attempts[key]}")
    return attempts[key]


async def retries(ctx: Context, key: str) -> int:
    return await ctx.options(retry_policy=Constant(delay=0, max_retries=5)).run(flaky, key)


async def broken(ctx: Context) -> None:
    raise RuntimeError("out of stock")


async def handles_errors(ctx: Context) -> list[str]:
    seen = []
    for call in (ctx.options(retry_policy=Never()).run, ctx.rpc):
        try:
            await call(broken)
        except Exception as error:
            seen.append(f"{type(error).__name__}: {error}")
    return seen


async def detaches(ctx: Context) -> str:
    return await ctx.detached("hello", "from afar")


async def book(ctx: Context, what: str) -> str:
    if what == "car":
        raise RuntimeError("no cars left")
    return what


async def cancel(ctx: Context, what: str) -> None:
    undone.append(what)


async def saga(ctx: Context) -> str:
    done: list[str] = []
    try:
        for what in ("flight", "hotel", "car"):
            done.append(await ctx.options(retry_policy=Never()).run(book, what))
    except RuntimeError as error:
        for what in reversed(done):
            await ctx.run(cancel, what)
        return f"rolled back: {error}"
    return "booked"


async def greet_one(ctx: Context) -> str:
    return "one"


async def greet_two(ctx: Context) -> str:
    return "two"


async def versions(ctx: Context) -> list[str]:
    return [await ctx.options(version=1).rpc("greet"), await ctx.options(version=2).rpc("greet")]


async def order(ctx: Context, given: Order) -> Order:
    return await ctx.rpc(double, given)


async def double(ctx: Context, given: Order) -> Order:
    return Order(given.item, given.count * 2)


async def external(resonate: Resonate, run: str) -> Any:
    handle = resonate.run(f"{run}-approval", approval)
    child = f"{run}-approval:1"
    for _ in range(200):
        found = await resonate.promises.search("pending", {"resonate:origin": f"{run}-approval"}, 10, None)
        ids = [one.id for one in found.promises if one.id != f"{run}-approval"]
        if ids:
            child = ids[0]
            break
        await asyncio.sleep(0.05)
    await resonate.promises.resolve(child, Value(data={"approved": True}))
    return await handle.result()


async def scheduled(resonate: Resonate, run: str) -> str:
    """A schedule exists as it was made, and is gone when it is deleted; its firing is the server's own suite."""
    schedule = await resonate.options(target=GROUP).schedule(
        f"{run}-nightly", "0 3 * * *", "hello", args=("night",)
    )
    found = await resonate.schedules.get(f"{run}-nightly")
    await schedule.delete()
    return found.cron


async def detached(resonate: Resonate, run: str) -> Any:
    child = await resonate.run(f"{run}-detaches", detaches).result()
    return await (await resonate.get(child)).result()


async def main() -> None:
    resonate = Resonate(url=URL, group=GROUP, ttl=timedelta(seconds=20), retry_policy=Never())
    for function in (
        hello, fib_run, fib_rpc, fib_both, fan_out, square, nap, approval, flaky, retries, broken, handles_errors,
        detaches, book, cancel, saga, versions, order, double,
    ):  # fmt: skip
        resonate.register(function)
    resonate.register(greet_one, name="greet", version=1)
    resonate.register(greet_two, name="greet", version=2)
    run = f"py-{time.time_ns()}"

    async def result(function: Any, *args: Any) -> Any:
        return await resonate.run(f"{run}-{function.__name__}", function, *args).result()

    programs: dict[str, Any] = {
        "hello": result(hello, "world"),
        "fib_run": result(fib_run, 6),
        "fib_rpc": result(fib_rpc, 5),
        "fib_both": result(fib_both, 5),
        "fan_out": result(fan_out, 20),
        "nap": result(nap),
        "approval": external(resonate, run),
        "retries": result(retries, run),
        "handles_errors": result(handles_errors),
        "detached": detached(resonate, run),
        "saga": result(saga),
        "versions": result(versions),
        "order": result(order, Order("tea", 2)),
        "rpc": resonate.options(target=GROUP).rpc(f"{run}-rpc", "hello", "rpc").result(),
        "scheduled": scheduled(resonate, run),
    }
    chosen = sys.argv[4:] or list(programs)
    outcomes: dict[str, Any] = {}

    async def record(name: str) -> None:
        try:
            async with asyncio.timeout(LIMIT_S):
                value = await programs[name]
                outcomes[name] = vars(value) if isinstance(value, Order) else value
        except Exception as error:
            outcomes[name] = f"{type(error).__name__}: {error}"

    await asyncio.gather(*(record(name) for name in chosen))
    for name in programs.keys() - set(chosen):
        programs[name].close()
    outcomes["undone"] = undone
    print(json.dumps(outcomes), flush=True)
    os._exit(0)  # its stop() waits for tasks that others may hold


asyncio.run(main())
