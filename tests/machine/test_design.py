"""What design sections 3, 4, 5 and 7 add to the protocol: back-off, patience, bounds, lost answers, births, chunks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from tests.machine.world import (
    LOCAL,
    OUTSIDE,
    SLEEP_TARGETED,
    TARGETED,
    Internal,
    World,
    acquired,
    halted,
    pending,
    record,
    suspended,
)

from resonate_faas._machine import decide, handler_of, internal
from resonate_faas._machine.objects import (
    DEFAULT_RULES,
    ORIGIN,
    TARGET,
    TIMER,
    Execute,
    PromiseState,
    Rules,
    Task,
    TaskState,
    Value,
    due,
)
from resonate_faas._machine.requests import (
    Claim,
    Commit,
    Need,
    Observe,
    Outcome,
    Park,
    PromiseCreate,
    PromiseGet,
    PromiseSettle,
    Record,
    RegisterCallback,
    RegisterListener,
    Reply,
    TaskAcquire,
    TaskContinue,
    TaskFulfill,
    TaskHalt,
    TaskHeartbeat,
    TaskRef,
    TaskRelease,
    TaskSuspend,
    Yield,
)

RESOLVED = PromiseState.RESOLVED
HOUR = 3_600_000


def claim(pid: str = "w", ttl: int = 10_000) -> Claim:
    return Claim(id="a", pid=pid, ttl=ttl)


def born(promise_id: str, tags: Mapping[str, str] = LOCAL, *, birth: str = "", at: int = 0) -> Record:
    return Record(id=promise_id, timeout_at=10 * HOUR, created_at=at, tags=tags, birth=birth)


def with_task(timeout_at: int = 100 * HOUR, rules: Rules = DEFAULT_RULES) -> World:
    world = World(rules)
    world.ask(PromiseCreate(id="a", timeout_at=timeout_at, tags=TARGETED), 0)
    return world


def test_redispatch_backs_off_from_5_s_to_15_min_and_starts_over_when_claimed() -> None:
    world = with_task()
    pauses = []
    now = 0
    for _ in range(10):
        before = len(world.outbox)
        outcome = world.fire(Internal("R6", "a"), now)
        assert outcome.messages == (Execute(id="a", version=0, target="U"),)
        assert before <= 1
        at = world.task("a").retry_at
        assert at is not None
        assert world.fire(Internal("R6", "a"), at - 1).messages == ()
        pauses.append((at - now) // 1000)
        now = at
    assert pauses == [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]

    world.ask(TaskAcquire(id="a", version=0, pid="w", ttl=1), now)
    world.ask(TaskRelease(id="a", version=1), now)
    assert world.task("a").retry_at == now
    world.fire(Internal("R6", "a"), now)
    assert world.task("a").retry_at == now + 5_000


def crash(world: World, now: int) -> int:
    """Claim as soon as the back-off allows, record nothing, lose the lease; return the instant of that."""
    now = max(now, world.object("a").not_before)
    assert world.ask(claim(), now).status == 200
    world.fire(Internal("R5", "a"), now + 10_000)
    return now + 10_000


def test_a_task_that_records_nothing_backs_off_from_the_third_time_and_is_halted_after_the_tenth() -> None:
    world = with_task()
    now = 0
    rests = []
    for _ in range(10):
        now = crash(world, now)
        rests.append(max(world.object("a").not_before - now, 0) // 1000)
    assert rests == [0, 0, 20, 40, 80, 160, 320, 640, 900, 900]
    assert world.object("a").barren == 10
    assert world.task("a").state is TaskState.PENDING

    reply = world.ask(claim(), now)
    assert reply.status == 409
    assert reply.promise == world.object("a")
    assert world.task("a") == halted(10)
    assert world.object("a").reason == "10 activations in a row recorded nothing new"

    world.ask(TaskContinue(id="a"), now)
    revived = world.object("a")
    assert (revived.barren, revived.not_before, revived.reason) == (0, 0, None)
    assert world.ask(claim(), now).status == 200


def test_a_tenth_release_without_a_record_halts_with_the_reason_given() -> None:
    world = World()
    world.has(record("a", task=acquired(), barren=10))
    assert world.ask(Yield(id="a", version=1, reason="no such function: f"), 5).status == 200
    assert world.task("a") == halted()
    assert world.object("a").reason == "no such function: f"

    world.has(record("a", task=acquired(), barren=9))
    world.ask(Yield(id="a", version=1, reason="no such function: f"), 5)
    assert world.task("a").state is TaskState.PENDING
    assert world.object("a").reason == "no such function: f"
    assert world.object("a").not_before == 5 + 900_000


@pytest.mark.parametrize(("back_off", "rest_ms"), [(False, 0), (True, 5_000)])
def test_a_release_rests_only_when_asked_while_patience_lasts(*, back_off: bool, rest_ms: int) -> None:
    world = World()
    world.has(record("a", task=acquired(), barren=1))
    world.ask(Yield(id="a", version=1, back_off=back_off), 100)
    assert world.due("a") == 100 + rest_ms


def test_dispatch_and_claim_wait_for_the_back_off_and_due_says_when() -> None:
    world = World()
    world.has(record("a", task=pending(), not_before=5_000))
    assert world.due("a") == 5_000
    assert world.fire(Internal("R6", "a"), 4_999).messages == ()
    refused = world.ask(claim(), 4_999)
    assert (refused.status, refused.promise) == (409, world.object("a"))
    assert world.fire(Internal("R6", "a"), 5_000).messages != ()
    assert world.ask(claim(), 5_000).status == 200


def test_an_acquisition_ends_the_back_off() -> None:
    world = World()
    world.has(record("a", task=pending(), not_before=900_000), record("x", OUTSIDE))
    world.ask(TaskAcquire(id="a", version=1, pid="w", ttl=1_000), 10)
    world.ask(TaskSuspend(id="a", version=2, awaited=("x",)), 20)
    world.ask(PromiseSettle(id="x", state=RESOLVED), 30)
    world.fire(Internal("R4", "x"), 30)
    assert world.due("a") == 30


def test_only_a_new_record_is_progress() -> None:
    world = World()
    world.has(record("a", task=acquired(), barren=4), record("a:1", LOCAL, state=RESOLVED))
    world.ask(Commit(id="a", version=1, effects=(), extend=True), 5)
    world.ask(Commit(id="a", version=1, effects=(born("a:1"),)), 5)
    world.ask(Commit(id="a", version=1, effects=(PromiseSettle(id="a:1", state=RESOLVED),)), 5)
    assert world.object("a").barren == 4
    world.ask(Commit(id="a", version=1, effects=(born("a:2"),)), 5)
    assert world.object("a").barren == 0


def test_a_claim_recognises_its_own_pid_after_a_lost_answer_and_extends() -> None:
    world = with_task()
    first = world.ask(claim("w1"), 100)
    again = world.ask(claim("w1"), 400)
    assert first.promise is not None
    assert again.promise is not None
    assert again.promise.task == acquired(1, pid="w1", expires_at=10_400)
    assert (again.promise.barren, first.promise.barren) == (1, 1)
    assert world.ask(claim("w2"), 500).status == 409


def test_a_refused_claim_tells_a_stored_record() -> None:
    world = with_task(timeout_at=100)
    reply = world.ask(claim(), 100)
    assert reply.status == 409
    assert reply.promise == world.object("a")
    assert world.promise("a").state is PromiseState.TIMEDOUT


@pytest.mark.parametrize("task", [acquired(), suspended(), halted(), pending()])
def test_the_deadline_settles_whatever_the_task_is_doing(task: Task) -> None:
    world = World()
    world.has(replace(record("a", timeout_at=700), task=task))
    assert world.due("a") in {0, 700}
    world.fire(Internal("R1", "a"), 699)
    assert world.promise("a").state is PromiseState.PENDING
    world.fire(Internal("advance", "a"), 700)
    assert world.promise("a").state is PromiseState.TIMEDOUT
    assert world.promise("a").settled_at == 700
    assert world.task("a").state is TaskState.FULFILLED
    assert world.outbox == {}
    assert world.due("a") is None


def test_an_expired_awaiter_is_not_resumed_by_the_drain() -> None:
    """C6."""
    world = World()
    awaited = record("x", OUTSIDE, state=RESOLVED, callbacks=("a", "gone", "done"))
    done = record("done", state=RESOLVED)
    world.has(record("a", task=suspended(), timeout_at=500), awaited, done)
    expired = world.object("a")
    world.fire(Internal("R4", "x"), 500)
    assert (world.object("a"), world.object("done")) == (expired, done)
    assert world.promise("x").callbacks == ()


@pytest.mark.parametrize("task", [acquired(), pending(), halted()])
def test_the_drain_adds_to_the_resumes_of_an_awaiter_that_is_not_suspended(task: Task) -> None:
    world = World()
    world.has(replace(record("a"), task=task), record("x", OUTSIDE, state=RESOLVED, callbacks=("a",)))
    for _ in range(2):
        world.fire(Internal("R4", "x"), 500)
        assert world.task("a") == replace(task, resumes=("x",))


def test_the_drain_goes_in_chunks_of_24_and_stays_due_until_done() -> None:
    world = World()
    awaiters = tuple(f"w{count}" for count in range(50))
    world.has(*(record(awaiter, task=suspended()) for awaiter in awaiters))
    world.has(record("x", OUTSIDE, state=RESOLVED, callbacks=awaiters))
    left = []
    while world.due("x") is not None:
        assert world.due("x") == 1
        outcome = world.fire(Internal("R4", "x"), 10)
        assert len(outcome.writes) <= 25
        left.append(len(world.promise("x").callbacks))
    assert left == [26, 2, 0]
    assert {world.task(awaiter).state for awaiter in awaiters} == {TaskState.PENDING}


def test_a_promise_takes_1000_waiters_and_refuses_one_more_by_name() -> None:
    world = World()
    world.has(record("a", task=acquired()), record("b", task=acquired()))
    callbacks = tuple(f"w{count}" for count in range(999))
    world.has(record("x", OUTSIDE, callbacks=callbacks))
    assert world.ask(RegisterListener(awaited="x", address="http://1"), 5).status == 200
    refused = [
        world.ask(RegisterListener(awaited="x", address="http://2"), 5),
        world.ask(RegisterCallback(awaited="x", awaiter="a"), 5),
        world.ask(TaskSuspend(id="a", version=1, awaited=("x",)), 5),
        world.ask(Park(id="a", version=1, awaited=("x",)), 5),
    ]
    assert [reply.status for reply in refused] == [422] * 4
    assert all("1000 waiters" in str(reply.error) for reply in refused)
    assert len(world.promise("x").callbacks) == 999
    assert world.ask(RegisterListener(awaited="x", address="http://1"), 5).status == 200


def test_a_promise_takes_waiters_of_300000_bytes_and_refuses_one_more_by_name() -> None:
    """Every store keeps them in the promise's own item, and the smallest holds 400 KB."""
    world = World()
    world.has(record("a", task=acquired()))
    callbacks = tuple(f"{count:0750}" for count in range(399))
    world.has(record("x", OUTSIDE, callbacks=callbacks))
    address = "http://" + "l" * 743
    assert world.ask(RegisterListener(awaited="x", address=address), 5).status == 200
    refused = [
        world.ask(RegisterListener(awaited="x", address="h"), 5),
        world.ask(RegisterCallback(awaited="x", awaiter="a"), 5),
        world.ask(TaskSuspend(id="a", version=1, awaited=("x",)), 5),
        world.ask(Park(id="a", version=1, awaited=("x",)), 5),
    ]
    assert [reply.status for reply in refused] == [422] * 4
    assert all("300000 bytes" in str(reply.error) for reply in refused)
    assert len(world.promise("x").callbacks) == 399


