"""Starting, finding, settling and reading executions; what is refused leaves nothing behind."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.worker.kit import ADDRESS, DAY_MS, Running, World, executes, garbage

from resonate_faas import (
    ApplicationError,
    ArgumentsError,
    Context,
    DecodingError,
    EncodingError,
    FunctionNotFoundError,
    InvocationConflictError,
    PromiseCanceledError,
    PromiseTimeoutError,
    RequestRefusedError,
    Resonate,
)
from resonate_faas._client import Client, fresh_id
from resonate_faas._invocation import Invocation
from resonate_faas._machine.ids import id_error
from resonate_faas._machine.objects import BRANCH, ORIGIN, PARENT, SCOPE, TARGET, PromiseState
from resonate_faas._node import Node
from resonate_faas._worker import WorkerSettings
from resonate_faas.testing import EPOCH_MS
from resonate_faas.testing._deployment import InlineRunner


def shop(*, with_second: bool = False) -> Resonate:
    resonate = Resonate()

    @resonate.register
    async def order(ctx: Context, item: str, count: int = 1) -> str:
        return await ctx.run(str, f"{count} {item}")

    @resonate.register(timeout=timedelta(hours=2))
    async def other(ctx: Context, item: str = "tea", count: int = 1) -> str:
        return await ctx.options(tags={"for": f"{count} {item}"}).promise(str)

    @resonate.register
    async def broken(ctx: Context, kind: str) -> None:
        await ctx.run(str, kind)
        raise {"value": ValueError("no tea"), "own": OwnError("mine")}[kind]

    if with_second:

        @resonate.register(name="order", version=2)
        async def order_again(ctx: Context, item: str, count: int = 1) -> str:
            return await ctx.run(str, f"second {count} {item}")

    return resonate


class OwnError(Exception):
    """Not registered: it comes back as an ApplicationError, unless its module is a workflow's."""


@pytest.fixture
def node(skipping: World) -> Node:
    return skipping.node(shop(), worker=WorkerSettings(heartbeats=False), runner=lambda: InlineRunner({}))


def invoke(client: Client, function: str = "order", *args: Any, **options: Any) -> Any:
    return client.invoke(Invocation(function=function, args=args, **options))


def test_an_execution_starts_and_its_result_is_read(skipping: World, node: Node) -> None:
    started = invoke(node.client, "order", "tea", id="root")
    promise = started.promise
    assert promise.state is PromiseState.PENDING
    assert promise.timeout_at == EPOCH_MS + DAY_MS
    assert promise.tags == {SCOPE: "global", TARGET: ADDRESS, ORIGIN: "root", BRANCH: "root", PARENT: "root"}
    assert executes(skipping.queue.held()) == [0]
    skipping.settle(node)
    found = node.client.wait("root", 1_000)
    assert found is not None
    assert node.client.result(found.promise) == "1 tea"


def test_the_same_id_function_and_arguments_answer_the_same_execution(skipping: World, node: Node) -> None:
    """Without: a caller's retry after a lost answer would start the work twice."""
    first = invoke(node.client, "order", "tea", id="root", kwargs={"count": 2})
    skipping.clock.advance(1_000)
    again = invoke(node.client, "order", "tea", id="root", kwargs={"count": 2}, timeout=5, delay=9)
    assert again.promise == first.promise
    skipping.settle(node)
    settled = invoke(node.client, "order", "tea", id="root", kwargs={"count": 2})
    assert settled.birth == first.birth
    assert node.client.result(settled.promise) == "2 tea"
    assert skipping.ended.count(skipping.ended[0]) == 1


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        ("order", ("coffee",), None),
        ("order", ("tea", 2), None),
        ("order", ("tea",), {"count": 1}),
        ("other", ("tea",), None),
    ],
)
def test_the_same_id_with_anything_else_is_a_conflict_and_changes_nothing(
    skipping: World, node: Node, function: str, args: tuple[Any, ...], kwargs: dict[str, Any] | None
) -> None:
    """Without: a caller would be given the result of somebody else's work as its own."""
    invoke(node.client, "order", "tea", id="root")
    before = skipping.get()
    skipping.queue.pop_due(EPOCH_MS + DAY_MS)
    with pytest.raises(InvocationConflictError, match="'root' exists") as caught:
        invoke(node.client, function, *args, id="root", kwargs=kwargs)
    assert caught.value.status == 409
    assert skipping.get() == before
    assert len(skipping.queue) == 0


