"""The protocol's envelope over HTTP (protocol section 1)."""

from __future__ import annotations

import logging
from typing import Any, Final

from resonate_faas._errors import CronError, StoreError
from resonate_faas._http.access import Right
from resonate_faas._http.messages import HttpResponse, json_response
from resonate_faas._http.room import Call
from resonate_faas._http_errors import AccessDeniedError
from resonate_faas._machine.objects import EMPTY, Object, Promise, PromiseObject
from resonate_faas._machine.requests import (
    REDIRECT,
    Reply,
    ScheduleCreate,
    TaskAcquire,
    TaskCreate,
    TaskFence,
    TaskSuspend,
)
from resonate_faas._protocol import (
    UNPARSED_REFUSAL,
    Answer,
    Decoded,
    Envelope,
    Refused,
    WireSettings,
    encode_refusal,
    encode_reply,
    open_envelope,
    read_request,
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
    TaskSearch,
)

log = logging.getLogger("resonate_faas.http")

_PRELOADED: Final = (TaskCreate, TaskAcquire, TaskFence)
_TEXTS: Final = {401: "Unauthorized", 403: "Forbidden"}


def _enveloped(answer: tuple[int, Any]) -> HttpResponse:
    return json_response(*answer)


def envelope(call: Call, value: Any, denied: AccessDeniedError | None) -> HttpResponse:
    """Answer an envelope; a bug is answered in the protocol's own words.

    Args:
        call: the request.
        value: its body as JSON, None where it is none.
        denied: why the headers alone do not give the right; a token in the envelope may.
    """
    try:
        return _front_door(call, value, denied)
    except Exception:
        log.exception("bug in a protocol request")
        return _enveloped(encode_refusal(UNPARSED_REFUSAL))


def _front_door(call: Call, value: Any, denied: AccessDeniedError | None) -> HttpResponse:
    """Run the front door's checks in the protocol's order (section 1.6), then ask."""
    wire = WireSettings(debug=call.debug is not None, permits=call.node.server.settings.permits)
    envelope = open_envelope(value if isinstance(value, dict) else call.request.body, settings=wire)
    if isinstance(envelope, Refused):
        return _enveloped(encode_refusal(envelope))
    denied = _authorised(call, envelope, denied)
    if denied is not None:
        text = _TEXTS.get(denied.status, str(denied))
        return _enveloped(encode_refusal(envelope.refuse(denied.status, text)))
    decoded = read_request(envelope, settings=wire)
    if isinstance(decoded, Refused):
        return _enveloped(encode_refusal(decoded))
    return _enveloped(answer(call, decoded))


def _authorised(call: Call, envelope: Envelope, denied: AccessDeniedError | None) -> AccessDeniedError | None:
    """Return why the request may not be made; None: it may. Debug mode does not replace the right to use it (C12)."""
    request = call.request
    if envelope.auth and request.bearer is None:
        request = request.with_bearer(envelope.auth)
    wanted = [Right.PROTOCOL] if denied is not None else []
    if call.debug is not None and (envelope.kind.startswith("debug.") or envelope.debug_time is not None):
        wanted.append(Right.DEBUG)
    try:
        for right in wanted:
            call.access.check(request, right)
    except AccessDeniedError as error:
        return error
    return None


def answer(call: Call, decoded: Decoded) -> tuple[int, Any]:
    """Return the status and the envelope that answer a decoded request."""
    try:
        replied = _ask(call, decoded)
        preload = _preload(call, decoded, replied)
    except CronError as error:
        return encode_refusal(decoded.refuse(error.status, str(error)))
    except StoreError as error:
        log.warning("request failed", extra={"kind": decoded.kind, "code": error.code, "reason": str(error)})
        return encode_refusal(decoded.refuse(500, f"Internal error: {error.code}"))
    return encode_reply(decoded, replied, preload=preload)


def _ask(call: Call, decoded: Decoded) -> Answer:
    server, now_ms, request = call.node.server, decoded.debug_time, decoded.request
    match request:
        case PromiseSearch() | TaskSearch() | ScheduleSearch():
            return _page(call, request, now_ms)
        case ScheduleCreateRequest():
            schedule = ScheduleCreate(
                id=request.id,
                cron=request.cron,
                promise_id=request.promise_id,
                promise_timeout=request.promise_timeout,
                next_run_at=0,
                promise_param=request.promise_param,
                promise_tags=request.promise_tags,
                zone=request.zone,
            )
            return server.create_schedule(schedule, now_ms=now_ms).reply
        case DebugStart() | DebugStop() | DebugReset() | DebugTick() | DebugSnap():
            return _debug(call, request)
        case _:
            return server.ask(request, now_ms=now_ms).reply


def _debug(call: Call, request: Debug) -> Answer:
    """Do a debug request; the front door has refused it already where debug mode is off."""
    debug = call.debug
    if debug is None:
        return Reply(status=403, error="Debug operations are disabled")
    match request:
        case DebugSnap():
            return debug.snapshot()
        case DebugTick(time=time_ms):
            debug.tick(time_ms)
        case DebugReset():
            debug.reset()
        case DebugStart():
            debug.start()
        case DebugStop():
            debug.stop()
    return Reply(status=200)


def _page(call: Call, request: Search, now_ms: int | None) -> Page:
    """Return a page of a search; its cursor is the last id, and there only if more follows (D15)."""
    server = call.node.server
    kind, state, tags = _criteria(request)

    def search(limit: int, after: str | None) -> list[Object]:
        return server.search(kind, state=state, tags=tags, limit=limit, after=after, now_ms=now_ms)

    found = search(request.limit, request.cursor)
    if len(found) < request.limit:
        return Page(objects=tuple(found))
    last = found[-1]
    place = last.id if isinstance(last, PromiseObject) else last.schedule.id
    return Page(objects=tuple(found), cursor=place if search(1, place) else None)


def _criteria(request: Search) -> Any:
    match request:
        case PromiseSearch(state=state, tags=tags):
            return "promise", state.value if state is not None else None, tags
        case TaskSearch(state=task_state):
            return "task", task_state.value if task_state is not None else None, EMPTY.headers
        case ScheduleSearch(tags=tags):
            return "schedule", None, tags


def _preload(call: Call, decoded: Decoded, replied: Answer) -> list[Promise]:
    """Return the siblings that ride with a task (protocol section 3.5)."""
    if not isinstance(replied, Reply):
        return []
    request, server = decoded.request, call.node.server
    redirected = isinstance(request, TaskSuspend) and replied.status == REDIRECT
    if isinstance(request, TaskCreate):
        task_id = request.action.id
    elif isinstance(request, TaskAcquire | TaskFence | TaskSuspend):
        task_id = request.id
    else:
        return []
    if redirected or (replied.ok and isinstance(request, _PRELOADED)):
        return server.preload(replied, task_id, now_ms=decoded.debug_time)
    return []