def test_a_wake_between_two_chunks_of_a_park_is_not_lost() -> None:
    world = World()
    world.has(record("a", task=acquired()), record("x", OUTSIDE), record("y", OUTSIDE))
    chunk = Park(id="a", version=1, awaited=("x",), register_only=True)
    assert world.ask(chunk, 10).status == 200
    assert world.task("a") == acquired()
    world.ask(PromiseSettle(id="x", state=RESOLVED), 20)
    world.fire(Internal("R4", "x"), 20)
    last = Park(id="a", version=1, awaited=("y",), registered=("x",))
    reply = world.ask(last, 30)
    assert reply.status == 300
    assert reply.records == {"x": world.object("x")}
    assert world.task("a") == acquired()
    assert world.promise("y").callbacks == ()
    assert world.ask(replace(last, registered=()), 40).status == 200


def test_a_park_forgets_the_patience_it_used() -> None:
    world = World()
    world.has(record("a", task=acquired(), barren=4), record("x", OUTSIDE))
    world.ask(Park(id="a", version=1, awaited=("x",)), 10)
    assert world.object("a").barren == 0


def test_a_commit_is_all_or_nothing() -> None:
    world = World()
    world.has(record("a", task=acquired()), record("a:1", LOCAL))
    before = dict(world.objects)
    effects = (born("a:2"), PromiseSettle(id="a:1", state=RESOLVED), PromiseSettle(id="no", state=RESOLVED))
    finish = PromiseSettle(id="a", state=RESOLVED)
    assert world.ask(Commit(id="a", version=1, effects=effects, finish=finish), 5).status == 404
    assert world.objects == before

    reply = world.ask(Commit(id="a", version=1, effects=effects[:2], finish=finish), 5)
    assert reply.status == 200
    assert reply.records == {key: world.object(key) for key in ("a:1", "a:2")}
    assert world.promise("a:1").state is world.promise("a").state is RESOLVED
    assert world.promise("a:2").state is PromiseState.PENDING
    assert world.task("a").state is TaskState.FULFILLED