def test_arguments_by_position_and_by_name_are_the_same_call(node: Node) -> None:
    first = invoke(node.client, "order", "tea", 2, id="root")
    spellings: list[tuple[tuple[str, ...], dict[str, Any]]] = [
        (("tea",), {"count": 2}),
        ((), {"count": 2, "item": "tea"}),
    ]
    for args, kwargs in spellings:
        wanted = Invocation(function="order", args=args, kwargs=kwargs, id="root")
        assert node.client.invoke(wanted).promise == first.promise
    with pytest.raises(InvocationConflictError):
        node.client.invoke(Invocation(function="order", kwargs={"count": 3, "item": "tea"}, id="root"))


@pytest.mark.parametrize("param", ["!!!", "W10=", "eyJmdW5jIjogIm9yZGVyIn0="])
def test_an_id_taken_by_something_else_is_a_conflict(skipping: World, node: Node, param: str) -> None:
    node.server.ask(garbage(data=param))
    before = skipping.get()
    with pytest.raises(InvocationConflictError):
        invoke(node.client, "order", "tea", id="root")
    assert skipping.get() == before


@pytest.mark.parametrize(
    ("wanted", "error", "text"),
    [
        (Invocation(function="nobody"), FunctionNotFoundError, "'nobody' is not registered"),
        (Invocation(function="order", args=("a",), version=7), FunctionNotFoundError, "version 7"),
        (Invocation(function="order"), ArgumentsError, "item"),
        (Invocation(function="order", args=("a", 1, 2)), ArgumentsError, "too many"),
        (Invocation(function="order", args=("a",), kwargs={"price": 1}), ArgumentsError, "price"),
        (Invocation(function="order", args=("a",), kwargs={"item": "b"}), ArgumentsError, "item"),
        (Invocation(function="order", args=("a", "many")), ArgumentsError, "count"),
        (Invocation(function="order", args=(7,)), ArgumentsError, "item"),
        (Invocation(function="order", args=("a",), id=""), RequestRefusedError, "empty"),
        (Invocation(function="order", args=("a",), id="a:b"), RequestRefusedError, "':'"),
        (Invocation(function="order", args=("a",), id="a\nb"), RequestRefusedError, "control"),
        (Invocation(function="order", args=("a",), id="\ud800"), RequestRefusedError, "Unicode"),
        (Invocation(function="order", args=("a",), id="a" * 257), RequestRefusedError, "256 bytes"),
        (Invocation(function="order", args=("a",), id="\u00e4" * 129), RequestRefusedError, "256 bytes"),
        (Invocation(function="order", args=("a",), timeout=-1), ValueError, "timeout"),
        (Invocation(function="order", args=("a",), timeout=float("nan")), ValueError, "timeout"),
        (Invocation(function="order", args=("a",), delay=-1), ValueError, "delay"),
        (Invocation(function="order", args=("a",), delay=timedelta(days=40_000)), ValueError, "delay"),
    ],
)
def test_what_can_not_be_started_is_refused_and_nothing_is_stored(
    skipping: World, node: Node, wanted: Invocation, error: type[Exception], text: str
) -> None:
    """Without: a typing error would be stored, delivered, retried and halted before anybody reads of it."""
    with pytest.raises(error, match=text):
        node.client.invoke(wanted)
    assert skipping.store.written == []
    assert len(skipping.queue) == 0


def test_arguments_beyond_the_limit_are_refused_and_nothing_is_stored(skipping: World, node: Node) -> None:
    noise = random.Random(0).randbytes(300_000).hex()  # halves when compressed, no more
    with pytest.raises(EncodingError, match="limit"):
        invoke(node.client, "order", noise, id="root")
    assert skipping.store.written == []


