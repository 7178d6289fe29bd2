"""The guard order of every request: where two adjacent guards would both fire, the earlier answers (protocol section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import pytest
from tests.machine.world import (
    GLOBAL,
    LOCAL,
    OUTSIDE,
    SLEEP_TARGETED,
    TARGETED,
    World,
    acquired,
    fulfilled,
    halted,
    pending,
    record,
    schedule_create,
    suspended,
)

from resonate_faas._machine.objects import DEFAULT_RULES, DELAY, TARGET, TIMER, PromiseObject, PromiseState
from resonate_faas._machine.requests import (
    Claim,
    Commit,
    Park,
    PromiseCreate,
    PromiseGet,
    PromiseSettle,
    Record,
    RegisterCallback,
    RegisterListener,
    Request,
    ScheduleDelete,
    ScheduleGet,
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
    Yield,
)

STRICT: Final = replace(DEFAULT_RULES, strict=True)
NOW: Final = 1_000
PASSED: Final = 500

OBJECTS: Final[tuple[PromiseObject, ...]] = (
    record("held", task=acquired(3, resumes=("x",))),
    record("stale", task=acquired(9)),
    record("dead", task=acquired(3), timeout_at=PASSED),
    record("dead-pending", task=pending(3), timeout_at=PASSED),
    record("dead-halted", task=halted(3), timeout_at=PASSED),
    record("waiting", task=pending(3)),
    record("suspended", task=suspended(3)),
    record("halted", task=halted(3)),
    record("done", state=PromiseState.RESOLVED, task=fulfilled(3)),
    record("local", LOCAL),
    record("local-done", LOCAL, state=PromiseState.RESOLVED),
    record("global", GLOBAL),
    record("outside", OUTSIDE),
    record("outside-done", OUTSIDE, state=PromiseState.REJECTED),
    record("outside-dead", OUTSIDE, timeout_at=PASSED),
)

RESOLVED: Final = PromiseState.RESOLVED
TIMEDOUT: Final = PromiseState.TIMEDOUT
PENDING: Final = PromiseState.PENDING


def settle(promise_id: str, state: PromiseState = RESOLVED) -> PromiseSettle:
    return PromiseSettle(id=promise_id, state=state)


def create(promise_id: str, tags: Mapping[str, str] = TARGETED) -> PromiseCreate:
    return PromiseCreate(id=promise_id, timeout_at=9_000, tags=tags)


def born(promise_id: str, tags: Mapping[str, str] = LOCAL, state: PromiseState = PENDING) -> Record:
    return Record(id=promise_id, timeout_at=9_000, created_at=NOW, tags=tags, state=state)


@dataclass(frozen=True, slots=True)
class Case:
    """A request that the named guards would all refuse, and the status of the first; ``strict`` asks for that mode."""

    why: str
    request: Request
    status: int
    strict: bool = False


NO_TASK_REQUESTS: Final[tuple[Case, ...]] = (
    Case("get: missing", PromiseGet(id="no"), 404),
    Case("create: G1 timer and target before G2 exists", create("done", SLEEP_TARGETED), 400, strict=True),
    Case("settle: G1 state before G2 missing", settle("no", TIMEDOUT), 400),
    Case("settle: G1 pending is no settlement", settle("no", PENDING), 400),
    Case("settle: G1 state before G4 settled", settle("done", TIMEDOUT), 400),
    Case("settle: G2 missing", settle("no"), 404),
    Case("callback: G1 equal before G2 missing", RegisterCallback(awaited="no", awaiter="no"), 400),
    Case("callback: G2 no awaited before G3 no awaiter", RegisterCallback(awaited="no", awaiter="no2"), 404),
    Case(
        "callback: G2 no awaited before G4 untargeted", RegisterCallback(awaited="no", awaiter="local"), 404
    ),
    Case("callback: G3 no awaiter before G5 internal", RegisterCallback(awaited="local", awaiter="no"), 422),
    Case("callback: G3 before G7 settled", RegisterCallback(awaited="outside-done", awaiter="no"), 422),
    Case("callback: G4 untargeted before G7", RegisterCallback(awaited="outside-done", awaiter="local"), 422),
    Case("callback: G5 internal before G6", RegisterCallback(awaited="local", awaiter="held"), 422),
    Case("callback: G5 internal before G7", RegisterCallback(awaited="local-done", awaiter="held"), 422),
    Case(
        "callback: D3 global is internal",
        RegisterCallback(awaited="global", awaiter="held"),
        422,
        strict=True,
    ),
    Case("listener: G2 missing", RegisterListener(awaited="no", address="http://l"), 404),
    Case("listener: G3 internal before G5", RegisterListener(awaited="local-done", address="http://l"), 422),
    Case(
        "listener: D3 global is internal", RegisterListener(awaited="global", address="l"), 422, strict=True
    ),
    Case("schedule.get: missing", ScheduleGet(id="no"), 404),
    Case(
        "schedule.create: G1 before G2", schedule_create("c", "every 10", 0, promise_tags=SLEEP_TARGETED), 400
    ),
    Case("schedule.delete: missing", ScheduleDelete(id="no"), 404),
)

TASK_REQUESTS: Final[tuple[Case, ...]] = (
    Case("task.get: no task", TaskGet(id="local"), 404),
    Case(
        "task.create: G1 no target before G3", TaskCreate(pid="w", ttl=1, action=create("local", LOCAL)), 400
    ),
    Case(
        "task.create: G1 timer before G5",
        TaskCreate(pid="w", ttl=1, action=create("done", SLEEP_TARGETED)),
        400,
    ),
    Case("task.create: G3 untargeted", TaskCreate(pid="w", ttl=1, action=create("outside-done")), 422),
    Case("task.create: G7 acquired, own pid", TaskCreate(pid="w", ttl=1, action=create("held")), 409),
    Case("acquire: G1 before G5", TaskAcquire(id="no", version=9, pid="w", ttl=1), 404),
    Case("acquire: G1 untargeted is no task", TaskAcquire(id="outside", version=0, pid="w", ttl=1), 404),
    Case("acquire: G3 not pending, right version", TaskAcquire(id="held", version=3, pid="w", ttl=1), 409),
    Case("acquire: G4 dead, right version", TaskAcquire(id="dead-pending", version=3, pid="w", ttl=1), 409),
    Case("acquire: G5 version too low", TaskAcquire(id="waiting", version=2, pid="w", ttl=1), 409),
    Case("acquire: G5 version too high", TaskAcquire(id="waiting", version=4, pid="w", ttl=1), 409),
    Case("halt: G1 before all", TaskHalt(id="outside-done"), 404),
    Case("halt: G2 fulfilled by deadline before G3 halted", TaskHalt(id="dead-halted"), 409),
    Case("continue: G1", TaskContinue(id="outside"), 404),
    Case("continue: G2 not halted", TaskContinue(id="suspended"), 409),
    Case("continue: G4 dead", TaskContinue(id="dead-halted"), 409),
    Case("claim: no task", Claim(id="local", pid="w", ttl=1), 404),
)

HELD_REQUESTS: Final[tuple[Case, ...]] = (
    Case("fence: G1 own id before G2 no task", TaskFence(id="no", version=3, action=settle("no")), 400),
    Case("fence: G1 own id before G6", TaskFence(id="held", version=9, action=settle("held")), 400),
    Case("fence: G2 no task before G6", TaskFence(id="outside", version=9, action=settle("no")), 404),
    Case("fence: G4 before the inner 404", TaskFence(id="waiting", version=3, action=settle("no")), 409),
    Case("fence: G5 dead", TaskFence(id="dead", version=3, action=settle("outside")), 409),
    Case("fence: G6 version", TaskFence(id="held", version=2, action=settle("outside")), 409),
    Case("suspend: G1 empty before G4 no task", TaskSuspend(id="no", version=3, awaited=()), 400),
    Case("suspend: G2 self before G4", TaskSuspend(id="no", version=3, awaited=("no",)), 400),
    Case("suspend: G2 self before G3 twice", TaskSuspend(id="no", version=3, awaited=("no", "no")), 400),
    Case("suspend: G3 twice before G4", TaskSuspend(id="no", version=3, awaited=("x", "x")), 400),
    Case("suspend: G3 twice before G9", TaskSuspend(id="held", version=3, awaited=("x", "x")), 400),
    Case("suspend: G4 before G9", TaskSuspend(id="local", version=3, awaited=("no",)), 404),
    Case("suspend: G6 before G9", TaskSuspend(id="waiting", version=3, awaited=("no",)), 409),
    Case("suspend: G7 dead before G9", TaskSuspend(id="dead", version=3, awaited=("no",)), 409),
    Case("suspend: G8 version before G9", TaskSuspend(id="held", version=2, awaited=("no",)), 409),
    Case(
        "suspend: G9 missing before G10",
        TaskSuspend(id="held", version=3, awaited=("outside-done", "no")),
        422,
    ),
    Case(
        "suspend: G9 internal before G10",
        TaskSuspend(id="held", version=3, awaited=("outside-done", "local")),
        422,
    ),
    Case("suspend: G9 settled internal", TaskSuspend(id="held", version=3, awaited=("local-done",)), 422),
    Case("suspend: D3 global", TaskSuspend(id="held", version=3, awaited=("global",)), 422, strict=True),
    Case("fulfill: G1 state before G2", TaskFulfill(id="no", version=3, action=settle("no", TIMEDOUT)), 400),
    Case("fulfill: D9 other id before G2", TaskFulfill(id="no", version=3, action=settle("x")), 400),
    Case("fulfill: G2 before G6", TaskFulfill(id="outside", version=9, action=settle("outside")), 404),
    Case("fulfill: G4 before G6", TaskFulfill(id="waiting", version=3, action=settle("waiting")), 409),
    Case("fulfill: G5 dead", TaskFulfill(id="dead", version=3, action=settle("dead")), 409),
    Case("fulfill: G6 version", TaskFulfill(id="held", version=2, action=settle("held")), 409),
    Case("release: G1 before G5", TaskRelease(id="outside", version=9), 404),
    Case("release: G3", TaskRelease(id="suspended", version=3), 409),
    Case("release: G4 dead", TaskRelease(id="dead", version=3), 409),
    Case("release: G5 version", TaskRelease(id="held", version=4), 409),
    Case("yield: no task", Yield(id="outside", version=9), 404),
    Case("yield: version", Yield(id="held", version=4), 409),
    Case("yield: dead", Yield(id="dead", version=3), 409),
)

EMBEDDED_REQUESTS: Final[tuple[Case, ...]] = (
    Case("commit: own id before no task", Commit(id="no", version=3, effects=(born("no"),)), 400),
    Case(
        "commit: record state before 409",
        Commit(id="held", version=9, effects=(born("n", state=TIMEDOUT),)),
        400,
    ),
    Case(
        "commit: settle state before 404", Commit(id="held", version=3, effects=(settle("no", PENDING),)), 400
    ),
    Case(
        "commit: finish state", Commit(id="held", version=3, effects=(), finish=settle("held", PENDING)), 400
    ),
    Case("commit: finish id", Commit(id="held", version=3, effects=(), finish=settle("outside")), 400),
    Case(
        "commit: timer", Commit(id="held", version=3, effects=(born("n", SLEEP_TARGETED),)), 400, strict=True
    ),
    Case("commit: no task before 404 effect", Commit(id="local", version=3, effects=(settle("no"),)), 404),
    Case("commit: version before 404 effect", Commit(id="held", version=2, effects=(settle("no"),)), 409),
    Case("commit: dead before 404 effect", Commit(id="dead", version=3, effects=(settle("no"),)), 409),
    Case("commit: effect missing", Commit(id="held", version=3, effects=(born("n"), settle("no"))), 404),
    Case("park: empty before no task", Park(id="no", version=3, awaited=()), 400),
    Case("park: self before no task", Park(id="no", version=3, awaited=("no",)), 400),
    Case("park: twice before no task", Park(id="no", version=3, awaited=("x", "x")), 400),
    Case("park: version before 422", Park(id="held", version=2, awaited=("no",)), 409),
    Case("park: 422 before 300", Park(id="held", version=3, awaited=("outside-done", "no")), 422),
)

CASES: Final = NO_TASK_REQUESTS + TASK_REQUESTS + HELD_REQUESTS + EMBEDDED_REQUESTS


def world_with(rules_strict: bool) -> World:
    world = World(STRICT if rules_strict else DEFAULT_RULES)
    world.has(*OBJECTS)
    world.ask(schedule_create("c", "every 10", 0), 0)
    return world


@pytest.mark.parametrize("case", CASES, ids=[case.why for case in CASES])
def test_the_earlier_guard_answers_and_nothing_is_written(case: Case) -> None:
    world = world_with(case.strict)
    before = dict(world.objects)
    reply = world.ask(case.request, NOW)
    assert reply.status == case.status
    assert reply.error
    assert world.objects == before
    assert world.outbox == {}


def test_a_fence_answers_200_around_an_inner_refusal() -> None:
    """D10: the specification's shape."""
    world = world_with(rules_strict=True)
    before = dict(world.objects)
    refusals: list[tuple[PromiseCreate | PromiseSettle, int]] = [
        (settle("no"), 404),
        (settle("outside", TIMEDOUT), 400),
        (create("new", SLEEP_TARGETED), 400),
    ]
    for action, status in refusals:
        reply = world.ask(TaskFence(id="held", version=3, action=action), NOW)
        assert reply.inner is not None
        assert (reply.status, reply.inner.status) == (200, status)
    assert world.objects == before


