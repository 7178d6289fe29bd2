"""The worked traces of protocol section 11, row by row; every expectation is copied from the document."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.machine.world import Internal, World

from resonate_faas._machine.objects import (
    DEFAULT_RULES,
    DELAY,
    EMPTY,
    SCOPE,
    TARGET,
    TIMER,
    Execute,
    PromiseState,
    Rules,
    Task,
    TaskState,
    Value,
)
from resonate_faas._machine.requests import (
    PromiseCreate,
    PromiseGet,
    PromiseSettle,
    RegisterCallback,
    Reply,
    TaskAcquire,
    TaskContinue,
    TaskCreate,
    TaskFence,
    TaskFulfill,
    TaskGet,
    TaskHalt,
    TaskHeartbeat,
    TaskRef,
    TaskRelease,
    TaskSuspend,
)

STRICT = replace(DEFAULT_RULES, strict=True)
BOTH = pytest.mark.parametrize("rules", [STRICT, DEFAULT_RULES], ids=["strict", "lenient"])

U = {TARGET: "U"}
V = {TARGET: "V"}


def resolve(promise_id: str) -> PromiseSettle:
    return PromiseSettle(id=promise_id, state=PromiseState.RESOLVED, value=Value(data="Mg=="))


def create(promise_id: str, timeout_at: int, tags: dict[str, str] | None = None) -> PromiseCreate:
    return PromiseCreate(id=promise_id, timeout_at=timeout_at, tags=tags or {})


def state(reply: Reply | None) -> tuple[int, str]:
    assert reply is not None
    assert reply.promise is not None
    return reply.status, reply.promise.promise.state.value


def leased(reply: Reply) -> Task:
    assert reply.status == 200
    assert reply.promise is not None
    assert reply.promise.task is not None
    assert reply.promise.task.state is TaskState.ACQUIRED
    return reply.promise.task


def begin_two_levels(rules: Rules) -> World:
    """Rows 1000 to 1070."""
    world = World(rules)
    assert state(world.ask(create("a", 100_000, U), 1000)) == (200, "pending")
    assert world.task("a") == Task(state=TaskState.PENDING, version=0, retry_at=1000)
    assert world.outbox == {}

    world.fire(Internal("R6", "a"), 1000)
    assert world.task("a") == Task(state=TaskState.PENDING, version=0, retry_at=6000)
    assert world.outbox == {("execute", "a"): Execute(id="a", version=0, target="U")}

    world.ask(TaskAcquire(id="a", version=0, pid="w1", ttl=10_000), 1010)
    assert world.task("a") == Task(
        state=TaskState.ACQUIRED, version=1, pid="w1", ttl=10_000, expires_at=11_010
    )
    assert world.ask(TaskAcquire(id="a", version=0, pid="w2", ttl=10_000), 1020).status == 409

    fenced = world.ask(TaskFence(id="a", version=1, action=create("a:1", 100_000, {SCOPE: "local"})), 1030)
    assert fenced.status == 200
    assert state(fenced.inner) == (200, "pending")
    assert world.ask(RegisterCallback(awaited="a:1", awaiter="a"), 1040).status == 422
    fenced = world.ask(TaskFence(id="a", version=1, action=resolve("a:1")), 1050)
    assert fenced.status == 200
    assert state(fenced.inner) == (200, "resolved")

    fenced = world.ask(TaskFence(id="a", version=1, action=create("a:2", 100_000, V)), 1060)
    assert state(fenced.inner) == (200, "pending")
    assert world.task("a:2") == Task(state=TaskState.PENDING, version=0, retry_at=1060)

    assert world.ask(TaskSuspend(id="a", version=1, awaited=("a:2",)), 1070).status == 200
    assert world.task("a") == Task(state=TaskState.SUSPENDED, version=1)
    assert world.promise("a:2").callbacks == ("a",)
    return world


@BOTH
def test_11_1_two_level_workflow_with_redirect_and_lease_loss(rules: Rules) -> None:
    world = begin_two_levels(rules)

    assert leased(world.ask(TaskAcquire(id="a:2", version=0, pid="v", ttl=10_000), 1500)).version == 1
    assert state(world.ask(TaskFulfill(id="a:2", version=1, action=resolve("a:2")), 1500)) == (
        200,
        "resolved",
    )
    assert world.promise("a:2").settled_at == 1500
    assert world.promise("a:2").callbacks == ("a",)

    world.fire(Internal("R4", "a:2"), 1500)
    assert world.task("a") == Task(state=TaskState.PENDING, version=1, resumes=("a:2",), retry_at=1500)
    assert world.promise("a:2").callbacks == ()
    world.fire(Internal("R6", "a"), 1500)
    assert world.outbox["execute", "a"] == Execute(id="a", version=1, target="U")

    assert leased(world.ask(TaskAcquire(id="a", version=1, pid="w2", ttl=10_000), 1510)) == Task(
        state=TaskState.ACQUIRED, version=2, pid="w2", ttl=10_000, expires_at=11_510
    )
    assert world.ask(TaskFulfill(id="a", version=1, action=resolve("a")), 1515).status == 409
    fenced = world.ask(TaskFence(id="a", version=2, action=create("a:2", 100_000, V)), 1520)
    assert fenced.status == 200
    assert state(fenced.inner) == (200, "resolved")
    assert world.ask(TaskSuspend(id="a", version=2, awaited=("a:2",)), 1530).status == 300
    assert world.task("a") == Task(
        state=TaskState.ACQUIRED, version=2, pid="w2", ttl=10_000, expires_at=11_510
    )

    world.fire(Internal("R5", "a"), 11_509)
    assert world.task("a").state is TaskState.ACQUIRED
    world.fire(Internal("R5", "a"), 11_510)
    assert world.task("a") == Task(state=TaskState.PENDING, version=2, retry_at=11_510)
    world.fire(Internal("R6", "a"), 11_510)
    assert world.outbox["execute", "a"] == Execute(id="a", version=2, target="U")

    unchanged = world.task("a")
    beat = TaskHeartbeat(pid="w2", tasks=(TaskRef(id="a", version=2),))
    assert world.ask(beat, 11_520).status == 200
    assert world.task("a") == unchanged
    assert world.ask(TaskRelease(id="a", version=2), 11_530).status == 409
    assert world.task("a") == unchanged


@BOTH
def test_11_2_deadline_of_a_plain_promise(rules: Rules) -> None:
    world = World(rules)
    world.ask(create("p", 100), 0)
    assert (world.promise("p").state.value, world.promise("p").created_at) == ("pending", 0)
    assert state(world.ask(PromiseGet(id="p"), 99)) == (200, "pending")

    reply = world.ask(PromiseGet(id="p"), 100)
    assert state(reply) == (200, "rejected_timedout")
    assert reply.promise is not None
    assert reply.promise.promise.settled_at == 100
    assert reply.promise.promise.value == EMPTY

    reply = world.ask(resolve("p"), 150)
    assert state(reply) == (200, "rejected_timedout")
    assert reply.promise is not None
    assert reply.promise.promise.settled_at == 100
    assert reply.promise.promise.value == EMPTY
    timedout = PromiseSettle(id="p", state=PromiseState.TIMEDOUT)
    assert world.ask(timedout, 150).status == 400
    unknown = PromiseSettle(id="nosuch", state=PromiseState.PENDING)
    assert world.ask(unknown, 150).status == 400


@BOTH
def test_11_2_born_dead(rules: Rules) -> None:
    world = World(rules)
    assert state(world.ask(create("q", 150), 150)) == (200, "rejected_timedout")
    assert (world.promise("q").created_at, world.promise("q").settled_at) == (150, 150)
    assert state(world.ask(create("s", 10, {TIMER: "true"}), 150)) == (200, "resolved")
    assert (world.promise("s").created_at, world.promise("s").settled_at) == (10, 10)

    reply = world.ask(TaskCreate(pid="w", ttl=50, action=create("r", 120, U)), 200)
    assert state(reply) == (200, "rejected_timedout")
    assert world.task("r") == Task(state=TaskState.FULFILLED, version=0)
    assert world.promise("r").created_at == 120


def test_11_2_timer_with_target_is_refused_by_the_specification() -> None:
    world = World(STRICT)
    assert world.ask(create("x", 400, {TIMER: "true", TARGET: "U"}), 150).status == 400
    assert world.objects == {}


def test_d1_timer_with_target_is_a_timer_without_a_task_when_lenient() -> None:
    world = World()
    assert state(world.ask(create("x", 400, {TIMER: "true", TARGET: "U"}), 150)) == (200, "pending")
    assert world.object("x").task is None
    assert world.promise("x").tags == {TIMER: "true"}
    world.fire(Internal("advance", "x"), 400)
    assert world.promise("x").state is PromiseState.RESOLVED
    assert world.outbox == {}


def test_d1_timer_with_target_born_dead_has_no_task_when_lenient() -> None:
    world = World()
    assert state(world.ask(create("x", 10, {TIMER: "true", TARGET: "U"}), 150)) == (200, "resolved")
    assert world.object("x").task is None


@BOTH
def test_11_2_the_deadline_beats_the_lease(rules: Rules) -> None:
    world = World(rules)
    task = leased(world.ask(TaskCreate(pid="w", ttl=50, action=create("u", 400, U)), 300))
    assert (task.version, task.expires_at) == (1, 350)
    stored = world.object("u")

    assert world.ask(TaskHalt(id="u"), 400).status == 409
    assert world.ask(TaskRelease(id="u", version=1), 400).status == 409
    assert world.ask(TaskFulfill(id="u", version=1, action=resolve("u")), 400).status == 409
    world.fire(Internal("R5", "u"), 400)
    assert world.object("u") == stored

    reply = world.ask(TaskGet(id="u"), 400)
    assert reply.status == 200
    assert reply.promise is not None
    assert reply.promise.task == Task(state=TaskState.FULFILLED, version=1)
    assert world.ask(TaskHalt(id="u"), 400).status == 409
    assert world.ask(TaskRelease(id="u", version=1), 400).status == 409
    assert world.ask(TaskFulfill(id="u", version=1, action=resolve("u")), 400).status == 409


@BOTH
def test_11_3_halt_and_delay(rules: Rules) -> None:
    world = World(rules)
    assert world.ask(create("h", 9000, {TARGET: "U", DELAY: "3000"}), 0).status == 200
    assert world.task("h") == Task(state=TaskState.PENDING, version=0, retry_at=3000)
    world.fire(Internal("R6", "h"), 5)
    assert world.outbox == {}

    assert world.ask(TaskHalt(id="h"), 10).status == 200
    assert world.task("h") == Task(state=TaskState.HALTED, version=0)
    assert world.ask(TaskHalt(id="h"), 20).status == 200
    assert world.ask(TaskAcquire(id="h", version=0, pid="w", ttl=100), 30).status == 409
    assert world.ask(TaskContinue(id="h"), 40).status == 200
    assert world.task("h") == Task(state=TaskState.PENDING, version=0, retry_at=40)
    assert world.ask(TaskContinue(id="h"), 50).status == 409

    again = TaskCreate(pid="w", ttl=100, action=create("h", 9000, U))
    assert leased(world.ask(again, 60)).version == 1
    assert world.ask(again, 70).status == 409
    for awaited in [(), ("h",), ("z", "z")]:
        assert world.ask(TaskSuspend(id="h", version=1, awaited=awaited), 80).status == 400
    assert world.ask(TaskSuspend(id="h", version=1, awaited=("nosuch",)), 90).status == 422
    assert world.ask(TaskSuspend(id="nosuch", version=1, awaited=()), 95).status == 400
    assert world.task("h").state is TaskState.ACQUIRED
