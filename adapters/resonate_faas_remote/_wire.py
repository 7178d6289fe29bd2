"""Requests and records as they travel to a Resonate server (protocol sections 1 to 3); plain code, for a cold start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from resonate_faas._errors import StoreUnavailableError
from resonate_faas._machine.objects import Promise, PromiseState, Task, TaskState, Value
from resonate_faas._machine.requests import (
    PromiseCreate,
    PromiseGet,
    PromiseSettle,
    RegisterListener,
    Request,
    TaskAcquire,
    TaskFence,
    TaskFulfill,
    TaskGet,
    TaskHeartbeat,
    TaskRelease,
    TaskSuspend,
)

PROTOCOL_VERSION: Final = "2026-04-01"
Json = dict[str, Any]


class Names:
    """How ids are spelt: our ``root:1.2`` is ``root.1.2`` on a server that wants dots only.

    Args:
        separator: what stands between the root and the rest: ``:`` or ``.``.

    Raises:
        ValueError: it is neither.
    """

    def __init__(self, separator: str = ":") -> None:
        if separator not in {":", "."}:
            raise ValueError(f"the id separator is ':' or '.', not {separator!r}")
        self._has_dots = separator == "."

    def theirs(self, promise_id: str) -> str:
        """Return one of our ids as the server spells it."""
        return promise_id.replace(":", ".", 1) if self._has_dots else promise_id

    def ours(self, promise_id: str) -> str:
        """Return one of the server's ids as we spell it; where dots separate, a root has none."""
        return promise_id.replace(".", ":", 1) if self._has_dots and ":" not in promise_id else promise_id

    def their_tags(self, tags: Mapping[str, str]) -> dict[str, str]:
        """Return tags whose lineage is spelt as the server wants it."""
        return {name: self.theirs(text) if name in _LINEAGE else text for name, text in tags.items()}

    def our_tags(self, tags: Mapping[str, str]) -> dict[str, str]:
        """Return tags whose lineage is spelt as we do."""
        return {name: self.ours(text) if name in _LINEAGE else text for name, text in tags.items()}


_LINEAGE: Final = frozenset({"resonate:origin", "resonate:branch", "resonate:parent"})


def request_data(request: Request, names: Names) -> tuple[str, Json]:
    """Return kind and data of a request.

    Raises:
        TypeError: it is none of those that a worker or client sends.
    """
    match request:
        case PromiseGet(id=promise_id):
            return "promise.get", {"id": names.theirs(promise_id)}
        case PromiseCreate() | PromiseSettle():
            return _action(request, names)
        case RegisterListener(awaited=awaited, address=address):
            return "promise.register_listener", {"awaited": names.theirs(awaited), "address": address}
        case TaskHeartbeat(pid=pid, tasks=tasks):
            refs = [{"id": names.theirs(ref.id), "version": ref.version} for ref in tasks]
            return "task.heartbeat", {"pid": pid, "tasks": refs}
        case TaskGet(id=task_id):
            return "task.get", {"id": names.theirs(task_id)}
        case TaskAcquire() | TaskFence() | TaskFulfill() | TaskRelease() | TaskSuspend():
            kind, data = _of_task(request, names)
            return kind, {"id": names.theirs(request.id), "version": request.version, **data}
        case _:
            raise TypeError(f"{type(request).__name__} is not sent to a remote server")


def _of_task(
    request: TaskAcquire | TaskFence | TaskFulfill | TaskRelease | TaskSuspend, names: Names
) -> tuple[str, Json]:
    """Return the kind of a request about one version of a task, and what its data holds besides id and version."""
    match request:
        case TaskAcquire(pid=pid, ttl=ttl):
            return "task.acquire", {"pid": pid, "ttl": ttl}
        case TaskFence(action=action):
            return "task.fence", {"action": _envelope(*_action(action, names))}
        case TaskFulfill(action=settle):
            return "task.fulfill", {"action": _envelope(*_action(settle, names))}
        case TaskRelease():
            return "task.release", {}
        case TaskSuspend(id=task_id, awaited=awaited):
            pairs = [{"awaited": names.theirs(one), "awaiter": names.theirs(task_id)} for one in awaited]
            return "task.suspend", {"actions": [_envelope("promise.register_callback", one) for one in pairs]}


_HEAD: Final = {"corrId": "action", "version": PROTOCOL_VERSION}


def _envelope(kind: str, data: Json) -> Json:
    """Return an action within a request: an envelope too."""
    return {"kind": kind, "head": _HEAD, "data": data}


def _action(request: PromiseCreate | PromiseSettle, names: Names) -> tuple[str, Json]:
    if isinstance(request, PromiseSettle):
        data: Json = {
            "id": names.theirs(request.id),
            "state": request.state.value,
            "value": _value(request.value),
        }
        return "promise.settle", data
    return "promise.create", {
        "id": names.theirs(request.id),
        "timeoutAt": request.timeout_at,
        "param": _value(request.param),
        "tags": names.their_tags(request.tags),
    }


def _value(value: Value) -> Json:
    record: Json = {"headers": dict(value.headers)}
    if value.data is not None:
        record["data"] = value.data
    return record


def promise_of(record: Any, names: Names) -> Promise:
    """Return a promise from its record.

    Raises:
        StoreUnavailableError: the server's answer is none.
    """
    try:
        return Promise(
            id=names.ours(record["id"]),
            state=PromiseState(record["state"]),
            param=_value_of(record.get("param")),
            value=_value_of(record.get("value")),
            tags=names.our_tags(record.get("tags") or {}),
            timeout_at=int(record["timeoutAt"]),
            created_at=int(record["createdAt"]),
            settled_at=None if record.get("settledAt") is None else int(record["settledAt"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable("promise", error) from error


def task_of(record: Any, *, pid: str, ttl_ms: int, expires_at: int) -> Task:
    """Return the task we hold, from its record.

    Raises:
        StoreUnavailableError: the server's answer is none.
    """
    try:
        version = int(record["version"])
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable("task", error) from error
    return Task(state=TaskState.ACQUIRED, version=version, pid=pid, ttl=ttl_ms, expires_at=expires_at)


def _value_of(record: Any) -> Value:
    if not record:
        return Value()
    headers, data = record.get("headers") or {}, record.get("data")
    if data is not None and not isinstance(data, str):
        raise TypeError("data must be a text")
    return Value(headers={str(name): str(text) for name, text in headers.items()}, data=data or None)


def _unreadable(what: str, error: Exception) -> StoreUnavailableError:
    return StoreUnavailableError("answer", f"what it sent holds no {what} ({type(error).__name__}: {error})")
