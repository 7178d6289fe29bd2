"""GET /promises/{id}/explain: why it is waiting, for people and programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from resonate_faas._called import Called, called
from resonate_faas._explain import Explanation, explain
from resonate_faas._http.messages import HttpResponse, json_response
from resonate_faas._http.promises import described, known_id
from resonate_faas._http.room import Call
from resonate_faas._http_errors import PromiseNotFoundError
from resonate_faas._machine.objects import EXTERNAL, TIMER, PromiseObject, Task, TaskState
from resonate_faas._protocol.records import Json

T = TypeVar("T")

LISTED_MAX: Final = 100
"""Promises, awaiters and listeners told of each, at most; the counts tell of all."""


def read(call: Call) -> HttpResponse:
    """Answer why a promise waits: what no other answer shows, such as its lease, back-off and awaiters.

    Raises:
        PromiseNotFoundError: unknown.
    """
    promise_id = known_id(call)
    found = explain(call.node.server, promise_id)
    if found is None:
        raise PromiseNotFoundError(promise_id)
    return json_response(200, explained(call, found))


def explained(call: Call, known: Explanation) -> Json:
    """Return an explanation as JSON data; what does not apply is left out."""
    found, codec = known.found, call.node.resonate.codec
    body: Json = {
        "promise": described(call, found),
        "at": known.at,
        "call": _call(called(found.promise, codec), found),
        "callbacks": {"count": len(found.promise.callbacks), "ids": _first(found.promise.callbacks)},
        "listeners": {
            "count": len(found.promise.listeners),
            "addresses": [_address(one) for one in _first(found.promise.listeners)],
        },
    }
    if known.due_at is not None:
        body["nextDueAt"] = known.due_at
    if known.holder is not None:
        body["holder"] = _short(call, known.holder)
    if found.task is not None:
        body["task"] = _task(call, found, found.task)
        body["budget"] = {
            "promises": known.records,
            "promisesMax": call.node.worker.engine.promises_max,
            "leaseMs": call.node.worker.settings.lease_ms,
            "replayMs": found.replay_ms,
        }
        for name, listed in (("awaits", known.awaited), ("retries", known.retries), ("calls", known.calls)):
            body[name] = {"count": len(listed), "promises": [_short(call, one) for one in _first(listed)]}
    return body


def _task(call: Call, found: PromiseObject, task: Task) -> Json:
    """Return the task with all that never travels on the protocol's wire."""
    body: Json = {
        "state": task.state.value,
        "version": task.version,
        "dispatches": found.dispatches,
        "barren": found.barren,
        "barrenMax": call.node.server.rules.barren_max,
        "resumes": len(task.resumes),
    }
    if found.promise.target is not None:
        body["target"] = _address(found.promise.target)
    if task.state is TaskState.ACQUIRED:
        body |= {"pid": task.pid or "", "leaseMs": task.ttl or 0, "leaseExpiresAt": task.expires_at or 0}
    if task.state is TaskState.PENDING and task.retry_at is not None:
        body["nextDispatchAt"] = max(task.retry_at, found.not_before)
    if found.not_before > found.at:
        body["backsOffUntil"] = found.not_before
    return body


def _short(call: Call, found: PromiseObject) -> Json:
    """Return another promise, as far as it tells why this one waits."""
    promise = found.promise
    body: Json = {
        "id": found.id,
        "state": promise.state.value,
        "call": _call(called(promise, call.node.resonate.codec), found),
        "createdAt": promise.created_at,
        "timeoutAt": promise.timeout_at,
    }
    if found.task is not None:
        body["taskState"] = found.task.state.value
    if found.reason is not None:
        body["reason"] = found.reason
    return body


def _call(stands_for: Called, found: PromiseObject) -> Json:
    """Return what a promise stands for; by its tags where its param does not say."""
    tags = found.promise.tags
    kind = stands_for.kind
    if not kind:
        kind = "sleep" if tags.get(TIMER) == "true" else "promise" if tags.get(EXTERNAL) == "true" else ""
    fields = {
        "kind": kind,
        "function": stands_for.function,
        "version": stands_for.version,
        "code": stands_for.code,
        "attempt": stands_for.attempt,
        "parent": stands_for.parent,
        "error": stands_for.error,
    }
    return {name: field for name, field in fields.items() if field}


def _first(listed: Sequence[T]) -> list[T]:
    return list(listed[:LISTED_MAX])


def _address(address: str) -> str:
    """Return an address without its query, which may hold a credential."""
    return address.partition("?")[0]
