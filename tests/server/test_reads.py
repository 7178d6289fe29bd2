"""What a server refuses before anything is stored, and what its reads give."""

from __future__ import annotations

import pytest
from tests.server.kit import FAR_MS, external, resolve, server, task, timer
from tests.worker.kit import ADDRESS, DAY_MS, World, start

from resonate_faas import Context, Resonate
from resonate_faas._machine.objects import (
    BRANCH,
    DELAY,
    ORIGIN,
    TARGET,
    PromiseObject,
    PromiseState,
    TaskState,
)
from resonate_faas._machine.requests import (
    PromiseCreate,
    RegisterListener,
    Reply,
    Request,
    ScheduleCreate,
    TaskAcquire,
    TaskCreate,
    TaskFence,
    TaskGet,
)
from resonate_faas._node import Node
from resonate_faas._server import Server, ServerSettings
from resonate_faas._worker import Ended, WorkerSettings
from resonate_faas.testing import EPOCH_MS
from resonate_faas.testing._deployment import InlineRunner

FOREIGN = "https://metadata.internal/steal"


def permits(address: str) -> bool:
    return address == ADDRESS


def strict(world: World) -> Server:
    return server(world, settings=ServerSettings(permits=permits))


def foreign(promise_id: str = "foreign") -> PromiseCreate:
    return PromiseCreate(id=promise_id, timeout_at=FAR_MS, tags={TARGET: FOREIGN})


@pytest.mark.parametrize(
    "request_",
    [
        foreign(),
        TaskCreate(pid="p", ttl=60_000, action=foreign()),
        TaskFence(id="held", version=1, action=foreign()),
        ScheduleCreate(
            id="foreign",
            cron="* * * * *",
            promise_id="x",
            promise_timeout=1,
            next_run_at=FAR_MS,
            promise_tags={TARGET: FOREIGN},
        ),
        RegisterListener(awaited="held", address=FOREIGN),
    ],
    ids=lambda request: type(request).__name__,
)
def test_an_address_outside_the_allow_list_is_refused_before_anything_is_stored(
    world: World, request_: Request
) -> None:
    """Without: whoever may create a promise could make the deployment post its tokens anywhere."""
    owner = strict(world)
    assert owner.ask(task("held")).reply.ok
    assert owner.ask(TaskAcquire(id="held", version=0, pid="p", ttl=60_000)).reply.ok
    world.store.written.clear()
    world.queue.pop_due(FAR_MS)
    reply = owner.ask(request_).reply
    assert reply.status == 400
    assert "address" in (reply.error or "")
    assert world.store.written == []
    assert len(world.queue) == 0


@pytest.mark.parametrize("tags", [{}, {TARGET: ADDRESS}])
def test_own_addresses_and_none_at_all_pass(world: World, tags: dict[str, str]) -> None:
    owner = strict(world)
    assert owner.ask(PromiseCreate(id="own", timeout_at=FAR_MS, tags=tags)).reply.ok
    assert owner.ask(RegisterListener(awaited="own", address=ADDRESS)).reply.status == (200 if tags else 422)