def test_an_id_of_any_allowed_text_runs(skipping: World, node: Node) -> None:
    for promise_id in ("a", "\u00e4\u00f6\u00fc \u65e5\u672c / ? # % & .", "x" * 256, "a.b-c_d@e"):
        invoke(node.client, "order", "tea", id=promise_id)
        skipping.settle(node)
        found = node.client.get(promise_id)
        assert found is not None
        assert node.client.result(found.promise) == "1 tea"


def test_without_an_id_each_call_is_an_execution_of_its_own(node: Node) -> None:
    first, second = invoke(node.client, "order", "tea"), invoke(node.client, "order", "tea")
    assert first.id != second.id
    assert first.id.startswith("order-")


@pytest.mark.parametrize("name", ["order", "shop.cart:add item", "\u00fcber/alles", "x" * 300, "..", ":::"])
def test_a_fresh_id_is_usable_whatever_the_function_is_called(name: str) -> None:
    made = fresh_id(name)
    assert id_error(made) is None
    assert made.isascii()
    assert not set(made) & set(":/?#%. ")


def test_asking_for_the_newest_finds_a_running_older_version(skipping: World, node: Node) -> None:
    """Without: after a deployment every caller that repeats its call would get a conflict."""
    invoke(node.client, "order", "tea", id="root")
    newer = skipping.node(
        shop(with_second=True), worker=WorkerSettings(heartbeats=False), runner=lambda: InlineRunner({})
    )
    found = invoke(newer.client, "order", "tea", id="root")
    assert found.birth == skipping.get().birth
    assert invoke(newer.client, "order", "tea", id="root", version=1).promise == found.promise
    with pytest.raises(InvocationConflictError):
        invoke(newer.client, "order", "tea", id="root", version=2)
    skipping.settle(newer)
    assert newer.client.result(skipping.get().promise) == "1 tea", "it stays on the version it started with"
    invoke(newer.client, "order", "tea", id="fresh")
    skipping.settle(newer)
    assert newer.client.result(skipping.get("fresh").promise) == "second 1 tea"


def test_a_delayed_execution_starts_at_its_instant(skipping: World, node: Node) -> None:
    invoke(node.client, "order", "tea", id="root", delay=90, timeout=60)
    assert executes(skipping.queue.held()) == []
    assert skipping.get().promise.timeout_at == EPOCH_MS + 150_000, "the timeout counts from the start"
    skipping.settle(node)
    assert skipping.get().promise.settled_at == EPOCH_MS + 90_000


@pytest.mark.parametrize(
    ("options", "expected_ms"),
    [
        ({}, 2 * 3_600_000),
        ({"timeout": 5}, 5_000),
        ({"timeout": timedelta(days=3)}, 3 * DAY_MS),
        ({"timeout": 0}, 1),
    ],
)
def test_the_deadline_is_the_callers_else_the_functions(
    skipping: World, node: Node, options: dict[str, Any], expected_ms: int
) -> None:
    invoke(node.client, "other", id="root", **options)
    assert skipping.get().promise.timeout_at == EPOCH_MS + expected_ms
    skipping.settle(node)
    skipping.clock.advance_to(EPOCH_MS + expected_ms)
    found = node.client.get("root")
    assert found is not None
    with pytest.raises(PromiseTimeoutError):
        node.client.result(found.promise)


def test_a_promise_is_resolved_rejected_or_cancelled_from_outside(skipping: World, node: Node) -> None:
    values: list[Any] = [{"a": [1, None, "\u00e4"]}, None, "text", 0, [], True, 1.5]
    for number, value in enumerate(values):
        invoke(node.client, "other", id=f"r{number}")
        node.client.settle(f"r{number}", PromiseState.RESOLVED, value)
        assert node.client.result(skipping.get(f"r{number}").promise) == value
    for number, (value, text) in enumerate(
        [("out of tea", "out of tea"), (None, ""), ({"code": 7}, "{'code': 7}")]
    ):
        invoke(node.client, "other", id=f"e{number}")
        node.client.settle(f"e{number}", PromiseState.REJECTED, value)
        with pytest.raises(ApplicationError) as caught:
            node.client.result(skipping.get(f"e{number}").promise)
        assert str(caught.value) == text
    invoke(node.client, "other", id="c")
    node.client.settle("c", PromiseState.CANCELED)
    with pytest.raises(PromiseCanceledError):
        node.client.result(skipping.get("c").promise)


