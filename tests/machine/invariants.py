"""The invariants of protocol section 13 over one snapshot, each under its own name; a violation is a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

from tests.machine.world import Snapshot

from resonate_faas._machine import decide, internal
from resonate_faas._machine.objects import (
    EMPTY,
    TARGET,
    TIMER,
    Execute,
    Promise,
    PromiseObject,
    PromiseState,
    Rules,
    Task,
    TaskState,
    Unblock,
    due,
    is_external,
    is_live,
    schedule_key,
)
from resonate_faas._machine.requests import Outcome
from resonate_faas._machine.turn import Handler

StateInvariant = Callable[[Snapshot], Iterator[str]]

FAR: Final = 10**15
BY_DEADLINE: Final = {True: PromiseState.RESOLVED, False: PromiseState.TIMEDOUT}


def is_settled(promise: Promise) -> bool:
    return promise.state is not PromiseState.PENDING


def settled_at_is_set_exactly_when_settled(snapshot: Snapshot) -> Iterator[str]:
    for stored in snapshot.promises():
        if (stored.promise.settled_at is not None) != is_settled(stored.promise):
            yield f"{stored.id} is {stored.promise.state} with settledAt {stored.promise.settled_at}"


def created_settled_and_timeout_are_in_order(snapshot: Snapshot) -> Iterator[str]:
    for stored in snapshot.promises():
        promise = stored.promise
        if promise.settled_at is not None and not (
            promise.created_at <= promise.settled_at <= promise.timeout_at
        ):
            yield f"{stored.id}: {promise.created_at}, {promise.settled_at}, {promise.timeout_at}"


def a_pending_promise_was_created_before_its_deadline(snapshot: Snapshot) -> Iterator[str]:
    for stored in snapshot.promises():
        promise = stored.promise
        if not is_settled(promise) and promise.created_at >= promise.timeout_at:
            yield f"{stored.id} was created at {promise.created_at}, deadline {promise.timeout_at}"


def a_pending_promise_has_no_value(snapshot: Snapshot) -> Iterator[str]:
    for stored in snapshot.promises():
        if not is_settled(stored.promise) and stored.promise.value != EMPTY:
            yield f"{stored.id} is pending with {stored.promise.value}"


def a_deadline_settlement_matches_the_timer_tag_and_is_empty(snapshot: Snapshot) -> Iterator[str]:
    for stored in snapshot.promises():
        promise = stored.promise
        if promise.settled_at == promise.timeout_at and (
            promise.state is not BY_DEADLINE[promise.is_timer] or promise.value != EMPTY
        ):
            yield f"{stored.id} is {promise.state} at its deadline, timer {promise.is_timer}"


def a_promise_times_out_at_its_deadline_and_is_no_timer(snapshot: Snapshot) -> Iterator[str]:
    for stored in snapshot.promises():
        promise = stored.promise
        if promise.state is PromiseState.TIMEDOUT and (
            promise.is_timer or promise.settled_at != promise.timeout_at
        ):
            yield f"{stored.id} timed out at {promise.settled_at}, deadline {promise.timeout_at}"


def no_promise_has_timer_and_target(snapshot: Snapshot) -> Iterator[str]:
    for stored in snapshot.promises():
        if stored.promise.is_timer and stored.promise.target is not None:
            yield stored.id


def only_external_promises_have_waiters(snapshot: Snapshot) -> Iterator[str]:
    for stored in snapshot.promises():
        promise = stored.promise
        if (promise.callbacks or promise.listeners) and not is_external(promise, snapshot.rules):
            yield f"{stored.id} is internal and awaited by {promise.callbacks} {promise.listeners}"


def waiters_are_unique(snapshot: Snapshot) -> Iterator[str]:
    for stored in snapshot.promises():
        for waiters in (stored.promise.callbacks, stored.promise.listeners):
            if len(set(waiters)) != len(waiters):
                yield f"{stored.id}: {waiters}"


def no_promise_awaits_itself(snapshot: Snapshot) -> Iterator[str]:
    for stored in snapshot.promises():
        if stored.id in stored.promise.callbacks:
            yield stored.id


def waiters_are_bounded(snapshot: Snapshot) -> Iterator[str]:
    for stored in snapshot.promises():
        count = len(stored.promise.callbacks) + len(stored.promise.listeners)
        if count > snapshot.rules.waiters_max:
            yield f"{stored.id} has {count} waiters"


def a_task_exists_exactly_when_targeted(snapshot: Snapshot) -> Iterator[str]:
    for stored in snapshot.promises():
        if (stored.task is not None) != (stored.promise.target is not None):
            yield f"{stored.id}: target {stored.promise.target}, task {stored.task}"


def settled_exactly_when_fulfilled(snapshot: Snapshot) -> Iterator[str]:
    for stored in snapshot.promises():
        if stored.task is None:
            continue
        if is_settled(stored.promise) != (stored.task.state is TaskState.FULFILLED):
            yield f"{stored.id}: promise {stored.promise.state}, task {stored.task.state}"


def _fields(task: Task) -> tuple[bool, bool, bool, bool]:
    return (
        task.pid is not None,
        task.ttl is not None,
        task.expires_at is not None,
        task.retry_at is not None,
    )


FIELDS_BY_STATE: Final[Mapping[TaskState, tuple[bool, bool, bool, bool]]] = {
    TaskState.PENDING: (False, False, False, True),
    TaskState.ACQUIRED: (True, True, True, False),
    TaskState.SUSPENDED: (False, False, False, False),
    TaskState.HALTED: (False, False, False, False),
    TaskState.FULFILLED: (False, False, False, False),
}


def the_task_state_says_which_fields_are_set(snapshot: Snapshot) -> Iterator[str]:
    for stored in snapshot.promises():
        if stored.task is not None and _fields(stored.task) != FIELDS_BY_STATE[stored.task.state]:
            yield f"{stored.id}: {stored.task}"


def a_suspended_or_fulfilled_task_has_no_resumes(snapshot: Snapshot) -> Iterator[str]:
    for stored in snapshot.promises():
        task = stored.task
        if task is not None and task.state in {TaskState.SUSPENDED, TaskState.FULFILLED} and task.resumes:
            yield f"{stored.id}: {task}"


def an_acquired_task_has_a_version(snapshot: Snapshot) -> Iterator[str]:
    for stored in snapshot.promises():
        if stored.task is not None and stored.task.state is TaskState.ACQUIRED and stored.task.version < 1:
            yield f"{stored.id}: {stored.task}"


def a_live_suspended_task_holds_a_callback(snapshot: Snapshot) -> Iterator[str]:
    held = {awaiter for stored in snapshot.promises() for awaiter in stored.promise.callbacks}
    for stored in snapshot.promises():
        task = stored.task
        if task is None or task.state is not TaskState.SUSPENDED or stored.id in held:
            continue
        if is_live(stored.promise, snapshot.now):
            yield f"{stored.id} waits for nothing"


def an_execute_names_a_task_at_a_version_it_reached(snapshot: Snapshot) -> Iterator[str]:
    for message in snapshot.outbox.values():
        if not isinstance(message, Execute):
            continue
        stored = snapshot.at(message.id)
        if stored is None or stored.task is None or message.version > stored.task.version:
            yield f"{message} for {stored}"


def an_execute_goes_to_the_target(snapshot: Snapshot) -> Iterator[str]:
    for message in snapshot.outbox.values():
        if isinstance(message, Execute):
            stored = snapshot.at(message.id)
            if stored is not None and message.target != stored.promise.target:
                yield f"{message} for {stored}"


def told(promise: Promise) -> tuple[object, ...]:
    """The part of a promise that the wire shows."""
    return (
        promise.id,
        promise.state,
        promise.param,
        promise.value,
        dict(promise.tags),
        promise.timeout_at,
        promise.created_at,
        promise.settled_at,
    )


def an_unblock_carries_the_stored_settlement(snapshot: Snapshot) -> Iterator[str]:
    for message in snapshot.outbox.values():
        if not isinstance(message, Unblock):
            continue
        stored = snapshot.at(message.promise.id)
        if stored is None or not is_settled(stored.promise) or told(stored.promise) != told(message.promise):
            yield f"{message} for {stored}"


def the_outbox_keys_are_unique(snapshot: Snapshot) -> Iterator[str]:
    keys = Counter(
        ("execute", message.id)
        if isinstance(message, Execute)
        else ("unblock", message.promise.id, message.address)
        for message in snapshot.outbox.values()
        if isinstance(message, Execute | Unblock)
    )
    for key, count in keys.items():
        if count > 1:
            yield f"{count} entries of {key}"


def a_schedules_instants_are_in_order(snapshot: Snapshot) -> Iterator[str]:
    for stored in snapshot.schedules():
        schedule = stored.schedule
        late = schedule.last_run_at is not None and schedule.last_run_at >= schedule.next_run_at
        if schedule.created_at > schedule.next_run_at or late:
            yield f"{schedule}"


def no_schedule_has_timer_and_target(snapshot: Snapshot) -> Iterator[str]:
    for stored in snapshot.schedules():
        tags = stored.schedule.promise_tags
        if tags.get(TIMER) == "true" and TARGET in tags:
            yield stored.schedule.id


def every_object_lies_under_its_own_key(snapshot: Snapshot) -> Iterator[str]:
    for key, stored in snapshot.objects.items():
        own = stored.id if isinstance(stored, PromiseObject) else schedule_key(stored.schedule.id)
        if own != key:
            yield f"{key} holds {own}"


def _steps(stored: PromiseObject) -> Iterator[Handler]:
    """Every internal step that the object's due instant stands for."""
    yield lambda turn: internal.promise_timeout(turn, stored.id)
    yield lambda turn: internal.callback_drain(turn, stored.id)
    for address in stored.promise.listeners:
        yield partial(internal.listener_drain, promise_id=stored.id, address=address)
    yield lambda turn: internal.lease_timeout(turn, stored.id)
    yield lambda turn: internal.dispatch(turn, stored.id)


