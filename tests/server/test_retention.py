"""Retention: off by default; when on, whole settled trees go, leaves first, the root last, and the id is free again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests.server.kit import HookedQueue, external, refuse, resolve
from tests.worker.flows import RESULT, everything
from tests.worker.kit import DAY_MS, World, start

from resonate_faas import Context, Resonate, StoreUnavailableError, _retention
from resonate_faas._machine.ids import owner
from resonate_faas._machine.objects import Object, PromiseObject, PromiseState, Rules, Unblock
from resonate_faas._machine.requests import RegisterListener
from resonate_faas._node import Node
from resonate_faas._worker import Ended, WorkerSettings
from resonate_faas.testing import EPOCH_MS
from resonate_faas.testing._deployment import InlineRunner
from resonate_faas.testing._kit import put
from resonate_faas_local import SqliteStore

HOUR = 3_600_000
RULES = Rules(retention_ms=DAY_MS)


@pytest.fixture(params=["memory", "sqlite"])
def keeping(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A world that keeps settled trees for a day."""
    sqlite = None
    if request.param == "sqlite":
        sqlite = SqliteStore(tmp_path / "test.db", synchronous="NORMAL", rules=RULES)
    world = World(sqlite, auto=True, rules=RULES)
    yield world
    world.close()
    if sqlite is not None:
        sqlite.close()


def quiet(world: World, resonate: Resonate) -> Node:
    worker = WorkerSettings(heartbeats=False)
    return world.node(resonate, worker=worker, runner=lambda: InlineRunner({}))


def ids(world: World) -> list[str]:
    return [one.id for one in world.store.search("promise", limit=1_000)]


def pass_time(world: World, node: Node, ms: int) -> None:
    """Let time pass, then sweep and deliver until nothing moves."""
    world.clock.advance(ms)
    for _ in range(5):
        node.server.sweep()
        for _ in range(5):
            world.deliver(node)


def deleted(world: World) -> list[str]:
    return [key for writes in world.store.written for key, stored in writes.items() if stored is None]


def test_by_default_nothing_is_ever_deleted(skipping: World) -> None:
    """Without: an upgrade of a deployment would begin to delete its users' records."""
    node = quiet(skipping, everything([]))
    start(node, "flow")
    skipping.settle(node)
    before = ids(skipping)
    assert skipping.store.next_due() is None
    skipping.clock.advance(3_650 * DAY_MS)
    for key in before:
        node.server.advance(key)
    assert ids(skipping) == before


def test_a_settled_tree_goes_leaves_first_and_its_root_last(keeping: World) -> None:
    """Without the order: a crash in the middle would leave records that nobody finds again."""
    node = quiet(keeping, everything([]))
    start(node, "flow")
    keeping.settle(node, until_ms=EPOCH_MS + HOUR)
    assert node.client.result(keeping.get().promise) == RESULT
    before = ids(keeping)
    pass_time(keeping, node, DAY_MS - 2 * HOUR)
    assert ids(keeping) == before, "not before its time"
    pass_time(keeping, node, 3 * HOUR)
    assert ids(keeping) == []
    order = deleted(keeping)
    assert sorted(order) == sorted(before)
    for key in order:
        parent = owner(key)
        if parent != key:
            assert order.index(key) < order.index(parent)
    assert keeping.store.next_due() is None


def test_a_detached_successor_is_a_tree_of_its_own(keeping: World) -> None:
    """Without: a chain of tail calls would keep its first root for ever, or lose its last."""
    resonate = Resonate()

    @resonate.register
    async def second(ctx: Context) -> str:
        await ctx.sleep(10 * 86_400)
        return "second"

    @resonate.register
    async def first(ctx: Context) -> str:
        return await ctx.options(timeout=30 * 86_400).detached(second)

    node = quiet(keeping, resonate)
    start(node, "first", id="first", timeout=30 * 86_400)
    keeping.settle(node, until_ms=EPOCH_MS + HOUR)
    pass_time(keeping, node, 2 * DAY_MS)
    left = ids(keeping)
    assert len(left) == 2
    assert all(key.startswith("first-d") for key in left), "the successor and its timer"


def test_a_tree_with_a_running_child_stays(keeping: World) -> None:
    """Without: a running child would lose its records under its hands."""
    resonate = Resonate()

    @resonate.register
    async def child(ctx: Context) -> None:
        await ctx.sleep(3 * 86_400)

    @resonate.register
    async def flow(ctx: Context) -> None:
        await ctx.options(timeout=10 * 86_400).rpc(child)

    node = quiet(keeping, resonate)
    start(node, "flow", timeout=10 * 86_400)
    keeping.settle(node, until_ms=EPOCH_MS + HOUR)
    node.client.settle("root", PromiseState.CANCELED)
    pass_time(keeping, node, 2 * DAY_MS)
    assert ids(keeping) == ["root", "root:1r", "root:1r.1"]
    pass_time(keeping, node, 2 * DAY_MS)
    assert ids(keeping) == []


def test_a_promise_whose_listener_was_not_told_stays(keeping: World) -> None:
    """Without: the only copy of what a listener waits for would go before its message."""
    queue = HookedQueue(keeping.queue)
    keeping._queue = queue
    node = quiet(keeping, Resonate())
    node.server.ask(external("heard"))
    node.server.ask(external("unheard"))
    node.server.ask(RegisterListener(awaited="heard", address="poll://any@a"))
    queue.on_send = lambda message: refuse(message) if isinstance(message, Unblock) else None
    node.server.ask(resolve("heard"))
    node.server.ask(resolve("unheard"))
    pass_time(keeping, node, 2 * DAY_MS)
    assert ids(keeping) == ["heard"]
    queue.on_send = lambda _: None
    pass_time(keeping, node, DAY_MS)
    assert ids(keeping) == []


