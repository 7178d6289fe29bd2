"""One broken state or step for each invariant, broken in nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from tests.machine.world import (
    LOCAL,
    OUTSIDE,
    SLEEP,
    SLEEP_TARGETED,
    TARGETED,
    Cause,
    Internal,
    Snapshot,
    Transition,
    World,
    acquired,
    fulfilled,
    halted,
    pending,
    record,
    schedule_create,
    suspended,
)

from resonate_faas._machine.objects import (
    Execute,
    Message,
    PromiseObject,
    PromiseState,
    ScheduleObject,
    Task,
    Unblock,
    Value,
)
from resonate_faas._machine.requests import (
    Claim,
    Commit,
    PromiseCreate,
    PromiseGet,
    PromiseSettle,
    RegisterListener,
    Reply,
    TaskAcquire,
    TaskGet,
    TaskHeartbeat,
    TaskRelease,
)

NOW: Final = 1_000
RESOLVED: Final = PromiseState.RESOLVED
REJECTED: Final = PromiseState.REJECTED
TIMEDOUT: Final = PromiseState.TIMEDOUT
VALUE: Final = Value(data="MQ==")


def healthy() -> Snapshot:
    """A snapshot with one of everything, which no invariant minds."""
    world = World()
    world.clock = NOW
    world.has(
        record("inner", LOCAL),
        record("open", OUTSIDE, callbacks=("waits",), listeners=("http://l",)),
        record("closed", OUTSIDE, state=RESOLVED, value=VALUE),
        record("told", OUTSIDE, state=RESOLVED, callbacks=("waits",), listeners=("http://l",)),
        record("waits", task=suspended()),
        record("held", task=acquired(2, expires_at=NOW)),
        record("ready", task=pending()),
        record("rearmed", task=pending(retry_at=5_000)),
        record("resting", task=pending(), not_before=5_000),
        record("exhausted", task=pending(), barren=10),
        record("late", task=pending(retry_at=5_000), timeout_at=500),
        record("late-outside", OUTSIDE, timeout_at=500),
        record("stopped", task=halted()),
        record("done", state=RESOLVED),
    )
    world.send(Execute(id="ready", version=1, target="U"))
    world.send(Unblock(address="http://l", promise=world.promise("done")))
    world.ask(schedule_create("cron", "every 500", 0), 0)
    return world.snapshot()


def with_objects(*objects: PromiseObject) -> Snapshot:
    base = healthy()
    return replace(base, objects={**base.objects, **{stored.id: stored for stored in objects}})


def with_promise(key: str, **fields: Any) -> Snapshot:
    stored = healthy().at(key)
    assert stored is not None
    return with_objects(replace(stored, promise=replace(stored.promise, **fields)))


def with_task(key: str, task: Task) -> Snapshot:
    stored = healthy().at(key)
    assert stored is not None
    return with_objects(replace(stored, task=task))


def with_message(key: str, message: Message) -> Snapshot:
    base = healthy()
    return replace(base, outbox={**base.outbox, (key,): message})


def with_schedule(**fields: Any) -> Snapshot:
    base = healthy()
    (stored,) = base.schedules()
    broken = ScheduleObject(schedule=replace(stored.schedule, **fields), at=stored.at)
    return replace(base, objects={**base.objects, stored.id: broken})


def _told_wrongly() -> Snapshot:
    stored = healthy().at("done")
    assert stored is not None
    return with_message("wrong", Unblock(address="http://2", promise=replace(stored.promise, value=VALUE)))


STATE_CANARIES: Final[Mapping[str, Callable[[], Snapshot]]] = {
    "settled_at_is_set_exactly_when_settled": lambda: with_promise("inner", settled_at=5),
    "created_settled_and_timeout_are_in_order": lambda: with_promise("closed", created_at=2),
    "a_pending_promise_was_created_before_its_deadline": lambda: with_promise("inner", created_at=100_000),
    "a_pending_promise_has_no_value": lambda: with_promise("inner", value=VALUE),
    "a_deadline_settlement_matches_the_timer_tag_and_is_empty": lambda: with_objects(
        record("t", SLEEP, state=REJECTED, settled_at=100_000)
    ),
    "a_promise_times_out_at_its_deadline_and_is_no_timer": lambda: with_objects(
        record("o", OUTSIDE, state=TIMEDOUT, settled_at=1)
    ),
    "no_promise_has_timer_and_target": lambda: with_objects(record("t", SLEEP_TARGETED, state=RESOLVED)),
    "only_external_promises_have_waiters": lambda: with_promise("inner", listeners=("http://l",)),
    "waiters_are_unique": lambda: with_promise("open", callbacks=("waits", "waits")),
    "no_promise_awaits_itself": lambda: with_promise("open", callbacks=("waits", "open")),
    "waiters_are_bounded": lambda: with_promise(
        "open", listeners=tuple(f"http://{count}" for count in range(1_000))
    ),
    "a_task_exists_exactly_when_targeted": lambda: with_task("open", halted()),
    "settled_exactly_when_fulfilled": lambda: with_task("done", halted()),
    "the_task_state_says_which_fields_are_set": lambda: with_task(
        "held", replace(acquired(2), retry_at=5_000)
    ),
    "a_suspended_or_fulfilled_task_has_no_resumes": lambda: with_task(
        "done", replace(fulfilled(), resumes=("x",))
    ),
    "an_acquired_task_has_a_version": lambda: with_task("held", acquired(0)),
    "a_live_suspended_task_holds_a_callback": lambda: with_task("stopped", suspended()),
    "an_execute_names_a_task_at_a_version_it_reached": lambda: with_message(
        "early", Execute(id="held", version=3, target="U")
    ),
    "an_execute_goes_to_the_target": lambda: with_message(
        "astray", Execute(id="held", version=2, target="V")
    ),
    "an_unblock_carries_the_stored_settlement": _told_wrongly,
    "the_outbox_keys_are_unique": lambda: with_message("twice", Execute(id="ready", version=0, target="U")),
    "a_schedules_instants_are_in_order": lambda: with_schedule(last_run_at=500),
    "no_schedule_has_timer_and_target": lambda: with_schedule(promise_tags=SLEEP_TARGETED),
    "every_object_lies_under_its_own_key": lambda: replace(
        healthy(), objects={**healthy().objects, "elsewhere": record("astray", LOCAL)}
    ),
}


def unchanged(cause: Cause, *messages: Message, reply: Reply | None = None) -> Transition:
    base = healthy()
    return Transition(
        cause=cause,
        now=NOW,
        before=base,
        after=base,
        reply=reply or Reply(status=200),
        messages=messages,
    )


def step_to(cause: Cause, *objects: PromiseObject, reply: Reply | None = None) -> Transition:
    """A step that wrote these objects at its now."""
    still = unchanged(cause, reply=reply)
    written = {stored.id: replace(stored, at=NOW) for stored in objects}
    return replace(still, after=replace(still.after, objects={**still.after.objects, **written}))


def of(key: str) -> PromiseObject:
    stored = healthy().at(key)
    assert stored is not None
    return stored


def promise_to(cause: Cause, key: str, **fields: Any) -> Transition:
    stored = of(key)
    return step_to(cause, replace(stored, promise=replace(stored.promise, **fields)))


def task_to(cause: Cause, key: str, task: Task, **hidden: Any) -> Transition:
    return step_to(cause, replace(of(key), task=task, **hidden))


def settles(cause: Cause, key: str, task: Task | None) -> Transition:
    stored = of(key)
    promise = replace(stored.promise, state=RESOLVED, settled_at=NOW)
    return step_to(cause, replace(stored, promise=promise, task=task))


def _gone() -> Transition:
    still = unchanged(PromiseGet(id="inner"))
    left = {key: stored for key, stored in still.after.objects.items() if key != "inner"}
    return replace(still, after=replace(still.after, objects=left))


def _backwards() -> Transition:
    still = unchanged(RegisterListener(awaited="closed", address="l"))
    left = {**still.after.objects, "closed": replace(of("closed"), at=0)}
    return replace(still, after=replace(still.after, objects=left))


def _regressed() -> Transition:
    still = unchanged(TaskGet(id="ready"))
    older = Execute(id="ready", version=0, target="U")
    return replace(
        still, after=replace(still.after, outbox={**still.after.outbox, ("execute", "ready"): older})
    )


LEASED: Final = acquired(2, expires_at=NOW + 10_000)
ACQUIRE: Final = TaskAcquire(id="ready", version=1, pid="w", ttl=10_000)
CLAIM: Final = Claim(id="resting", pid="w", ttl=10_000)

STEP_CANARIES: Final[Mapping[str, Callable[[], Transition]]] = {
    "promises_and_tasks_only_grow": _gone,
    "birth_fields_never_change": lambda: promise_to(PromiseGet(id="inner"), "inner", timeout_at=7_000),
    "a_settled_record_never_changes": lambda: promise_to(
        PromiseSettle(id="closed", state=RESOLVED), "closed", value=Value(data="Mg==")
    ),
    "the_version_moves_by_one_and_only_on_acquisition": lambda: task_to(
        TaskGet(id="ready"), "ready", pending(2)
    ),
    "a_task_is_born_at_version_0_or_held_at_1": lambda: step_to(
        PromiseCreate(id="new", timeout_at=100_000, tags=TARGETED),
        record("new", task=pending(3, retry_at=NOW)),
    ),
    "the_holder_changes_only_through_pending": lambda: task_to(
        Claim(id="held", pid="v", ttl=10_000), "held", acquired(2, pid="v", expires_at=NOW)
    ),
    "only_the_drawn_moves_are_made": lambda: task_to(
        TaskAcquire(id="waits", version=1, pid="w", ttl=10_000), "waits", acquired(expires_at=NOW + 10_000)
    ),
    "internal_steps_never_acquire_suspend_halt_or_continue": lambda: task_to(
        Internal("R6", "ready"), "ready", halted()
    ),
    "internal_steps_settle_only_by_deadline": lambda: settles(Internal("R6", "ready"), "ready", fulfilled()),
    "no_settlement_is_later_than_the_deadline_allows": lambda: settles(
        PromiseSettle(id="late-outside", state=RESOLVED), "late-outside", None
    ),
    "settlement_and_fulfilment_are_one_step": lambda: settles(
        PromiseSettle(id="stopped", state=RESOLVED), "stopped", halted()
    ),
    "a_consumed_callback_resumed_its_awaiter": lambda: promise_to(
        Internal("R4", "told"), "told", callbacks=()
    ),
    "a_consumed_listener_was_sent_an_unblock": lambda: promise_to(
        Internal("R3", "told", "http://l"), "told", listeners=()
    ),
    "a_settled_promise_takes_no_new_waiter": lambda: promise_to(
        RegisterListener(awaited="closed", address="l"), "closed", listeners=("l",)
    ),
    "only_internal_steps_consume_waiters": lambda: replace(
        promise_to(PromiseGet(id="told"), "told", listeners=()),
        messages=(Unblock(address="http://l", promise=of("told").promise),),
    ),
    "no_execute_is_sent_for_a_dead_promise": lambda: unchanged(
        Internal("R6", "late"), Execute(id="late", version=1, target="U")
    ),
    "an_execute_carries_the_version_of_a_pending_task": lambda: unchanged(
        Internal("R6", "rearmed"), Execute(id="rearmed", version=0, target="U")
    ),
    "every_entry_into_pending_arms_a_retry_at_now": lambda: task_to(
        TaskRelease(id="held", version=2), "held", pending(2, retry_at=NOW + 5)
    ),
    "a_retry_is_rearmed_strictly_forward": lambda: task_to(
        TaskGet(id="rearmed"), "rearmed", pending(retry_at=4_999)
    ),
    "an_execute_rearms_the_retry": lambda: unchanged(
        Internal("R6", "ready"), Execute(id="ready", version=1, target="U")
    ),
    "a_lease_ends_one_ttl_after_it_was_last_asked_for": lambda: task_to(
        ACQUIRE, "ready", acquired(2, expires_at=NOW + 1)
    ),
    "only_its_holder_extends_a_lease": lambda: task_to(
        TaskHeartbeat(pid="v", tasks=()), "held", acquired(2, expires_at=NOW + 10_000)
    ),
    "an_objects_time_never_runs_backwards": _backwards,
    "the_outbox_never_regresses": _regressed,
    "a_refusal_writes_nothing_unless_it_tells_a_record": lambda: replace(
        promise_to(RegisterListener(awaited="open", address="l"), "open", listeners=("http://l", "l")),
        reply=Reply(status=422, error="no"),
    ),
    "what_is_told_is_stored_first": lambda: unchanged(
        PromiseGet(id="late"), reply=Reply(status=200, promise=record("late", state=TIMEDOUT, timeout_at=500))
    ),
    "what_is_told_is_the_projection": lambda: unchanged(
        PromiseGet(id="late"), reply=Reply(status=200, promise=of("late"))
    ),
    "no_internal_step_acts_before_due": lambda: task_to(
        Internal("R6", "rearmed"), "rearmed", pending(retry_at=9_000)
    ),
    "the_back_off_is_respected_by_dispatch_and_claim": lambda: task_to(CLAIM, "resting", LEASED, barren=1),
    "barren_counts_our_acquisitions_since_the_last_progress": lambda: task_to(
        ACQUIRE, "ready", LEASED, barren=1
    ),
    "an_exhausted_task_is_never_leased_to_us": lambda: task_to(
        replace(CLAIM, id="exhausted"), "exhausted", LEASED, barren=11
    ),
    "a_pending_task_is_leased_only_when_asked_for": lambda: task_to(
        Commit(id="ready", version=1, effects=()), "ready", LEASED
    ),
    "a_request_at_another_version_is_refused": lambda: unchanged(TaskRelease(id="held", version=1)),
}
