"""Promise requests: get, create, settle, and the two ways to wait. Guard orders are protocol section 3.1's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from resonate_faas._machine.objects import (
    DELAY,
    EMPTY,
    TARGET,
    TIMER,
    Promise,
    PromiseObject,
    PromiseState,
    Rules,
    Task,
    TaskState,
    deadline_state,
    is_external,
    settled,
)
from resonate_faas._machine.requests import (
    Observe,
    PromiseCreate,
    PromiseGet,
    PromiseSettle,
    Record,
    RegisterCallback,
    RegisterListener,
    Reply,
)
from resonate_faas._machine.turn import Turn

SETTABLE = frozenset({PromiseState.RESOLVED, PromiseState.REJECTED, PromiseState.CANCELED})


def refuse(status: int, error: str) -> Reply:
    """Return a refusal; the step that returns it has written nothing."""
    return Reply(status=status, error=error)


def first_dispatch(delay: str | None, now_ms: int) -> int:
    """Return the first instant a new task may be dispatched: ``max(delay, now)``; a bad delay counts as none."""
    try:
        return max(int(delay or ""), now_ms)
    except ValueError:
        return now_ms


def timer_with_target(create: PromiseCreate | Record) -> bool:
    """True if the promise would be a timer and have a task."""
    return create.tags.get(TIMER) == "true" and TARGET in create.tags


def without_target(tags: Mapping[str, str]) -> Mapping[str, str]:
    """Return the tags of a timer with a target as a timer's alone: what lenient mode makes of both SDKs' sleep (D1)."""
    return {name: text for name, text in tags.items() if name != TARGET}


def new_promise(create: PromiseCreate, turn: Turn) -> PromiseObject:
    """Return the object a create gives birth to: live, or dead at once if its deadline has passed."""
    now_ms = turn.now
    targeted = TARGET in create.tags
    if create.timeout_at > now_ms:
        state, created_at, settled_at = PromiseState.PENDING, now_ms, None
        task = Task(
            state=TaskState.PENDING, version=0, retry_at=first_dispatch(create.tags.get(DELAY), now_ms)
        )
    else:
        state, created_at, settled_at = deadline_state(create.tags), create.timeout_at, create.timeout_at
        task = Task(state=TaskState.FULFILLED, version=0)
    promise = Promise(
        id=create.id,
        state=state,
        param=create.param,
        value=EMPTY,
        tags=create.tags,
        timeout_at=create.timeout_at,
        created_at=created_at,
        settled_at=settled_at,
    )
    return PromiseObject(
        promise=promise,
        task=task if targeted else None,
        at=now_ms,
        birth=turn.fresh_birth() if ":" not in create.id else "",
    )


def get(turn: Turn, request: PromiseGet) -> Reply:
    """promise.get."""
    found = turn.materialise(request.id)
    if found is None:
        return refuse(404, "Promise not found")
    return Reply(status=200, promise=found)


def create(turn: Turn, request: PromiseCreate) -> Reply:
    """promise.create: idempotent by id alone."""
    if timer_with_target(request):
        if turn.rules.strict:
            return refuse(400, "A timer must not have a resonate:target tag")
        request = replace(request, tags=without_target(request.tags))
    found = turn.materialise(request.id)
    if found is None:
        found = new_promise(request, turn)
        turn.put(found)
    return Reply(status=200, promise=found)


def settle(turn: Turn, request: PromiseSettle) -> Reply:
    """promise.settle: late or repeated, it answers the stored record."""
    if request.state not in SETTABLE:
        return refuse(400, "State must be one of resolved, rejected, rejected_canceled")
    found = turn.materialise(request.id)
    if found is None:
        return refuse(404, "Promise not found")
    if found.promise.state is PromiseState.PENDING:
        found = settled(found, request.state, request.value, settled_at=turn.now, now_ms=turn.now)
        turn.put(found)
    return Reply(status=200, promise=found)


def register_callback(turn: Turn, request: RegisterCallback) -> Reply:
    """promise.register_callback."""
    if request.awaited == request.awaiter:
        return refuse(400, "Awaited and awaiter must be different promises")
    turn.require((request.awaited, request.awaiter))
    awaited, awaiter = turn.materialise(request.awaited), turn.get(request.awaiter)
    if awaited is None:
        return refuse(404, "Awaited promise not found")
    if awaiter is None:
        return refuse(422, "Awaiter promise not found")
    if awaiter.promise.target is None:
        return refuse(422, "Awaiter promise has no resonate:target tag")
    if not is_external(awaited.promise, turn.rules):
        return refuse(422, "Awaited promise is internal: nobody may wait for it")
    if awaited.promise.state is PromiseState.PENDING and awaiter.promise.state is PromiseState.PENDING:
        if request.awaiter in awaited.promise.callbacks:
            return Reply(status=200, promise=awaited)
        awaited = with_callback(awaited, request.awaiter)
        if has_too_many_waiters(awaited, turn.rules):
            return too_many_waiters(request.awaited, turn)
        turn.put(awaited)
    return Reply(status=200, promise=awaited)


def register_listener(turn: Turn, request: RegisterListener) -> Reply:
    """promise.register_listener; whether the address is deliverable is checked before the machine."""
    awaited = turn.materialise(request.awaited)
    if awaited is None:
        return refuse(404, "Awaited promise not found")
    if not is_external(awaited.promise, turn.rules):
        return refuse(422, "Awaited promise is internal: nobody may wait for it")
    promise = awaited.promise
    if promise.state is PromiseState.PENDING and request.address not in promise.listeners:
        awaited = replace(awaited, promise=replace(promise, listeners=(*promise.listeners, request.address)))
        if has_too_many_waiters(awaited, turn.rules):
            return too_many_waiters(request.awaited, turn)
        turn.put(awaited)
    return Reply(status=200, promise=awaited)


def observe(turn: Turn, request: Observe) -> Reply:
    """Read promises, storing what their deadlines decided."""
    turn.require(request.ids)
    found = {promise_id: turn.materialise(promise_id) for promise_id in request.ids}
    return Reply(status=200, records={key: record for key, record in found.items() if record is not None})


def with_callback(awaited: PromiseObject, awaiter_id: str) -> PromiseObject:
    """Return the awaited object with one more awaiter."""
    callbacks = (*awaited.promise.callbacks, awaiter_id)
    return replace(awaited, promise=replace(awaited.promise, callbacks=callbacks))


def has_too_many_waiters(awaited: PromiseObject, rules: Rules) -> bool:
    """True if the promise would hold more callbacks and listeners than the rules allow, by count or by bytes."""
    waiters = (*awaited.promise.callbacks, *awaited.promise.listeners)
    if len(waiters) > rules.waiters_max:
        return True
    return sum(len(waiter.encode()) for waiter in waiters) > rules.waiters_bytes_max


def too_many_waiters(promise_id: str, turn: Turn) -> Reply:
    """Refuse one waiter too many; the bound keeps the stored item and the drain bounded (design section 3)."""
    rules = turn.rules
    bound = f"{rules.waiters_max} waiters (or {rules.waiters_bytes_max} bytes of their names)"
    return refuse(422, f"Promise {promise_id!r} already has {bound}")