def is_enabled(stored: PromiseObject, now: int, rules: Rules) -> bool:
    """True if some internal step would change the object at this instant; its awaiters are left out."""
    given = {**dict.fromkeys(stored.promise.callbacks), stored.id: stored}
    for step in _steps(stored):
        outcome = decide(step, given, now_ms=now, rules=rules)
        if isinstance(outcome, Outcome) and stored.id in outcome.writes:
            return True
    return False


def due_is_never_later_than_the_first_enabled_step(snapshot: Snapshot) -> Iterator[str]:
    """Design section 3: due is the safety net of every timer; an internal promise is not armed (C1)."""
    for stored in snapshot.promises():
        instant = due(stored, snapshot.rules)
        if instant is None:
            if is_external(stored.promise, snapshot.rules) and is_enabled(stored, FAR, snapshot.rules):
                yield f"{stored.id} is never due"
        elif instant > stored.at and is_enabled(stored, instant - 1, snapshot.rules):
            yield f"{stored.id} is enabled before {instant}"


def at_its_due_instant_a_step_is_enabled(snapshot: Snapshot) -> Iterator[str]:
    for stored in snapshot.promises():
        instant = due(stored, snapshot.rules)
        if instant is not None and not is_enabled(stored, max(instant, stored.at), snapshot.rules):
            yield f"{stored.id} is due at {instant} for nothing"


