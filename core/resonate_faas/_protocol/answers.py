"""A reply in, a response envelope out (protocol section 1.2); and the messages that a Resonate server pushes to us."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar, assert_never

from resonate_faas._machine import requests as machine
from resonate_faas._machine.objects import Promise
from resonate_faas._machine.requests import Reply
from resonate_faas._protocol.envelope import PROTOCOL_VERSION, ActionEcho, Decoded, Refused
from resonate_faas._protocol.records import (
    Json,
    found_record,
    promise_record,
    schedule_record,
    snapshot_record,
    task_record,
)
from resonate_faas._requests import (
    Debug,
    DebugReset,
    DebugSnap,
    DebugStart,
    DebugStop,
    DebugTick,
    Page,
    PromiseSearch,
    ScheduleCreateRequest,
    ScheduleSearch,
    Search,
    Snapshot,
    TaskSearch,
)

Answer = Reply | Page | Snapshot
"""What the server answers: a page to a search, a snapshot to debug.snap, a reply to everything else."""


def encode_reply(decoded: Decoded, answer: Answer, *, preload: Sequence[Promise] = ()) -> tuple[int, Json]:
    """Return the HTTP status, equal to the head's, and the response envelope.

    Args:
        decoded: the request.
        answer: what the server said; its records are projected already.
        preload: the branch's siblings, for task.create, task.acquire, task.fence and a redirected suspend.

    Raises:
        LookupError, TypeError: the answer lacks what this request's answer is made of: a bug of the server room.
    """
    if isinstance(answer, Reply) and answer.status >= 400:
        return encode_refusal(decoded.refuse(answer.status, answer.error or "error"))
    status = answer.status if isinstance(answer, Reply) else 200
    data = _data(decoded, answer, preload)
    return status, _response(decoded.kind, decoded.corr_id, status, data)


def encode_refusal(refused: Refused) -> tuple[int, Json]:
    """Return the HTTP status and the envelope of an error: its data is a bare string."""
    return refused.status, _response(refused.kind, refused.corr_id, refused.status, refused.error)


def _response(kind: str, corr_id: str, status: int, data: object) -> Json:
    head = {"corrId": corr_id, "status": status, "version": PROTOCOL_VERSION}
    return {"kind": kind, "head": head, "data": data}


def _data(decoded: Decoded, answer: Answer, preload: Sequence[Promise]) -> Json | list[Json]:
    """Return a success's data, by what was asked."""
    request = decoded.request
    if isinstance(request, Search | Debug):
        return _listing(request, answer)
    reply = _expect(Reply, answer)
    match request:
        case (
            machine.PromiseGet()
            | machine.PromiseCreate()
            | machine.PromiseSettle()
            | machine.RegisterCallback()
            | machine.RegisterListener()
            | machine.TaskFulfill()
        ):
            return _promise(reply)
        case machine.TaskGet():
            return _task(reply)
        case machine.TaskCreate() | machine.TaskAcquire():
            return {**_task(reply), **_promise(reply), "preload": _preload(preload)}
        case machine.TaskFence():
            return {"action": _inner(decoded, reply), "preload": _preload(preload)}
        case machine.TaskSuspend():
            return {"preload": _preload(preload)} if reply.status == machine.REDIRECT else {}
        case machine.ScheduleGet() | ScheduleCreateRequest():
            return {"schedule": schedule_record(_there(reply.schedule))}
        case (
            machine.TaskHeartbeat()
            | machine.TaskRelease()
            | machine.TaskHalt()
            | machine.TaskContinue()
            | machine.ScheduleDelete()
        ):
            return {}
        case _:
            assert_never(request)


def _listing(request: Search | Debug, answer: Answer) -> Json | list[Json]:
    """Return the data of the answer to a search or a debug request."""
    match request:
        case PromiseSearch():
            return _page("promises", answer)
        case TaskSearch():
            return _page("tasks", answer)
        case ScheduleSearch():
            return _page("schedules", answer)
        case DebugSnap():
            return snapshot_record(_expect(Snapshot, answer))
        case DebugTick():
            return []
        case DebugStart() | DebugStop() | DebugReset():
            return {}
        case _:
            assert_never(request)


def _promise(reply: Reply) -> Json:
    return {"promise": promise_record(_there(reply.promise).promise)}


def _task(reply: Reply) -> Json:
    found = _there(reply.promise)
    return {"task": task_record(found.id, _there(found.task))}


def _preload(promises: Iterable[Promise]) -> list[Json]:
    return [promise_record(promise) for promise in promises]


def _inner(decoded: Decoded, reply: Reply) -> Json:
    """Return the response envelope of a fence's action, with its own status (D10)."""
    inner, echo = _there(reply.inner), _there(decoded.action)
    if inner.status >= 400:
        return _inner_response(echo, inner.status, echo.error or inner.error or "error")
    return _inner_response(echo, inner.status, _promise(inner))


def _inner_response(echo: ActionEcho, status: int, data: object) -> Json:
    return _response(echo.kind, echo.corr_id, status, data)


def _page(kind: str, answer: Answer) -> Json:
    page = _expect(Page, answer)
    record: Json = {kind: [found_record(kind, found) for found in page.objects]}
    if page.cursor is not None:
        record["cursor"] = page.cursor
    return record


_Expected = TypeVar("_Expected", Reply, Page, Snapshot)
_Thing = TypeVar("_Thing")


def _expect(expected: type[_Expected], answer: Answer) -> _Expected:
    if not isinstance(answer, expected):
        raise TypeError(f"the server answered a {type(answer).__name__} where a {expected.__name__} is due")
    return answer


def _there(thing: _Thing | None) -> _Thing:
    if thing is None:
        raise LookupError("the server's reply lacks the record that its answer is made of")
    return thing
