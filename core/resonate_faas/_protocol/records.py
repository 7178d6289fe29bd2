"""The machine's records as they stand on the wire: camelCase, absent fields left out, never null (D17)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from resonate_faas._machine.objects import (
    Execute,
    Message,
    Poke,
    Promise,
    PromiseObject,
    PromiseState,
    Schedule,
    ScheduleObject,
    Task,
    TaskState,
    Unblock,
    Value,
    is_external,
)
from resonate_faas._pushed import encode_execute
from resonate_faas._requests import Snapshot

Json = dict[str, Any]
"""A JSON object: what :mod:`json` writes without help."""

_RETRY: Final = 0
_LEASE: Final = 1


def value_record(value: Value) -> Json:
    """Return a payload (protocol section 2.1)."""
    record: Json = {}
    if value.headers:
        record["headers"] = dict(value.headers)
    if value.data is not None:
        record["data"] = value.data
    return record


def promise_record(promise: Promise) -> Json:
    """Return a promise (protocol section 2.2); callbacks and listeners stay behind."""
    record: Json = {
        "id": promise.id,
        "state": promise.state.value,
        "param": value_record(promise.param),
        "value": value_record(promise.value),
        "tags": dict(promise.tags),
        "timeoutAt": promise.timeout_at,
        "createdAt": promise.created_at,
    }
    if promise.settled_at is not None:
        record["settledAt"] = promise.settled_at
    return record


def task_record(task_id: str, task: Task) -> Json:
    """Return a task (protocol section 2.3); pid and ttl only while it is acquired."""
    record: Json = {
        "id": task_id,
        "state": task.state.value,
        "version": task.version,
        "resumes": len(task.resumes),
    }
    if task.state is TaskState.ACQUIRED:
        record |= _present({"ttl": task.ttl, "pid": task.pid})
    return record


def schedule_record(schedule: Schedule) -> Json:
    """Return a schedule (protocol section 2.4). ``zone`` is ours and left out where it is UTC."""
    record: Json = {
        "id": schedule.id,
        "cron": schedule.cron,
        "promiseId": schedule.promise_id,
        "promiseTimeout": schedule.promise_timeout,
        "promiseParam": value_record(schedule.promise_param),
        "promiseTags": dict(schedule.promise_tags),
        "createdAt": schedule.created_at,
        "nextRunAt": schedule.next_run_at,
    }
    zone = None if schedule.zone == "UTC" else schedule.zone
    return record | _present({"lastRunAt": schedule.last_run_at, "zone": zone})


def snapshot_record(snapshot: Snapshot) -> Json:
    """Return the answer to debug.snap (protocol section 3.4): raw, sorted by id. Schedules are not part of it."""
    found = sorted(
        (one for one in snapshot.objects if isinstance(one, PromiseObject)), key=lambda stored: stored.id
    )
    promises = [stored.promise for stored in found]
    return {
        "promises": [promise_record(promise) for promise in promises],
        "promiseTimeouts": [
            {"id": promise.id, "timeout": promise.timeout_at}
            for promise in promises
            if promise.state is PromiseState.PENDING and is_external(promise, snapshot.rules)
        ],
        "callbacks": [
            {"awaiter": awaiter, "awaited": promise.id}
            for promise in promises
            for awaiter in promise.callbacks
        ],
        "listeners": [
            {"id": promise.id, "address": address} for promise in promises for address in promise.listeners
        ],
        "tasks": [task_record(stored.id, stored.task) for stored in found if stored.task is not None],
        "taskTimeouts": [
            timeout
            for stored in found
            if stored.task is not None
            for timeout in _task_timeouts(stored.id, stored.task)
        ],
        "messages": [record for message in snapshot.messages for record in _snapshot_message(message)],
    }


def encode_unblock(promise: Promise) -> Json:
    """Return an unblock message (protocol section 1.3)."""
    return {"kind": "unblock", "head": {}, "data": {"promise": promise_record(promise)}}


def found_record(kind: str, found: PromiseObject | ScheduleObject) -> Json:
    """Return one result of a search of this kind (``promises``, ``tasks`` or ``schedules``).

    Raises:
        LookupError: the object is not of the kind that was asked for.
    """
    if isinstance(found, ScheduleObject) and kind == "schedules":
        return schedule_record(found.schedule)
    if isinstance(found, PromiseObject) and kind == "promises":
        return promise_record(found.promise)
    if isinstance(found, PromiseObject) and found.task is not None and kind == "tasks":
        return task_record(found.id, found.task)
    raise LookupError(f"a search for {kind} found {found.id!r}, which is none")


def _task_timeouts(task_id: str, task: Task) -> list[Json]:
    instants = ((_RETRY, task.retry_at), (_LEASE, task.expires_at))
    return [
        {"id": task_id, "type": kind, "timeout": instant} for kind, instant in instants if instant is not None
    ]


def _snapshot_message(message: Message) -> list[Json]:
    """Return the message as it will be delivered; a poke is ours alone."""
    match message:
        case Execute(id=task_id, version=version, target=target):
            return [{"address": target, "message": encode_execute(task_id, version)}]
        case Unblock(address=address, promise=promise):
            return [{"address": address, "message": encode_unblock(promise)}]
        case Poke():
            return []


def _present(fields: Mapping[str, Any]) -> Json:
    return {name: value for name, value in fields.items() if value is not None}
