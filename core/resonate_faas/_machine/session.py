"""The embedded session's requests: the guards of fence, acquire, suspend and release, a whole round at a time.

They differ from the wire's only in the hidden fields (design section 3): a lost answer to a claim is recognised
by the pid, acquisitions without a new record are counted, a release may back off or halt.
"""

from __future__ import annotations

from dataclasses import replace

from resonate_faas._machine import promises, tasks
from resonate_faas._machine.objects import (
    DELAY,
    EMPTY,
    TARGET,
    Promise,
    PromiseObject,
    PromiseState,
    Task,
    TaskState,
    deadline_state,
    settled,
)
from resonate_faas._machine.patience import exhausted, rested
from resonate_faas._machine.promises import refuse
from resonate_faas._machine.requests import (
    REDIRECT,
    Claim,
    Commit,
    Effect,
    Park,
    PromiseSettle,
    Record,
    Reply,
    Yield,
)
from resonate_faas._machine.turn import Turn


def claim(turn: Turn, request: Claim) -> Reply:
    """Acquire at whatever version the task has; the pid is unique to the activation.

    A lost answer is recognised by the pid: the lease is extended, so that the answer means ttl from now. 409 with a
    promise: the task is held by another, suspended, halted, fulfilled or backing off; its record says which.
    """
    found = turn.materialise(request.id)
    if found is None or found.task is None:
        return refuse(404, "Task not found")
    task = found.task
    if task.state is TaskState.ACQUIRED and task.pid == request.pid:
        extended = replace(found, task=replace(task, ttl=request.ttl, expires_at=turn.now + request.ttl))
        turn.put(extended)
        return Reply(status=200, promise=extended)
    if task.state is not TaskState.PENDING:
        return Reply(status=409, error="Task is not pending", promise=found)
    fatal = exhausted(found, turn.rules, None)
    if fatal is not None:
        stopped = tasks.halted(found, reason=fatal)
        turn.put(stopped)
        return Reply(status=409, error="Task is halted", promise=stopped)
    if found.not_before > turn.now:
        return Reply(status=409, error="Task is backing off", promise=found)
    leased = tasks.acquired(found, pid=request.pid, ttl=request.ttl, now_ms=turn.now)
    leased = replace(leased, barren=found.barren + 1)
    turn.put(leased)
    return Reply(status=200, promise=leased)


def commit(turn: Turn, request: Commit) -> Reply:
    """Apply the effects in order, all or none, only while the task is held at this version."""
    malformed = _malformed(turn, request)
    if malformed is not None:
        return malformed
    holder = tasks.held(turn, request.id, request.version)
    if isinstance(holder, Reply):
        return holder
    found, _ = holder
    turn.require(effect.id for effect in request.effects)
    records: dict[str, PromiseObject] = {}
    for effect in request.effects:
        record = _apply(turn, effect, found)
        if record is None:
            return refuse(404, f"Promise {effect.id!r} not found")
        records[effect.id] = record
    told = _tell_holder(turn, request.id, records)
    if request.finish is None:
        kept = _kept(turn, request, found, told)
    else:
        finish = request.finish
        kept = settled(found, finish.state, finish.value, settled_at=turn.now, now_ms=turn.now)
        turn.put(kept)
    return Reply(status=200, promise=kept, records=records)


def _kept(turn: Turn, request: Commit, holder: PromiseObject, told: list[str]) -> PromiseObject:
    """Return the holder as the commit leaves it, written only if that changes it."""
    kept, task = holder, holder.task
    if kept.barren and turn.written():
        kept = replace(kept, barren=0, reason=None)
    if task is not None and told:
        news = tuple(promise_id for promise_id in told if promise_id not in task.resumes)
        task = replace(task, resumes=(*task.resumes, *news))
    if task is not None and request.extend and task.ttl is not None:
        task = replace(task, expires_at=turn.now + task.ttl)
    if task is not holder.task:
        kept = replace(kept, task=task)
    if kept is not holder:
        turn.put(kept)
    return kept


def _tell_holder(turn: Turn, holder_id: str, records: dict[str, PromiseObject]) -> list[str]:
    """Consume the holder's own callbacks on what it just settled (R4 in the same transaction, section 4.4).

    Else each loser of a race that the holder waited for would be drained back into it, a commit each.
    """
    told = []
    for promise_id, record in records.items():
        promise = record.promise
        if promise.state is not PromiseState.PENDING and holder_id in promise.callbacks:
            rest = tuple(awaiter for awaiter in promise.callbacks if awaiter != holder_id)
            records[promise_id] = replace(record, promise=replace(promise, callbacks=rest))
            turn.put(records[promise_id])
            told.append(promise_id)
    return told


def _malformed(turn: Turn, request: Commit) -> Reply | None:
    """Return the refusal of a commit that no state of the store could take; None: it is well formed."""
    for effect in request.effects:
        if effect.id == request.id:
            return refuse(400, "Action ID must not equal the task ID")
        if isinstance(effect, Record):
            if effect.state is not PromiseState.PENDING and effect.state not in promises.SETTABLE:
                return refuse(400, "State must be one of pending, resolved, rejected, rejected_canceled")
            if turn.rules.strict and promises.timer_with_target(effect):
                return refuse(400, "A timer must not have a resonate:target tag")
        elif effect.state not in promises.SETTABLE:
            return refuse(400, "State must be one of resolved, rejected, rejected_canceled")
    finish = request.finish
    if finish is not None and finish.state not in promises.SETTABLE:
        return refuse(400, "State must be one of resolved, rejected, rejected_canceled")
    if finish is not None and finish.id != request.id:
        return refuse(400, "Action ID must match the task ID")
    return None


