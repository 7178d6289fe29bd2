"""What an activation knows of the ones before it, over servers that tell it all and servers that tell nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tests.remote.wire import URL, AppTransport, Everybody, server_at

from resonate_faas import Context, Invocation, Resonate
from resonate_faas._clock import SystemClock
from resonate_faas._http import App
from resonate_faas._machine.objects import Execute, PromiseState
from resonate_faas._worker import Ended
from resonate_faas_remote import RemoteNode

Deploy = Callable[[Resonate], None]


class Silent(AppTransport):
    """Serves neither searches nor preloads: the protocol allows both."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        if asked["kind"] == "promise.search":
            head = {**asked["head"], "status": 501}
            return httpx.Response(501, json={"kind": asked["kind"], "head": head, "data": "not implemented"})
        answer = super().handle_request(request)
        body = json.loads(answer.content)
        if isinstance(body["data"], dict) and "preload" in body["data"]:
            body["data"]["preload"] = []
        return httpx.Response(answer.status_code, json=body)


class Site:
    """A server in memory, and what is deployed for it by and by."""

    def __init__(self, wire: type[AppTransport] = AppTransport) -> None:
        self.clock = SystemClock()
        self.node = server_at(self.clock)
        self.wire = wire(App(self.node, Everybody()))

    def deployed(self, deploy: Deploy) -> RemoteNode:
        resonate = Resonate()
        deploy(resonate)
        return RemoteNode(resonate, URL, clock=self.clock, heartbeats=False, transport=self.wire)

    def state(self, promise_id: str) -> PromiseState | None:
        found = self.node.server.observe((promise_id,)).get(promise_id)
        return None if found is None else found.promise.state


def old(resonate: Resonate) -> None:
    @resonate.register
    async def flow(ctx: Context) -> Any:
        return await ctx.run(inner)

    async def inner(ctx: Context) -> Any:
        return await ctx.promise()

    resonate.register(inner)


def new(resonate: Resonate) -> None:
    @resonate.register
    async def flow(ctx: Context) -> Any:
        return await ctx.run(inner)

    async def inner(ctx: Context) -> Any:
        if ctx.patched("ask-twice"):
            await ctx.promise()
        return await ctx.promise()

    resonate.register(inner)


def run(node: RemoteNode, root: str, version: int) -> Ended:
    return node.execute(Execute(id=root, version=version, target=""))


def test_a_patch_in_a_local_workflow_knows_that_an_earlier_activation_went_past() -> None:
    """What the earlier one left there is a promise: of no task's branch, and not the root's child."""
    site = Site()
    with site.deployed(old) as before, site.deployed(new) as after:
        root = before.client.invoke(Invocation(function="flow")).id
        assert run(before, root, 0) is Ended.SUSPENDED
        after.client.settle(f"{root}:1.1", PromiseState.RESOLVED, "yes")
        assert run(after, root, 1) is Ended.DONE
        fresh = after.client.invoke(Invocation(function="flow")).id
        assert run(after, fresh, 0) is Ended.SUSPENDED
        assert site.state(f"{fresh}:1.patch-ask-twice") is PromiseState.RESOLVED


@pytest.mark.parametrize("deploy", [old, new])
def test_where_nothing_is_told_a_patch_is_refused_and_all_else_goes_on(
    deploy: Deploy, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(Silent)
    with site.deployed(deploy) as node:
        root = node.client.invoke(Invocation(function="flow")).id
        if deploy is old:
            assert run(node, root, 0) is Ended.SUSPENDED
            node.client.settle(f"{root}:1.1", PromiseState.RESOLVED, "yes")
            assert run(node, root, 1) is Ended.DONE
        else:
            assert run(node, root, 0) is Ended.RELEASED
            assert site.state(f"{root}:1.patch-ask-twice") is None
            assert "does not search" in caplog.text + str([vars(record) for record in caplog.records])


def test_many_open_calls_are_one_search() -> None:
    site = Site()

    def deploy(resonate: Resonate) -> None:
        async def ask(ctx: Context, number: int) -> Any:
            return await ctx.promise(), number

        resonate.register(ask)

        @resonate.register
        async def flow(ctx: Context) -> Any:
            return len(await ctx.gather(*[ctx.run(ask, n) for n in range(20)]))

    with site.deployed(deploy) as node:
        root = node.client.invoke(Invocation(function="flow")).id
        assert run(node, root, 0) is Ended.SUSPENDED
        for number in range(1, 21):
            node.client.settle(f"{root}:{number}.1", PromiseState.RESOLVED, "yes")
        site.wire.requests.clear()
        assert run(node, root, 1) is Ended.DONE
        kinds = [json.loads(request.content)["kind"] for request in site.wire.requests]
        assert kinds.count("promise.search") <= 2
        assert kinds.count("task.fence") == 20  # each ask is settled; nothing is created again


STEPS = 5


def test_what_an_activation_and_a_step_ask() -> None:
    """docs/benchmarks.md tells these figures."""
    site = Site()

    def deploy(resonate: Resonate) -> None:
        @resonate.register
        async def flow(ctx: Context, steps: int) -> Any:
            for number in range(steps):
                await ctx.run(abs, number)
            return await ctx.promise()

    with site.deployed(deploy) as node:
        root = node.client.invoke(Invocation(function="flow", args=[STEPS])).id
        site.wire.requests.clear()
        assert run(node, root, 0) is Ended.SUSPENDED
        asked = [json.loads(request.content)["kind"] for request in site.wire.requests]
        assert asked[:3] == ["task.acquire", "promise.search", "promise.search"]
        assert asked[3:-1] == ["task.fence"] * (
            2 * STEPS + 1
        )  # each step's create and settle, and the promise
        assert asked[-1] == "task.suspend"
        site.wire.requests.clear()
        node.client.settle(f"{root}:{STEPS + 1}", PromiseState.RESOLVED, "yes")
        site.wire.requests.clear()
        assert run(node, root, 1) is Ended.DONE
        asked = [json.loads(request.content)["kind"] for request in site.wire.requests]
        assert asked == ["task.acquire", "promise.search", "task.fulfill"]  # a preload has the steps
