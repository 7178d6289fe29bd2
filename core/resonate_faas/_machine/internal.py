"""Internal steps R1 and R3 to R7 (protocol section 4.2). Each re-checks its own guard: firing early, late or twice is harmless."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from resonate_faas._machine import promises, tasks
from resonate_faas._machine.objects import (
    BRANCH,
    DELAY,
    EMPTY,
    ORIGIN,
    PARENT,
    SCHEDULE,
    Execute,
    Promise,
    PromiseObject,
    PromiseState,
    Schedule,
    Task,
    TaskState,
    is_live,
)
from resonate_faas._machine.patience import rested
from resonate_faas._machine.requests import OK, PromiseCreate, Reply
from resonate_faas._machine.turn import Turn

DONE = Reply(status=OK)


def promise_timeout(turn: Turn, promise_id: str) -> Reply:
    """R1: store the deadline's settlement, fulfil the task."""
    turn.materialise(promise_id)
    return DONE


def listener_drain(turn: Turn, promise_id: str, address: str) -> Reply:
    """R3, second half: forget a listener that was told. The message goes first: it has no later repair (design 5)."""
    found = turn.get(promise_id)
    if (
        found is not None
        and found.promise.state is not PromiseState.PENDING
        and address in found.promise.listeners
    ):
        rest = tuple(other for other in found.promise.listeners if other != address)
        turn.put(replace(found, promise=replace(found.promise, listeners=rest)))
    return DONE


def callback_drain(turn: Turn, promise_id: str) -> Reply:
    """R4: resume the first awaiters of a settled promise, a bounded number in one step."""
    awaited = turn.materialise(promise_id)
    if awaited is None or awaited.promise.state is PromiseState.PENDING or not awaited.promise.callbacks:
        return DONE
    chunk = awaited.promise.callbacks[: turn.rules.drain_chunk]
    turn.require(chunk)
    for awaiter_id in chunk:
        awaiter = turn.get(awaiter_id)
        if awaiter is not None:
            _resume(turn, awaiter, promise_id)
    rest = awaited.promise.callbacks[len(chunk) :]
    turn.put(replace(awaited, promise=replace(awaited.promise, callbacks=rest)))
    return DONE


def _resume(turn: Turn, awaiter: PromiseObject, awaited_id: str) -> None:
    """Tell one awaiter by its projected state; a dead or fulfilled one is the timeout path's (C6)."""
    task = awaiter.task
    if task is None or not is_live(awaiter.promise, turn.now) or task.state is TaskState.FULFILLED:
        return
    if task.state is TaskState.SUSPENDED:
        turn.put(tasks.queued(awaiter, now_ms=turn.now, resumes=(awaited_id,)))
    elif awaited_id not in task.resumes:
        turn.put(replace(awaiter, task=replace(task, resumes=(*task.resumes, awaited_id))))


def lease_timeout(turn: Turn, task_id: str) -> Reply:
    """R5: a lease that ran out makes the task pending; the version stays."""
    found = turn.get(task_id)
    if found is None or found.task is None or not is_live(found.promise, turn.now):
        return DONE
    task = found.task
    if task.state is TaskState.ACQUIRED and task.expires_at is not None and task.expires_at <= turn.now:
        pending = tasks.queued(found, now_ms=turn.now, resumes=task.resumes)
        turn.put(rested(pending, turn.rules, now_ms=turn.now))
    return DONE


def dispatch(turn: Turn, task_id: str) -> Reply:
    """R6: emit an execute at the current version and arm the next one, later each time nobody claims it."""
    found = turn.get(task_id)
    if found is None or found.task is None or not is_live(found.promise, turn.now):
        return DONE
    task, target = found.task, found.promise.target
    if task.state is not TaskState.PENDING or task.retry_at is None or target is None:
        return DONE
    if max(task.retry_at, found.not_before) > turn.now:
        return DONE
    pause = min(turn.rules.cadence_ms * 2 ** min(found.dispatches, 16), turn.rules.cadence_max_ms)
    retry_at = turn.now + max(pause, turn.rules.cadence_ms)
    turn.put(replace(found, task=replace(task, retry_at=retry_at), dispatches=found.dispatches + 1))
    turn.send(Execute(id=task_id, version=task.version, target=target))
    return DONE


def advance(turn: Turn, promise_id: str) -> Reply:
    """Run R1, R5 and R6 on one object, in the order that C5 asks for: the deadline first."""
    promise_timeout(turn, promise_id)
    lease_timeout(turn, promise_id)
    return dispatch(turn, promise_id)


def dispatch_written(turn: Turn) -> None:
    """R6 for every task that this step made pending: one transaction instead of two, unobservable (section 3.1)."""
    for written in turn.written():
        if isinstance(written, PromiseObject):
            dispatch(turn, written.id)


def schedule_fire(turn: Turn, schedule_id: str, occurrences: Sequence[int], next_run_at: int) -> Reply:
    """R7: create the promise of each occurrence, absent ones only, then move the schedule on.

    Args:
        turn: the step.
        schedule_id: the schedule.
        occurrences: the instants from ``next_run_at`` up to now, ascending; the caller's cron gives them.
        next_run_at: the first instant after the last occurrence.
    """
    found = turn.schedule(schedule_id)
    if found is None or not occurrences or occurrences[0] != found.schedule.next_run_at:
        return DONE
    if occurrences[-1] > turn.now or next_run_at <= occurrences[-1]:
        return DONE
    schedule = found.schedule
    births = [(occurrence_id(schedule, instant), instant) for instant in occurrences]
    turn.require(promise_id for promise_id, _ in births)
    for promise_id, instant in births:
        if turn.get(promise_id) is None:
            turn.put(_fired(turn, schedule, promise_id, instant))
    moved = replace(schedule, last_run_at=occurrences[-1], next_run_at=next_run_at)
    turn.put(replace(found, schedule=moved))
    return DONE


def occurrence_id(schedule: Schedule, instant_ms: int) -> str:
    """Return the id of the promise an occurrence creates: literal replacement in the template (section 4.2)."""
    filled = schedule.promise_id.replace("{{.id}}", schedule.id)
    return filled.replace("{{.timestamp}}", str(instant_ms))


def _fired(turn: Turn, schedule: Schedule, promise_id: str, instant_ms: int) -> PromiseObject:
    """Return the promise of one occurrence, born at its own instant, tagged as a root (D18)."""
    tags = {
        **schedule.promise_tags,
        SCHEDULE: schedule.id,
        ORIGIN: promise_id,
        BRANCH: promise_id,
        PARENT: promise_id,
    }
    timeout_at = instant_ms + schedule.promise_timeout
    create = PromiseCreate(id=promise_id, timeout_at=timeout_at, param=schedule.promise_param, tags=tags)
    fired = promises.new_promise(create, turn)
    if schedule.promise_timeout == 0:
        return fired
    promise = Promise(
        id=promise_id,
        state=PromiseState.PENDING,
        param=schedule.promise_param,
        value=EMPTY,
        tags=tags,
        timeout_at=timeout_at,
        created_at=instant_ms,
    )
    task = None
    if promise.target is not None:
        retry_at = promises.first_dispatch(tags.get(DELAY), turn.now)
        task = Task(state=TaskState.PENDING, version=0, retry_at=retry_at)
    return replace(fired, promise=promise, task=task)