def test_a_commit_applies_effects_in_order_and_a_later_one_sees_the_earlier() -> None:
    world = World()
    world.has(record("a", task=acquired()))
    settle = PromiseSettle(id="a:1", state=PromiseState.REJECTED, value=Value(data="MQ=="))
    again = replace(born("a:1"), state=RESOLVED)
    reply = world.ask(Commit(id="a", version=1, effects=(born("a:1", at=3), settle, again)), 5)
    assert reply.records == {"a:1": world.object("a:1")}
    assert world.promise("a:1").state is PromiseState.REJECTED
    assert (world.promise("a:1").created_at, world.promise("a:1").settled_at) == (3, 5)


def test_a_commit_extends_the_lease_by_the_stored_ttl_only_when_asked() -> None:
    world = World()
    world.has(record("a", task=acquired()))
    world.ask(Commit(id="a", version=1, effects=(born("a:1"),)), 2_000)
    assert world.task("a").expires_at == 10_000
    world.ask(Commit(id="a", version=1, effects=(), extend=True), 3_000)
    assert world.task("a").expires_at == 13_000


def test_a_record_whose_deadline_has_passed_is_settled_by_it() -> None:
    world = World()
    world.has(record("a", task=acquired()))
    late = Record(id="a:1", timeout_at=400, created_at=300, state=RESOLVED, value=Value(data="MQ=="))
    sleep = Record(id="a:2", timeout_at=400, created_at=300, tags={TIMER: "true"})
    world.ask(Commit(id="a", version=1, effects=(late, sleep)), 400)
    assert world.promise("a:1").state is PromiseState.TIMEDOUT
    assert world.promise("a:1").value == Value()
    assert world.promise("a:2").state is RESOLVED
    assert world.promise("a:1").settled_at == world.promise("a:2").settled_at == 400


