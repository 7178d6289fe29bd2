"""The invariants of protocol section 13 over one step, and those of design sections 3, 5 and 7, each under its own name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from tests.machine.invariants import is_settled, told
from tests.machine.world import Internal, Transition

from resonate_faas._machine.objects import (
    DELAY,
    Execute,
    PromiseObject,
    PromiseState,
    Task,
    TaskState,
    Unblock,
    due,
    is_external,
    is_live,
)
from resonate_faas._machine.requests import (
    Claim,
    Commit,
    Park,
    Reply,
    TaskAcquire,
    TaskContinue,
    TaskCreate,
    TaskFence,
    TaskFulfill,
    TaskHeartbeat,
    TaskRelease,
    TaskSuspend,
    Yield,
)

StepInvariant = Callable[[Transition], Iterator[str]]

P, A, S, H, F = TaskState

FENCED: Final = (TaskAcquire, TaskFence, TaskSuspend, TaskFulfill, TaskRelease, Commit, Park, Yield)

MOVES: Final[Mapping[TaskState, frozenset[TaskState]]] = {
    TaskState.PENDING: frozenset({P, A, H, F}),
    TaskState.ACQUIRED: frozenset({A, P, S, H, F}),
    TaskState.SUSPENDED: frozenset({S, P, H, F}),
    TaskState.HALTED: frozenset({H, P, F}),
    TaskState.FULFILLED: frozenset({F}),
}


def _tasks(step: Transition) -> Iterator[tuple[PromiseObject, PromiseObject, Task, Task]]:
    """The objects with a task that changed, and both tasks."""
    for before, after in step.changed():
        if before.task is not None and after.task is not None:
            yield before, after, before.task, after.task


def promises_and_tasks_only_grow(step: Transition) -> Iterator[str]:
    for before in step.before.promises():
        after = step.after.at(before.id)
        if after is None or (before.task is not None and after.task is None):
            yield f"{before.id} is gone"


def birth_fields_never_change(step: Transition) -> Iterator[str]:
    for before, after in step.changed():
        old, new = before.promise, after.promise
        if (old.param, old.tags, old.timeout_at, old.created_at, before.birth) != (
            new.param,
            new.tags,
            new.timeout_at,
            new.created_at,
            after.birth,
        ):
            yield f"{before} became {after}"


def a_settled_record_never_changes(step: Transition) -> Iterator[str]:
    for before, after in step.changed():
        old, new = before.promise, after.promise
        if is_settled(old) and (old.state, old.value, old.settled_at) != (
            new.state,
            new.value,
            new.settled_at,
        ):
            yield f"{old} became {new}"


def the_version_moves_by_one_and_only_on_acquisition(step: Transition) -> Iterator[str]:
    for _, after, old, new in _tasks(step):
        acquisition = (old.state, new.state) == (P, A)
        if new.version - old.version != int(acquisition):
            yield f"{after.id}: {old} became {new}"


def a_task_is_born_at_version_0_or_held_at_1(step: Transition) -> Iterator[str]:
    for before, after in step.pairs():
        if before is None and after.task is not None:
            expected = 1 if after.task.state is A else 0
            if after.task.version != expected or (after.task.state is A) > isinstance(step.cause, TaskCreate):
                yield f"{after.id} is born as {after.task}"


def the_holder_changes_only_through_pending(step: Transition) -> Iterator[str]:
    for _, after, old, new in _tasks(step):
        if old.state is A and new.state is A and old.pid != new.pid:
            yield f"{after.id}: {old} became {new}"


def only_the_drawn_moves_are_made(step: Transition) -> Iterator[str]:
    for _, after, old, new in _tasks(step):
        if new.state not in MOVES[old.state]:
            yield f"{after.id}: {old.state} became {new.state}"


def internal_steps_never_acquire_suspend_halt_or_continue(step: Transition) -> Iterator[str]:
    if not isinstance(step.cause, Internal):
        return
    for _, after, old, new in _tasks(step):
        if old.state is not new.state and (new.state in {A, S, H} or (old.state is H and new.state is P)):
            yield f"{after.id}: {old.state} became {new.state} by {step.cause}"


def internal_steps_settle_only_by_deadline(step: Transition) -> Iterator[str]:
    if not isinstance(step.cause, Internal):
        return
    for before, after in step.changed():
        new = after.promise
        if is_settled(new) and not is_settled(before.promise) and new.settled_at != new.timeout_at:
            yield f"{step.cause} settled {new}"


def no_settlement_is_later_than_the_deadline_allows(step: Transition) -> Iterator[str]:
    """C4: a promise that was dead at this now is settled as its deadline says, whoever comes."""
    for before, after in step.changed():
        old, new = before.promise, after.promise
        dead = not is_settled(old) and not is_live(old, step.now)
        if dead and is_settled(new) and new.settled_at != old.timeout_at:
            yield f"{old} became {new} at {step.now}"


def settlement_and_fulfilment_are_one_step(step: Transition) -> Iterator[str]:
    for before, after, old, new in _tasks(step):
        settles = is_settled(before.promise) != is_settled(after.promise)
        fulfils = (old.state is F) != (new.state is F)
        if settles != fulfils:
            yield f"{before} became {after}"


def a_consumed_callback_resumed_its_awaiter(step: Transition) -> Iterator[str]:
    for before, after in step.changed():
        for awaiter_id in set(before.promise.callbacks) - set(after.promise.callbacks):
            old, new = step.before.at(awaiter_id), step.after.at(awaiter_id)
            if old is None or old.task is None or not is_live(old.promise, step.now):
                continue
            if new is not None and new.task is not None and new.task.state is TaskState.FULFILLED:
                continue  # it settled the promise in the commit that ends it
            if new is None or new.task is None or after.id not in new.task.resumes:
                yield f"{awaiter_id} was not told of {after.id}"


def a_consumed_listener_was_sent_an_unblock(step: Transition) -> Iterator[str]:
    sent = {
        (message.promise.id, message.address) for message in step.messages if isinstance(message, Unblock)
    }
    for before, after in step.changed():
        for address in set(before.promise.listeners) - set(after.promise.listeners):
            if (after.id, address) not in sent:
                yield f"{address} was not told of {after.id}"


def a_settled_promise_takes_no_new_waiter(step: Transition) -> Iterator[str]:
    for before, after in step.changed():
        old, new = before.promise, after.promise
        added = set(new.callbacks) - set(old.callbacks) | set(new.listeners) - set(old.listeners)
        if is_settled(new) and added:
            yield f"{after.id} took {added}"


def only_internal_steps_consume_waiters(step: Transition) -> Iterator[str]:
    """A commit may consume its own holder's callbacks: R4 in the same transaction (protocol section 4.4)."""
    if isinstance(step.cause, Internal):
        return
    own = {step.cause.id} if isinstance(step.cause, Commit) else set()
    for before, after in step.changed():
        old, new = before.promise, after.promise
        gone = set(old.callbacks) - set(new.callbacks) - own | set(old.listeners) - set(new.listeners)
        if gone:
            yield f"{after.id} lost {gone}"


