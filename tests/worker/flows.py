"""One workflow that uses every kind of durable call, and what its records look like whatever went wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.worker.kit import World

from resonate_faas import Constant, Context, Resonate
from resonate_faas._machine.objects import PromiseObject

RESULT = [1, [2, 3], "again", 40, 0, "caught ValueError"]


def everything(calls: list[str]) -> Resonate:
    """Return a Resonate with ``flow``; each step tells its name to ``calls``."""
    resonate = Resonate()

    def step(value: int) -> int:
        calls.append(f"step {value}")
        return value

    def flaky() -> str:
        calls.append("flaky")
        if calls.count("flaky") == 1:
            raise OSError("at first")
        return "again"

    def failing() -> None:
        calls.append("failing")
        raise ValueError("always")

    @resonate.register
    async def child(ctx: Context, value: int) -> int:
        await ctx.sleep(30)
        return 10 * await ctx.run(step, value)

    @resonate.register
    async def successor(ctx: Context) -> None:
        await ctx.run(step, 9)

    @resonate.register
    async def flow(ctx: Context) -> list[Any]:
        first = await ctx.run(step, 1)
        both = await ctx.gather(ctx.run(step, 2), ctx.run(step, 3))
        again = await ctx.options(retry=Constant(delay=5.0)).run(flaky)
        remote = ctx.rpc(child, 4)
        race = ctx.race(ctx.sleep(10), ctx.sleep(100))
        await race
        caught = "nothing"
        try:
            await ctx.options(retry=Constant(max_retries=0)).run(failing)
        except ValueError as error:
            caught = f"caught {type(error).__name__}"
        await ctx.detached(successor)
        return [first, both, again, await remote, race.winner, caught]

    return resonate


def shape(world: World) -> dict[str, tuple[str, str | None, str | None]]:
    """Return (state, param, value) by id, detached ids without their digest: they depend on the root's birth."""
    found = world.store.search("promise", limit=1_000)
    return {
        _plain(one.id): (one.promise.state.value, one.promise.param.data, _value(one))
        for one in found
        if isinstance(one, PromiseObject)
    }


def _plain(promise_id: str) -> str:
    return re.sub(r"-d[0-9a-f]{32}", "-d", promise_id)


def _value(one: PromiseObject) -> str | None:
    return None if "detached" in _text(one.promise.param.data) else one.promise.value.data


def _text(data: str | None) -> str:
    import base64  # noqa: PLC0415 - a detail of this helper

    return base64.b64decode(data or "").decode()


Flow = Callable[[list[str]], Resonate]