def test_the_first_settlement_stands(node: Node) -> None:
    """Without: two people who answer the same question would each believe it was them."""
    invoke(node.client, "other", id="root")
    first = node.client.settle("root", PromiseState.RESOLVED, "yes")
    assert node.client.settle("root", PromiseState.REJECTED, "no") == first
    assert node.client.settle("root", PromiseState.RESOLVED, "yes") == first


def test_settling_what_is_unknown_too_large_or_no_settlement_is_refused(skipping: World, node: Node) -> None:
    with pytest.raises(RequestRefusedError) as caught:
        node.client.settle("nobody", PromiseState.RESOLVED, 1)
    assert caught.value.status == 404
    invoke(node.client, "other", id="root")
    before = skipping.get()
    for state in (PromiseState.PENDING, PromiseState.TIMEDOUT):
        with pytest.raises(RequestRefusedError) as caught:
            node.client.settle("root", state)
        assert caught.value.status == 400
    noise = random.Random(0).randbytes(300_000).hex()  # halves when compressed, no more
    for state in (PromiseState.RESOLVED, PromiseState.CANCELED):
        with pytest.raises(EncodingError):
            node.client.settle("root", state, noise)
    with pytest.raises(EncodingError, match="can't be recorded"):
        node.client.settle("root", PromiseState.RESOLVED, object())
    assert skipping.get() == before


def test_a_settled_promise_wakes_the_workflow_that_waits_for_it(skipping: World, node: Node) -> None:
    invoke(node.client, "other", id="root")
    skipping.settle(node, until_ms=EPOCH_MS)
    node.client.settle("root:1", PromiseState.RESOLVED, "from outside")
    skipping.settle(node, until_ms=EPOCH_MS)
    assert node.client.result(skipping.get().promise) == "from outside"


@pytest.mark.parametrize(
    ("kind", "error", "text"), [("value", ValueError, "no tea"), ("own", OwnError, "mine")]
)
def test_the_error_of_a_workflow_is_raised_by_its_result(
    skipping: World, node: Node, kind: str, error: type[Exception], text: str
) -> None:
    """A builtin, or a class that stands beside a registered workflow, comes back as itself."""
    invoke(node.client, "broken", kind, id="root")
    skipping.settle(node)
    with pytest.raises(error, match=text):
        node.client.result(skipping.get().promise)
    stranger = skipping.node(Resonate())
    with pytest.raises(ApplicationError if kind == "own" else ValueError):
        stranger.client.result(skipping.get().promise)


def test_a_result_that_is_no_record_of_ours_says_so(skipping: World, node: Node) -> None:
    node.server.ask(garbage("root"))
    node.client.settle("root", PromiseState.RESOLVED, 1)
    promise = skipping.get().promise
    broken = replace(promise, value=replace(promise.value, data="!!!"))
    with pytest.raises(DecodingError):
        node.client.result(broken)


def test_an_unknown_promise_is_none(node: Node) -> None:
    assert node.client.get("nobody") is None
    assert node.client.wait("nobody", 60_000) is None


def test_a_wait_ends_with_the_execution(world: World) -> None:
    node = world.node(shop(), runner=lambda: InlineRunner({}))
    invoke(node.client, "order", "tea", id="root")
    waiting = Running(lambda: node.client.wait("root", 60_000))
    world.clock.await_sleepers(1)
    world.deliver(node)
    found = waiting.join()
    assert found is not None
    assert node.client.result(found.promise) == "1 tea"
    assert world.clock.monotonic_ms() == 0