def no_execute_is_sent_for_a_dead_promise(step: Transition) -> Iterator[str]:
    for message in step.messages:
        if isinstance(message, Execute):
            stored = step.after.at(message.id)
            if stored is None or not is_live(stored.promise, step.now):
                yield f"{message} at {step.now} for {stored}"


def an_execute_carries_the_version_of_a_pending_task(step: Transition) -> Iterator[str]:
    for message in step.messages:
        if isinstance(message, Execute):
            stored = step.after.at(message.id)
            task = None if stored is None else stored.task
            if task is None or task.state is not P or task.version != message.version:
                yield f"{message} for {stored}"


def _armed(step: Transition, after: PromiseObject) -> int:
    """The first retry of a task that is born pending: the delay or now."""
    delay = after.promise.tags.get(DELAY, "")
    return max(int(delay), step.now) if delay.isdecimal() else step.now


def every_entry_into_pending_arms_a_retry_at_now(step: Transition) -> Iterator[str]:
    dispatched = {message.id for message in step.messages if isinstance(message, Execute)}
    for before, after in step.pairs():
        if after.task is None or after.task.state is not P or after.id in dispatched:
            continue
        if before is None and after.task.retry_at != _armed(step, after):
            yield f"{after.id} is born as {after.task} at {step.now}"
        entered = before is not None and before.task is not None and before.task.state is not P
        if entered and after.task.retry_at != step.now:
            yield f"{after.id} entered {after.task} at {step.now}"