def test_a_recorded_timer_with_target_is_a_timer_alone_when_lenient() -> None:
    world = World()
    world.has(record("a", task=acquired()))
    world.ask(Commit(id="a", version=1, effects=(born("a:1", SLEEP_TARGETED),)), 5)
    assert world.object("a:1").task is None
    assert TARGET not in world.promise("a:1").tags


@pytest.mark.parametrize(
    ("holder", "present", "brought", "overwritten"),
    [
        ("now", "before", "", True),
        ("now", "now", "", False),
        ("now", "", "", False),
        ("", "before", "", False),
        ("now", "before", "own", False),
    ],
)
def test_a_commit_overwrites_records_of_another_birth_and_no_other(
    *, holder: str, present: str, brought: str, overwritten: bool
) -> None:
    world = World()
    stale = record("a:1", LOCAL, state=PromiseState.REJECTED, birth=present)
    world.has(record("a", task=acquired(), birth=holder), stale)
    world.ask(Commit(id="a", version=1, effects=(born("a:1", birth=brought),)), 5)
    if overwritten:
        assert world.promise("a:1").state is PromiseState.PENDING
        assert world.object("a:1").birth == holder
    else:
        assert world.object("a:1") == stale


def test_every_descendant_carries_its_roots_birth_and_a_detached_root_its_own() -> None:
    world = World()
    world.ask(PromiseCreate(id="a", timeout_at=HOUR, tags=TARGETED), 7)
    birth = world.object("a").birth
    assert birth.startswith("7-")
    world.ask(claim(), 8)
    detached = born("p-d0", TARGETED, birth="8-x")
    world.ask(Commit(id="a", version=1, effects=(born("a:1r", TARGETED), detached)), 9)
    assert (world.object("a:1r").birth, world.object("p-d0").birth) == (birth, "8-x")
    world.ask(PromiseCreate(id="b", timeout_at=HOUR), 7)
    assert world.object("b").birth not in {"", birth}


