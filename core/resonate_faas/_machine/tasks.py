"""Task requests. Guard orders and statuses are protocol section 3.2's; the first guard that fires answers."""

from __future__ import annotations

from dataclasses import replace

from resonate_faas._machine import promises
from resonate_faas._machine.objects import (
    TARGET,
    PromiseObject,
    PromiseState,
    Task,
    TaskState,
    is_external,
    settled,
)
from resonate_faas._machine.promises import refuse
from resonate_faas._machine.requests import (
    PromiseCreate,
    Reply,
    TaskAcquire,
    TaskContinue,
    TaskCreate,
    TaskFence,
    TaskFulfill,
    TaskGet,
    TaskHalt,
    TaskHeartbeat,
    TaskRelease,
    TaskSuspend,
)
from resonate_faas._machine.turn import Turn


def acquired(stored: PromiseObject, *, pid: str, ttl: int, now_ms: int) -> PromiseObject:
    """Return the object with its task leased: the version moves here and nowhere else (section 2.3).

    An acquisition ends the back-off: a later wake must not wait for it.
    """
    task = stored.task
    version = 0 if task is None else task.version
    leased = Task(state=TaskState.ACQUIRED, version=version + 1, ttl=ttl, pid=pid, expires_at=now_ms + ttl)
    return replace(stored, task=leased, dispatches=0, not_before=0)


def queued(stored: PromiseObject, *, now_ms: int, resumes: tuple[str, ...]) -> PromiseObject:
    """Return the object with its task pending again: every entry into pending arms a retry at now."""
    version = 0 if stored.task is None else stored.task.version
    task = Task(state=TaskState.PENDING, version=version, resumes=resumes, retry_at=now_ms)
    return replace(stored, task=task, dispatches=0)


def suspended(stored: PromiseObject) -> PromiseObject:
    """Return the object with its task suspended."""
    version = 0 if stored.task is None else stored.task.version
    return replace(stored, task=Task(state=TaskState.SUSPENDED, version=version), dispatches=0)


def halted(stored: PromiseObject, *, reason: str | None = None) -> PromiseObject:
    """Return the object with its task halted; resumes are kept."""
    version, resumes = (0, ()) if stored.task is None else (stored.task.version, stored.task.resumes)
    task = Task(state=TaskState.HALTED, version=version, resumes=resumes)
    return replace(stored, task=task, dispatches=0, reason=reason or stored.reason)


def held(turn: Turn, task_id: str, version: int) -> tuple[PromiseObject, Task] | Reply:
    """Return the task held at this version, or the refusal: the guards shared by every fenced request."""
    found = turn.get(task_id)
    if found is None or found.task is None:
        return refuse(404, "Task not found")
    task = found.task
    if task.state is not TaskState.ACQUIRED or found.promise.state is not PromiseState.PENDING:
        return refuse(409, "Task is not acquired or version mismatch")
    if task.version != version:
        return refuse(409, "Version mismatch")
    return found, task


def get(turn: Turn, request: TaskGet) -> Reply:
    """task.get."""
    found = turn.materialise(request.id)
    if found is None or found.task is None:
        return refuse(404, "Task not found")
    return Reply(status=200, promise=found)


def create(turn: Turn, request: TaskCreate) -> Reply:
    """task.create: not idempotent for an unfinished task, even for its holder."""
    action = request.action
    if TARGET not in action.tags or promises.timer_with_target(action):
        return refuse(400, "Action must have a resonate:target tag")
    found = turn.materialise(action.id)
    if found is None:
        found = promises.new_promise(action, turn)
        if found.promise.state is PromiseState.PENDING:
            found = acquired(found, pid=request.pid, ttl=request.ttl, now_ms=turn.now)
        turn.put(found)
        return Reply(status=200, promise=found)
    task = found.task
    if found.promise.target is None:
        return refuse(422, "The promise does not have a resonate:target tag")
    if task is None:
        return refuse(409, "The promise has no task")
    if task.state is TaskState.PENDING:
        found = acquired(found, pid=request.pid, ttl=request.ttl, now_ms=turn.now)
        turn.put(found)
    elif task.state is not TaskState.FULFILLED:
        return refuse(409, "Already exists")
    return Reply(status=200, promise=found)


def acquire(turn: Turn, request: TaskAcquire) -> Reply:
    """task.acquire: exclusive per version, not idempotent."""
    found = turn.get(request.id)
    if found is None or found.task is None:
        return refuse(404, "Task not found")
    if found.task.state is not TaskState.PENDING:
        return refuse(409, "Task is not pending")
    if found.task.version != request.version:
        return refuse(409, "Version mismatch")
    found = acquired(found, pid=request.pid, ttl=request.ttl, now_ms=turn.now)
    turn.put(found)
    return Reply(status=200, promise=found)


def fence(turn: Turn, request: TaskFence) -> Reply:
    """task.fence: the action in the same transaction; its own status stands in the inner reply."""
    action = request.action
    if action.id == request.id:
        return refuse(400, "Action ID must not equal the task ID")
    holder = held(turn, request.id, request.version)
    if isinstance(holder, Reply):
        return holder
    if isinstance(action, PromiseCreate):
        inner = promises.create(turn, action)
    else:
        inner = promises.settle(turn, action)
    return Reply(status=200, inner=inner)