def a_retry_is_rearmed_strictly_forward(step: Transition) -> Iterator[str]:
    for _, after, old, new in _tasks(step):
        if old.state is not P or new.state is not P or old.retry_at == new.retry_at:
            continue
        if old.retry_at is None or new.retry_at is None or new.retry_at <= max(old.retry_at, step.now):
            yield f"{after.id}: {old} became {new} at {step.now}"


def an_execute_rearms_the_retry(step: Transition) -> Iterator[str]:
    for message in step.messages:
        stored = step.after.at(message.id) if isinstance(message, Execute) else None
        task = None if stored is None else stored.task
        if task is not None and task.retry_at is not None and task.retry_at <= step.now:
            yield f"{message} left {task} at {step.now}"


def a_lease_ends_one_ttl_after_it_was_last_asked_for(step: Transition) -> Iterator[str]:
    for before, after in step.pairs():
        new = after.task
        if new is None or new.state is not A or before is after or new.ttl is None:
            continue
        old = None if before is None else before.task
        extended = old is None or old.expires_at != new.expires_at
        if extended and new.expires_at != step.now + new.ttl:
            yield f"{after.id}: {new} at {step.now}"


def only_its_holder_extends_a_lease(step: Transition) -> Iterator[str]:
    for _, after, old, new in _tasks(step):
        if old.state is A and new.state is A and old.expires_at != new.expires_at:
            holder = isinstance(step.cause, Commit) or (
                isinstance(step.cause, TaskHeartbeat | Claim) and step.cause.pid == old.pid
            )
            if not holder:
                yield f"{after.id}: {old} became {new} by {step.cause}"


def an_objects_time_never_runs_backwards(step: Transition) -> Iterator[str]:
    for before, after in step.pairs():
        if before is not after and (after.at != step.now or (before is not None and after.at < before.at)):
            yield f"{after.id} went from {before and before.at} to {after.at} at {step.now}"


def the_outbox_never_regresses(step: Transition) -> Iterator[str]:
    for key, old in step.before.outbox.items():
        new = step.after.outbox.get(key)
        if isinstance(old, Execute) and (not isinstance(new, Execute) or new.version < old.version):
            yield f"{key}: {old} became {new}"


def a_refusal_writes_nothing_unless_it_tells_a_record(step: Transition) -> Iterator[str]:
    if step.reply.status < 400:
        return
    allowed = set() if step.reply.promise is None else {step.reply.promise.id}
    changed = {
        key
        for key in step.before.objects.keys() | step.after.objects.keys()
        if step.before.objects.get(key) is not step.after.objects.get(key)
    }
    if changed - allowed or step.messages:
        yield f"{step.reply.status} wrote {changed} and sent {step.messages}"


def _told_records(reply: Reply) -> Iterator[PromiseObject]:
    if reply.promise is not None:
        yield reply.promise
    yield from (reply.records or {}).values()
    if reply.inner is not None:
        yield from _told_records(reply.inner)


def what_is_told_is_stored_first(step: Transition) -> Iterator[str]:
    for record in _told_records(step.reply):
        stored = step.after.at(record.id)
        if stored is None or told(stored.promise) != told(record.promise):
            yield f"told {record}, stored {stored}"


def what_is_told_is_the_projection(step: Transition) -> Iterator[str]:
    """C8."""
    for record in _told_records(step.reply):
        if record.promise.state is PromiseState.PENDING and not is_live(record.promise, step.now):
            yield f"told {record} at {step.now}"


def no_internal_step_acts_before_due(step: Transition) -> Iterator[str]:
    cause = step.cause
    if not isinstance(cause, Internal):
        return
    before = step.before.at(cause.id)
    if before is None or before is step.after.at(cause.id):
        return
    instant = due(before, step.before.rules)
    if instant is None and not is_external(before.promise, step.before.rules):
        instant = before.promise.timeout_at
    if instant is None or step.now < instant:
        yield f"{cause} acted on {before} at {step.now}, due {instant}"