STATE_INVARIANTS: Final[tuple[StateInvariant, ...]] = (
    settled_at_is_set_exactly_when_settled,
    created_settled_and_timeout_are_in_order,
    a_pending_promise_was_created_before_its_deadline,
    a_pending_promise_has_no_value,
    a_deadline_settlement_matches_the_timer_tag_and_is_empty,
    a_promise_times_out_at_its_deadline_and_is_no_timer,
    no_promise_has_timer_and_target,
    only_external_promises_have_waiters,
    waiters_are_unique,
    no_promise_awaits_itself,
    waiters_are_bounded,
    a_task_exists_exactly_when_targeted,
    settled_exactly_when_fulfilled,
    the_task_state_says_which_fields_are_set,
    a_suspended_or_fulfilled_task_has_no_resumes,
    an_acquired_task_has_a_version,
    a_live_suspended_task_holds_a_callback,
    an_execute_names_a_task_at_a_version_it_reached,
    an_execute_goes_to_the_target,
    an_unblock_carries_the_stored_settlement,
    the_outbox_keys_are_unique,
    a_schedules_instants_are_in_order,
    no_schedule_has_timer_and_target,
    every_object_lies_under_its_own_key,
    due_is_never_later_than_the_first_enabled_step,
    at_its_due_instant_a_step_is_enabled,
)


def state_violations(snapshot: Snapshot) -> list[str]:
    """Every violation, each beginning with the name of its invariant."""
    return [f"{check.__name__}: {violation}" for check in STATE_INVARIANTS for violation in check(snapshot)]
