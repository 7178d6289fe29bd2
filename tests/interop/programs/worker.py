"""A worker on resonate-sdk (Python): worker.py URL GROUP. Prints a line when it is ready; runs until it is killed."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import Any

from resonate.context import Context
from resonate.resonate import Resonate
from resonate.retry import Never


async def shout(ctx: Context, value: Any) -> Any:
    return {"shouted": str(value["text"]).upper(), "by": "python", "given": value}


async def fails(ctx: Context, value: Any) -> None:
    raise RuntimeError(f"python refuses {value['text']}")


async def ask_ours(ctx: Context, left: int, right: int) -> dict[str, Any]:
    there = ctx.options(target="local://default")
    total = await there.rpc("add", left, right)
    try:
        await there.rpc("refuse", "because")
    except Exception as error:
        return {"total": total, "error": str(error)}
    return {"total": total, "error": None}


async def main() -> None:
    resonate = Resonate(url=sys.argv[1], group=sys.argv[2], ttl=timedelta(seconds=20), retry_policy=Never())
    for function in (shout, fails, ask_ours):
        resonate.register(function)
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