def the_back_off_is_respected_by_dispatch_and_claim(step: Transition) -> Iterator[str]:
    for before, after in step.changed():
        waits = before.not_before > step.now and before.task is not None and before.task.state is P
        executed = any(isinstance(sent, Execute) and sent.id == after.id for sent in step.messages)
        claimed = isinstance(step.cause, Claim) and after.task is not None and after.task.state is A
        if waits and (executed or claimed):
            yield f"{step.cause} did not wait for {before}"


def barren_counts_our_acquisitions_since_the_last_progress(step: Transition) -> Iterator[str]:
    for before, after, old, new in _tasks(step):
        expected = {before.barren}
        if isinstance(step.cause, Claim) and (old.state, new.state) == (P, A):
            expected = {before.barren + 1}
        elif isinstance(step.cause, Commit | Park | TaskContinue) and step.cause.id == after.id:
            expected = {0, before.barren}
        if after.barren not in expected:
            yield f"{after.id}: {before.barren} became {after.barren} by {step.cause}"


def an_exhausted_task_is_never_leased_to_us(step: Transition) -> Iterator[str]:
    if not isinstance(step.cause, Claim):
        return
    for before, after, old, new in _tasks(step):
        limit = step.before.rules.barren_max
        if (old.state, new.state) == (P, A) and before.barren >= limit:
            yield f"{before} became {after}"


def a_pending_task_is_leased_only_when_asked_for(step: Transition) -> Iterator[str]:
    for _, after, old, new in _tasks(step):
        if (old.state, new.state) == (P, A) and not isinstance(step.cause, TaskAcquire | TaskCreate | Claim):
            yield f"{after.id} was leased by {step.cause}"


def a_request_at_another_version_is_refused(step: Transition) -> Iterator[str]:
    """C10: at most one valid claim per version."""
    if not isinstance(step.cause, FENCED):
        return
    stored = step.before.at(step.cause.id)
    task = None if stored is None else stored.task
    if task is not None and task.version != step.cause.version and step.reply.status < 400:
        yield f"{step.cause} was answered {step.reply.status} for {task}"


STEP_INVARIANTS: Final[tuple[StepInvariant, ...]] = (
    promises_and_tasks_only_grow,
    birth_fields_never_change,
    a_settled_record_never_changes,
    the_version_moves_by_one_and_only_on_acquisition,
    a_task_is_born_at_version_0_or_held_at_1,
    the_holder_changes_only_through_pending,
    only_the_drawn_moves_are_made,
    internal_steps_never_acquire_suspend_halt_or_continue,
    internal_steps_settle_only_by_deadline,
    no_settlement_is_later_than_the_deadline_allows,
    settlement_and_fulfilment_are_one_step,
    a_consumed_callback_resumed_its_awaiter,
    a_consumed_listener_was_sent_an_unblock,
    a_settled_promise_takes_no_new_waiter,
    only_internal_steps_consume_waiters,
    no_execute_is_sent_for_a_dead_promise,
    an_execute_carries_the_version_of_a_pending_task,
    every_entry_into_pending_arms_a_retry_at_now,
    a_retry_is_rearmed_strictly_forward,
    an_execute_rearms_the_retry,
    a_lease_ends_one_ttl_after_it_was_last_asked_for,
    only_its_holder_extends_a_lease,
    an_objects_time_never_runs_backwards,
    the_outbox_never_regresses,
    a_refusal_writes_nothing_unless_it_tells_a_record,
    what_is_told_is_stored_first,
    what_is_told_is_the_projection,
    no_internal_step_acts_before_due,
    the_back_off_is_respected_by_dispatch_and_claim,
    barren_counts_our_acquisitions_since_the_last_progress,
    an_exhausted_task_is_never_leased_to_us,
    a_pending_task_is_leased_only_when_asked_for,
    a_request_at_another_version_is_refused,
)


def step_violations(step: Transition) -> list[str]:
    """Every violation, each beginning with the name of its invariant."""
    return [f"{check.__name__}: {violation}" for check in STEP_INVARIANTS for violation in check(step)]
