"""Deadlines of steps and of children: a timeout for the caller, never later than its own, except for detached roots."""

from __future__ import annotations

from datetime import timedelta

import pytest

from resonate_faas import ApplicationError, Context, Never, PromiseTimeoutError, Resonate
from resonate_faas._machine.objects import PromiseObject
from resonate_faas.testing._deployment import MemoryDeployment


def test_a_step_that_fails_until_its_deadline_is_over_raises_a_timeout_to_the_workflow() -> None:
    resonate = Resonate()

    def step() -> None:
        deployment.clock.advance(11_000)
        raise ValueError("late")

    @resonate.register
    async def flow(ctx: Context) -> str:
        try:
            await ctx.options(timeout=10).run(step)
        except PromiseTimeoutError as error:
            return f"{error.promise_id} timed out"
        return "accepted"

    deployment = MemoryDeployment(resonate)
    assert deployment.run("flow") == "root:1 timed out"


@pytest.mark.parametrize("how", ["run", "rpc"])
def test_a_child_workflow_over_its_deadline_is_a_timeout_for_its_caller(how: str) -> None:
    resonate = Resonate()
    seen: list[str] = []

    @resonate.register
    async def child(ctx: Context) -> None:
        seen.append("begun")
        await ctx.sleep(1_000)
        seen.append("slept")

    @resonate.register
    async def flow(ctx: Context) -> str:
        brief = ctx.options(timeout=30)
        try:
            await (brief.run(child) if how == "run" else brief.rpc(child))
        except PromiseTimeoutError as error:
            return error.promise_id
        return "accepted"

    deployment = MemoryDeployment(resonate)
    born = deployment.clock.now_ms()
    assert deployment.run("flow") == ("root:1" if how == "run" else "root:1r")
    root = deployment.client.get("root")
    assert root is not None
    assert root.promise.settled_at is not None
    assert 30_000 <= root.promise.settled_at - born < 60_000
    assert "slept" not in seen


def test_no_child_outlives_its_caller_but_a_detached_root_does() -> None:
    resonate = Resonate()

    @resonate.register
    async def leaf(ctx: Context) -> None:
        await ctx.sleep(500)

    @resonate.register(timeout=timedelta(seconds=100))
    async def flow(ctx: Context) -> str:
        ctx.sleep(1_000)
        ctx.options(timeout=1_000).rpc(leaf)
        ctx.promise(timeout=1_000)
        return await ctx.options(timeout=1_000).detached(leaf)

    deployment = MemoryDeployment(resonate)
    born = deployment.clock.now_ms()
    deployment.start("flow")
    deployment.deliver_due()
    ends = {
        found.id: found.promise.timeout_at - born
        for found in deployment.store.search("promise", limit=100)
        if isinstance(found, PromiseObject)
    }
    detached = next(promise_id for promise_id in ends if promise_id.startswith("root-d"))
    assert ends.pop(detached) == 1_000_000
    assert set(ends.values()) == {100_000}
    deployment.settle()
    with pytest.raises(PromiseTimeoutError):
        deployment.result()


def test_an_unknown_exit_of_a_step_is_an_error_of_its_name() -> None:
    resonate = Resonate()

    def leaves() -> None:
        raise SystemExit(3)

    @resonate.register
    async def flow(ctx: Context) -> str:
        try:
            await ctx.options(retry=Never()).run(leaves)
        except ApplicationError as error:
            return error.name
        return "accepted"

    assert MemoryDeployment(resonate).run("flow") == "SystemExit"