def _apply(turn: Turn, effect: Effect, holder: PromiseObject) -> PromiseObject | None:
    """Apply one effect; None: a settle met no promise."""
    if isinstance(effect, PromiseSettle):
        return promises.settle(turn, effect).promise
    if promises.timer_with_target(effect):
        effect = replace(effect, tags=promises.without_target(effect.tags))
    present = turn.materialise(effect.id)
    if present is None or _is_stale(present, effect, holder):
        present = _recorded(turn, effect, holder)
        turn.put(present)
    elif effect.state is not PromiseState.PENDING:
        settle = PromiseSettle(id=effect.id, state=effect.state, value=effect.value)
        return promises.settle(turn, settle).promise
    return present


def _is_stale(present: PromiseObject, effect: Record, holder: PromiseObject) -> bool:
    """True if an earlier execution of the same root left the record: it is overwritten (design section 4).

    A record or a holder without a birth came over the wire: nothing is known, so nothing is destroyed.
    """
    if effect.birth or not present.birth or not holder.birth:
        return False
    return present.birth != holder.birth


def _recorded(turn: Turn, effect: Record, holder: PromiseObject) -> PromiseObject:
    """Return the new object of an effect, as if it had been created at the instant of the call."""
    state, value, settled_at = effect.state, effect.value, None
    if effect.timeout_at <= turn.now:
        state, value, settled_at = deadline_state(effect.tags), EMPTY, effect.timeout_at
    elif state is not PromiseState.PENDING:
        settled_at = turn.now
    task = None
    if TARGET in effect.tags:
        task = Task(state=TaskState.FULFILLED, version=0)
        if state is PromiseState.PENDING:
            retry_at = promises.first_dispatch(effect.tags.get(DELAY), turn.now)
            task = Task(state=TaskState.PENDING, version=0, retry_at=retry_at)
    promise = Promise(
        id=effect.id,
        state=state,
        param=effect.param,
        value=value,
        tags=effect.tags,
        timeout_at=effect.timeout_at,
        created_at=min(effect.created_at, effect.timeout_at, turn.now),
        settled_at=settled_at,
    )
    return PromiseObject(promise=promise, task=task, at=turn.now, birth=effect.birth or holder.birth)


def park(turn: Turn, request: Park) -> Reply:
    """Suspend on the awaited promises, or only register on a chunk of them; a redirect brings the settled ones."""
    if not request.awaited:
        return refuse(400, "Actions array cannot be empty")
    malformed = tasks.malformed_wait(request.id, (*request.registered, *request.awaited))
    if malformed is not None:
        return malformed
    holder = tasks.held(turn, request.id, request.version)
    if isinstance(holder, Reply):
        return holder
    found, task = holder
    waiting = tasks.register_all(turn, request.awaited, request.id)
    if not isinstance(waiting, Reply):
        waiting = _told_meanwhile(turn, request, task) or waiting
    if isinstance(waiting, Reply):
        if waiting.status == REDIRECT and task.resumes:
            turn.put(replace(found, task=replace(task, resumes=())))
        return waiting
    for awaited in waiting:
        turn.put(awaited)
    if not request.register_only:
        suspended = tasks.suspended(found)
        turn.put(replace(suspended, barren=0, reason=None, replay_ms=request.replay_ms))
    return Reply(status=200)


def _told_meanwhile(turn: Turn, request: Park, task: Task) -> Reply | None:
    """Return the redirect if a promise of an earlier chunk settled and was drained into the held task.

    Its callback is consumed: suspending now would miss that wake for ever. An undrained one still wakes the task.
    One is told and no more, for there may be more of them than a transaction holds: the next suspension finds them.
    """
    told = next((promise_id for promise_id in request.registered if promise_id in task.resumes), None)
    if told is None:
        return None
    turn.require((told,))
    found = turn.materialise(told)
    return Reply(status=REDIRECT, records={} if found is None else {told: found})


def give_back(turn: Turn, request: Yield) -> Reply:
    """Release; a task that recorded nothing new often enough backs off, and in the end is halted with the reason."""
    holder = tasks.held(turn, request.id, request.version)
    if isinstance(holder, Reply):
        return holder
    found, task = holder
    if request.replay_ms:
        found = replace(found, replay_ms=request.replay_ms)
    if request.is_interrupted:
        found = replace(found, barren=max(found.barren - 1, 0))
    fatal = exhausted(found, turn.rules, request.reason)
    if fatal is not None:
        turn.put(tasks.halted(found, reason=fatal))
        return Reply(status=200)
    pending = replace(tasks.queued(found, now_ms=turn.now, resumes=task.resumes), reason=request.reason)
    turn.put(rested(pending, turn.rules, now_ms=turn.now, always=request.back_off))
    return Reply(status=200)