def test_a_workflow_that_calls_a_foreign_target_is_halted_with_that_reason(skipping: World) -> None:
    """Without: a target from user input, passed to options(), would get round the allow-list."""
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> None:
        await ctx.options(target=FOREIGN).rpc("anything")

    node = Node(
        resonate,
        skipping.store,
        skipping.queue,
        clock=skipping.clock,
        target=ADDRESS,
        server=ServerSettings(permits=permits),
        worker=WorkerSettings(heartbeats=False),
        runner=lambda: InlineRunner({}),
    )
    start(node, "flow")
    skipping.settle(node, until_ms=EPOCH_MS + DAY_MS // 6, sweep=True)
    assert skipping.history() == {}
    assert skipping.task().state is TaskState.HALTED
    assert skipping.get().reason == "Invalid resonate:target address"
    assert set(skipping.ended) == {Ended.RELEASED}
    node.worker.close()


def preloaded(owner: Server, reply: Reply, task_id: str) -> list[str]:
    return [promise.id for promise in owner.preload(reply, task_id)]


def branch_of(branch: str, promise_id: str, **more: str) -> PromiseCreate:
    return PromiseCreate(id=promise_id, timeout_at=FAR_MS, tags={BRANCH: branch, **more})


def test_the_preload_is_the_branch_projected_and_in_order(world: World) -> None:
    """Without: a worker would ask for each record alone, or be told of a promise that has timed out."""
    owner = server(world)
    owner.ask(PromiseCreate(id="root", timeout_at=FAR_MS, tags={TARGET: ADDRESS, BRANCH: "root"}))
    for promise_id in ("root:2", "root:1", "root:3"):
        owner.ask(branch_of("root", promise_id))
    owner.ask(branch_of("other", "other:1"))
    owner.ask(
        PromiseCreate(id="root:4", timeout_at=EPOCH_MS + 10, tags={BRANCH: "root", "resonate:timer": "true"})
    )
    owner.ask(resolve("root:2"))
    world.clock.advance(10)
    reply = owner.ask(TaskAcquire(id="root", version=0, pid="p", ttl=60_000)).reply
    assert preloaded(owner, reply, "root") == ["root:1", "root:2", "root:3", "root:4"]
    states = {promise.id: promise.state for promise in owner.preload(reply, "root")}
    assert states["root:2"] is PromiseState.RESOLVED
    assert states["root:4"] is PromiseState.RESOLVED, "its time has come, stored or not"
    assert states["root:1"] is PromiseState.PENDING


def test_there_is_no_preload_without_a_branch_or_for_a_settled_task(world: World) -> None:
    owner = server(world)
    owner.ask(task("bare"))
    assert preloaded(owner, owner.ask(TaskGet(id="bare")).reply, "bare") == []
    owner.ask(PromiseCreate(id="root", timeout_at=FAR_MS, tags={TARGET: ADDRESS, BRANCH: "root"}))
    owner.ask(branch_of("root", "root:1"))
    owner.ask(resolve("root"))
    assert preloaded(owner, owner.ask(TaskGet(id="root")).reply, "root") == []
    assert preloaded(owner, Reply(status=404), "nobody") == []


def test_the_preload_of_a_large_branch_is_whole(world: World) -> None:
    owner = server(world)
    owner.ask(PromiseCreate(id="root", timeout_at=FAR_MS, tags={TARGET: ADDRESS, BRANCH: "root"}))
    for number in range(1_100):
        owner.ask(branch_of("root", f"root:{number}"))
    reply = owner.ask(TaskGet(id="root")).reply
    assert len(preloaded(owner, reply, "root")) == 1_100


def test_a_search_is_projected_filtered_and_paged(world: World) -> None:
    """Without: a dashboard would show as pending what any read answers as timed out."""
    owner = server(world)
    for number in range(5):
        tags = {ORIGIN: "a" if number % 2 else "b"}
        owner.ask(
            PromiseCreate(id=f"p{number}", timeout_at=EPOCH_MS + 10 if number == 3 else FAR_MS, tags=tags)
        )
    world.clock.advance(10)
    page = owner.search("promise", tags={}, limit=3, after=None)
    rest = owner.search("promise", tags={}, limit=3, after=page[-1].id)
    assert [one.id for one in (*page, *rest)] == ["p0", "p1", "p2", "p3", "p4"]
    odd = owner.search("promise", tags={ORIGIN: "a"}, limit=10, after=None)
    assert [(one.id, one.promise.state.value) for one in odd if isinstance(one, PromiseObject)] == [
        ("p1", "pending"),
        ("p3", "rejected_timedout"),
    ]
    assert owner.search("task", tags={}, limit=10, after=None) == []
    assert owner.search("promise", state="resolved", tags={}, limit=10, after=None) == []


def test_what_is_observed_is_stored_first(world: World) -> None:
    """Without: two readers could be told two different ends of one promise."""
    owner = server(world)
    owner.ask(timer("timer", EPOCH_MS + 10))
    owner.ask(external("other"))
    world.clock.advance(10)
    found = owner.observe(("timer", "other", "nobody"))
    assert set(found) == {"timer", "other"}
    assert world.get("timer").promise.state is PromiseState.RESOLVED
    assert world.get("other").promise.state is PromiseState.PENDING


def test_a_delay_on_a_promise_without_a_task_is_nothing(world: World) -> None:
    owner = server(world)
    owner.ask(PromiseCreate(id="p", timeout_at=FAR_MS, tags={DELAY: str(EPOCH_MS + 10)}))
    assert len(world.queue) == 0