def test_d3_a_global_promise_may_be_awaited_when_lenient() -> None:
    world = world_with(rules_strict=False)
    assert world.ask(RegisterCallback(awaited="global", awaiter="held"), NOW).status == 200
    assert world.ask(RegisterListener(awaited="global", address="http://l"), NOW).status == 200
    assert world.ask(TaskSuspend(id="held", version=3, awaited=("global",)), NOW).status == 200
    assert world.due("global") == 100_000


def test_d2_a_global_promise_is_not_armed_when_strict() -> None:
    assert world_with(rules_strict=True).due("global") is None


def test_create_is_idempotent_by_id_alone() -> None:
    world = world_with(rules_strict=False)
    reply = world.ask(PromiseCreate(id="done", timeout_at=1, tags=LOCAL), NOW)
    assert reply.promise == world.object("done")
    assert world.promise("done").tags == TARGETED


def test_a_redirect_keeps_the_lease_clears_the_resumes_and_adds_no_callback() -> None:
    """Suspend G10, for a settled and for an expired awaited promise."""
    requests: list[TaskSuspend | Park] = [
        TaskSuspend(id="held", version=3, awaited=("outside", "outside-done")),
        TaskSuspend(id="held", version=3, awaited=("outside", "outside-dead")),
        Park(id="held", version=3, awaited=("outside", "outside-dead")),
    ]
    for request in requests:
        world = world_with(rules_strict=False)
        reply = world.ask(request, NOW)
        assert reply.status == 300
        assert reply.records is not None
        assert list(reply.records) == [request.awaited[1]]
        assert world.task("held") == acquired(3)
        assert world.promise("outside").callbacks == ()