STEPS = _retention.CHUNK * 2


def large_tree(world: World) -> Node:
    """Return the node that ran an execution of more records than go in one transaction, past its retention."""
    resonate = Resonate()

    @resonate.register
    async def many(ctx: Context) -> None:
        for number in range(STEPS):
            await ctx.run(abs, number)

    node = quiet(world, resonate)
    start(node, "many")
    world.settle(node, until_ms=EPOCH_MS + HOUR)
    assert len(ids(world)) == STEPS + 1
    world.clock.advance(2 * DAY_MS)
    return node


def failing(
    fails: Callable[[Mapping[str, Object | None]], bool],
) -> Callable[[Mapping[str, Object | None]], None]:
    def fail(writes: Mapping[str, Object | None]) -> None:
        if fails(writes):
            raise StoreUnavailableError("write", "as the test wants it")

    return fail


@pytest.mark.parametrize("first", ["root:9", "root"])
def test_a_deletion_that_is_interrupted_goes_on(keeping: World, first: str) -> None:
    """Without: leaves gone and root forgotten, or the root gone and leaves left for ever."""
    node = large_tree(keeping)
    keeping.store.before_write = failing(lambda writes: first in writes and writes[first] is None)
    with pytest.raises(StoreUnavailableError):
        node.server.advance("root")
    left = ids(keeping)
    assert "root" in left
    assert len(left) < STEPS
    keeping.store.before_write = lambda _: None
    pass_time(keeping, node, HOUR)
    assert ids(keeping) == []


def test_a_large_tree_is_given_a_time_to_live_before_the_first_record_goes(keeping: World) -> None:
    """Without: a deletion that nobody goes on with would leave the rest for ever."""
    node = large_tree(keeping)
    keeping.store.before_write = failing(lambda writes: None in writes.values())
    with pytest.raises(StoreUnavailableError):
        node.server.advance("root")
    late = keeping.clock.now_ms() + 7 * DAY_MS
    kept = {
        one.kept_until
        for one in keeping.store.search("promise", limit=1_000)
        if isinstance(one, PromiseObject)
    }
    assert kept == {late}
    keeping.clock.advance(HOUR)
    with pytest.raises(StoreUnavailableError):
        node.server.advance("root")
    assert keeping.get().kept_until == late, "a second walk marks nothing again"


def test_a_small_tree_goes_in_one_transaction_and_needs_no_time_to_live(keeping: World) -> None:
    """Without: each record would be written once more only to be deleted."""
    node = quiet(keeping, everything([]))
    start(node, "flow")
    keeping.settle(node, until_ms=EPOCH_MS + HOUR)
    tree = [one for one in ids(keeping) if not one.startswith("root-d")]
    keeping.clock.advance(2 * DAY_MS)
    keeping.store.written.clear()
    node.server.advance("root")
    (gone,) = keeping.store.written
    assert sorted(gone) == sorted(tree)
    assert set(gone.values()) == {None}


def test_an_id_is_the_same_execution_within_the_retention_and_a_new_one_after(keeping: World) -> None:
    """Without: a nightly id could never run again, or an hourly retry of a caller would start it anew."""
    resonate, ran = Resonate(), list[int]()

    def step() -> int:
        ran.append(1)
        return len(ran)

    @resonate.register
    async def flow(ctx: Context) -> int:
        return await ctx.run(step)

    node = quiet(keeping, resonate)
    first = start(node, "flow")
    assert node.worker.activate("root") is Ended.DONE
    keeping.clock.advance(DAY_MS - 1)
    assert start(node, "flow").birth == first.birth
    assert node.worker.activate("root") is Ended.NOTHING
    pass_time(keeping, node, 2 * HOUR)
    second = start(node, "flow")
    assert second.birth != first.birth
    assert node.worker.activate("root") is Ended.DONE
    assert node.client.result(keeping.get().promise) == 2


@pytest.mark.parametrize("state", [PromiseState.RESOLVED, PromiseState.PENDING])
def test_leftovers_of_an_earlier_execution_are_ignored_and_overwritten(
    keeping: World, state: PromiseState
) -> None:
    """Without: the results of another run would be replayed as if they were this one's."""
    resonate, ran = Resonate(), list[str]()

    def step() -> str:
        ran.append("step")
        return "fresh"

    @resonate.register
    async def child(ctx: Context) -> str:
        return await ctx.run(step)

    @resonate.register
    async def flow(ctx: Context) -> list[str]:
        return [await ctx.run(step), await ctx.rpc(child)]

    node = quiet(keeping, resonate)
    start(node, "flow")
    keeping.settle(node, until_ms=EPOCH_MS + HOUR)
    leftovers = [keeping.get(key) for key in ("root:1", "root:2r")]
    keeping.clock.advance(DAY_MS)
    node.server.advance("root")
    assert ids(keeping) == []
    for left in leftovers:
        settled_at = left.promise.settled_at if state is PromiseState.RESOLVED else None
        promise = replace(left.promise, state=state, settled_at=settled_at)
        put(keeping.store, replace(left, promise=promise))
    ran.clear()
    start(node, "flow")
    keeping.settle(node, until_ms=keeping.clock.now_ms() + HOUR)
    assert ran == ["step", "step"]
    assert node.client.result(keeping.get().promise) == ["fresh", "fresh"]
    births = {
        one.birth for one in keeping.store.search("promise", limit=10) if isinstance(one, PromiseObject)
    }
    assert births == {keeping.get().birth}