def heartbeat(turn: Turn, request: TaskHeartbeat) -> Reply:
    """task.heartbeat: always 200; extends by the stored ttl what is really held, and live."""
    turn.require(ref.id for ref in request.tasks)
    for ref in request.tasks:
        holder = held(turn, ref.id, ref.version)
        if isinstance(holder, Reply):
            continue
        found, task = holder
        if task.pid == request.pid and task.ttl is not None:
            turn.put(replace(found, task=replace(task, expires_at=turn.now + task.ttl)))
    return Reply(status=200)


def suspend(turn: Turn, request: TaskSuspend) -> Reply:
    """task.suspend: 422 beats 300; a redirect keeps the lease and adds no callback."""
    if not request.awaited:
        return refuse(400, "Actions array cannot be empty")
    malformed = malformed_wait(request.id, request.awaited)
    if malformed is not None:
        return malformed
    holder = held(turn, request.id, request.version)
    if isinstance(holder, Reply):
        return holder
    found, task = holder
    waiting = register_all(turn, request.awaited, request.id)
    if isinstance(waiting, Reply):
        if waiting.status == 300 and task.resumes:
            turn.put(replace(found, task=replace(task, resumes=())))
        return waiting
    for awaited in waiting:
        turn.put(awaited)
    turn.put(suspended(found))
    return Reply(status=200)


def malformed_wait(task_id: str, awaited_ids: tuple[str, ...]) -> Reply | None:
    """Return the refusal of a wait for itself or twice for the same; None: it is well formed."""
    if task_id in awaited_ids:
        return refuse(400, "Action awaited promise must not equal the task ID")
    if len(set(awaited_ids)) != len(awaited_ids):
        return refuse(400, "Actions must not name an awaited promise twice")
    return None


def register_all(turn: Turn, awaited_ids: tuple[str, ...], awaiter_id: str) -> list[PromiseObject] | Reply:
    """Return the awaited objects to write, or the refusal or redirect; one that has the callback is left out.

    A redirect's records hold the awaited promises that are settled, stored first (materialise on read).
    """
    turn.require(awaited_ids)
    found = {promise_id: turn.get(promise_id) for promise_id in awaited_ids}
    if any(awaited is None or not is_external(awaited.promise, turn.rules) for awaited in found.values()):
        return refuse(422, "Awaited promise not found, or internal")
    present = {promise_id: awaited for promise_id, awaited in found.items() if awaited is not None}
    done = {
        key: awaited for key, awaited in present.items() if awaited.promise.state is not PromiseState.PENDING
    }
    if done:
        records = {key: turn.materialise(key) or awaited for key, awaited in done.items()}
        return Reply(status=300, records=records)
    waiting = [
        promises.with_callback(awaited, awaiter_id)
        for awaited in present.values()
        if awaiter_id not in awaited.promise.callbacks
    ]
    for awaited in waiting:
        if promises.has_too_many_waiters(awaited, turn.rules):
            return promises.too_many_waiters(awaited.id, turn)
    return waiting


def fulfill(turn: Turn, request: TaskFulfill) -> Reply:
    """task.fulfill: settles the task's own promise."""
    action = request.action
    if action.state not in promises.SETTABLE:
        return refuse(400, "State must be one of resolved, rejected, rejected_canceled")
    if action.id != request.id:
        return refuse(400, "Action ID must match the task ID")
    holder = held(turn, request.id, request.version)
    if isinstance(holder, Reply):
        return holder
    done = settled(holder[0], action.state, action.value, settled_at=turn.now, now_ms=turn.now)
    turn.put(done)
    return Reply(status=200, promise=done)


def release(turn: Turn, request: TaskRelease) -> Reply:
    """task.release: the version stays, the task is dispatched again at once."""
    holder = held(turn, request.id, request.version)
    if isinstance(holder, Reply):
        return holder
    found, task = holder
    turn.put(queued(found, now_ms=turn.now, resumes=task.resumes))
    return Reply(status=200)


def halt(turn: Turn, request: TaskHalt) -> Reply:
    """task.halt: an operator's command, beats a holder's lease."""
    found = turn.get(request.id)
    if found is None or found.task is None:
        return refuse(404, "Task not found")
    if found.task.state is TaskState.FULFILLED:
        return refuse(409, "Task is fulfilled")
    if found.task.state is not TaskState.HALTED:
        turn.put(halted(found, reason="halted by an operator"))
    return Reply(status=200)


def resume(turn: Turn, request: TaskContinue) -> Reply:
    """task.continue: revives a halted task with its patience restored."""
    found = turn.get(request.id)
    if found is None or found.task is None:
        return refuse(404, "Task not found")
    if found.task.state is not TaskState.HALTED:
        return refuse(409, "Task is not halted")
    revived = queued(found, now_ms=turn.now, resumes=found.task.resumes)
    turn.put(replace(revived, barren=0, not_before=0, reason=None))
    return Reply(status=200)