def test_an_objects_time_never_runs_backwards_when_an_instance_lags() -> None:
    world = with_task(timeout_at=1_000)
    world.ask(PromiseGet(id="a"), 1_000)
    reply = world.ask(PromiseGet(id="a"), 10)
    assert reply.promise is not None
    assert reply.promise.promise.state is PromiseState.TIMEDOUT

    world = with_task()
    world.ask(claim(ttl=50), 5_000)
    world.ask(TaskHeartbeat(pid="w", tasks=(TaskRef(id="a", version=1),)), 4_100)
    assert world.task("a").expires_at == 5_050
    world.ask(TaskFulfill(id="a", version=1, action=PromiseSettle(id="a", state=RESOLVED)), 4_200)
    assert world.promise("a").settled_at == 5_000


def test_a_step_asks_for_what_it_was_not_given_all_at_once() -> None:
    handler = handler_of(Observe(ids=("a", "b", "c")))
    asked = decide(handler, {"a": None}, now_ms=0, rules=DEFAULT_RULES)
    assert asked == Need(ids=frozenset({"b", "c"}))
    drain = decide(
        lambda turn: internal.callback_drain(turn, "x"),
        {"x": record("x", OUTSIDE, state=RESOLVED, callbacks=("a", "b"))},
        now_ms=0,
        rules=DEFAULT_RULES,
    )
    assert drain == Need(ids=frozenset({"a", "b"}))


def test_a_step_leaves_what_it_was_given_as_it_was() -> None:
    given = {"a": record("a", task=acquired())}
    kept = dict(given)
    outcome = decide(handler_of(TaskHalt(id="a")), given, now_ms=9, rules=DEFAULT_RULES)
    assert isinstance(outcome, Outcome)
    assert outcome.reply == Reply(status=200)
    assert given == kept
    assert given["a"].task == acquired()


def test_retention_makes_a_settled_root_due_and_nothing_else() -> None:
    rules = replace(DEFAULT_RULES, retention_ms=500)
    done = record("a", state=RESOLVED, task=None)
    assert due(done, rules) == 501
    assert due(done, DEFAULT_RULES) is None
    assert due(record("a:1", LOCAL, state=RESOLVED), rules) is None
    assert due(record("a.1", {ORIGIN: "a"}, state=RESOLVED), rules) is None
    assert due(record("a", state=RESOLVED, callbacks=("b",)), rules) == 1