def test_heartbeat_extends_only_what_this_process_holds_alive_at_this_version() -> None:
    world = world_with(rules_strict=False)
    refs = [("held", 3), ("stale", 3), ("dead", 3), ("waiting", 3), ("outside", 0), ("no", 0)]
    beat = TaskHeartbeat(pid="w", tasks=tuple(TaskRef(id=name, version=version) for name, version in refs))
    before = dict(world.objects)
    assert world.ask(replace(beat, pid="other"), NOW).status == 200
    assert world.objects == before
    assert world.ask(beat, NOW).status == 200
    changed = {key for key in world.objects if world.objects[key] != before[key]}
    assert changed == {"held"}
    assert world.task("held") == acquired(3, expires_at=NOW + 10_000, resumes=("x",))


def test_an_empty_heartbeat_is_accepted() -> None:
    """D7."""
    assert World().ask(TaskHeartbeat(pid="w", tasks=()), NOW).status == 200


@pytest.mark.parametrize(
    ("delay", "retry_at"), [("3000", 3_000), ("5", NOW), ("soon", NOW), ("-1", NOW), ("", NOW)]
)
def test_the_first_dispatch_is_at_the_later_of_delay_and_now(delay: str, retry_at: int) -> None:
    world = World()
    world.ask(create("n", {TARGET: "U", DELAY: delay}), NOW)
    assert world.task("n").retry_at == retry_at


def test_only_the_text_true_makes_a_timer() -> None:
    world = World(STRICT)
    assert world.ask(create("n", {TARGET: "U", TIMER: "yes"}), NOW).status == 200
    assert world.object("n").task == pending(0, retry_at=NOW)


def test_registering_twice_costs_no_write() -> None:
    world = world_with(rules_strict=False)
    world.ask(RegisterCallback(awaited="outside", awaiter="held"), NOW)
    world.ask(RegisterListener(awaited="outside", address="http://l"), NOW)
    once = world.object("outside")
    world.ask(RegisterCallback(awaited="outside", awaiter="held"), NOW + 5)
    world.ask(RegisterListener(awaited="outside", address="http://l"), NOW + 5)
    world.ask(TaskSuspend(id="held", version=3, awaited=("outside",)), NOW + 5)
    assert world.object("outside") is once
    assert world.task("held") == suspended(3)
