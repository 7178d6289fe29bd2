"""GET /promises/{id}, and settling a promise from outside: by right, or by the link of this one promise."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from resonate_faas._errors import ApplicationError, CodecError, RequestRefusedError, ResonateFaasError
from resonate_faas._http.access import Right
from resonate_faas._http.invoke import field_error
from resonate_faas._http.messages import HttpRequest, HttpResponse, json_response
from resonate_faas._http.page import confirmation
from resonate_faas._http.room import WAIT_S_MAX, Call
from resonate_faas._http_errors import InvalidFieldError, PromiseNotFoundError
from resonate_faas._machine.ids import id_error
from resonate_faas._machine.objects import (
    EXTERNAL,
    Promise,
    PromiseObject,
    PromiseState,
    Task,
    is_external,
)
from resonate_faas._protocol.records import Json, value_record

ACTIONS: Final = {
    "resolve": PromiseState.RESOLVED,
    "reject": PromiseState.REJECTED,
    "cancel": PromiseState.CANCELED,
}
_SECONDS: Final = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,3})?")


class SettleBody(BaseModel):
    """The value to settle with; of a rejection, its message."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    value: Annotated[Any, Field()] = None


def read(call: Call) -> HttpResponse:
    """Answer the state of a promise; with ``wait``, as soon as it is settled or when the seconds are over.

    The wait ends before the process may be stopped, if that is earlier.

    Raises:
        InvalidFieldError: ``wait`` is no number from 0 to 20.
        PromiseNotFoundError: unknown.
    """
    wait_ms = call.bounded_ms(_wait_ms(call.request.query_fields().get("wait")))
    promise_id = known_id(call)
    found = call.node.client.wait(promise_id, wait_ms) if wait_ms else call.node.client.get(promise_id)
    if found is None:
        raise PromiseNotFoundError(promise_id)
    return json_response(200, described(call, found))


def _wait_ms(text: str | None) -> int:
    if text is None:
        return 0
    if not _SECONDS.fullmatch(text) or float(text) > WAIT_S_MAX:
        raise InvalidFieldError("wait", f"it must be seconds from 0 to {WAIT_S_MAX}")
    return int(float(text) * 1000)


def known_id(call: Call) -> str:
    """Return the id of the path; one that no promise can have is unknown like any other."""
    promise_id = call.param("id")
    if id_error(promise_id) is not None:
        raise PromiseNotFoundError(promise_id)
    return promise_id


def described(call: Call, found: PromiseObject) -> Json:
    """Return a promise for people and programs: decoded, with what its task does and why."""
    promise = found.promise
    body: Json = {
        "id": promise.id,
        "state": promise.state.value,
        **_ending(call, promise),
        "tags": dict(promise.tags),
        "createdAt": promise.created_at,
        "timeoutAt": promise.timeout_at,
    }
    if promise.settled_at is not None:
        body["settledAt"] = promise.settled_at
    if found.task is not None:
        body["task"] = _task(found, found.task)
    if found.reason is not None:
        body["reason"] = found.reason
    return body


def _task(found: PromiseObject, task: Task) -> Json:
    body: Json = {"state": task.state.value, "version": task.version}
    if task.retry_at is not None:
        body["nextDispatchAt"] = max(task.retry_at, found.not_before)
    if task.expires_at is not None:
        body["leaseExpiresAt"] = task.expires_at
    return body


def _ending(call: Call, promise: Promise) -> Json:
    """Return the value or the error of a settled promise; of a record we can't read, the record itself."""
    if promise.state is PromiseState.PENDING:
        return {}
    try:
        if promise.state is PromiseState.RESOLVED:
            return {"value": call.node.client.result(promise)}
        return {"error": _error(call.node.resonate.codec.decode_error(promise))}
    except CodecError as error:
        return {"undecodable": str(error), "raw": value_record(promise.value)}


def _error(error: Exception) -> Json:
    code = error.code if isinstance(error, ResonateFaasError) else ApplicationError.code
    if isinstance(error, ApplicationError):
        return {"code": code, "name": error.name, "message": error.message}
    return {"code": code, "name": type(error).__name__, "message": str(error)}


def settle(call: Call) -> HttpResponse:
    """Settle a promise; one that is settled keeps its record, which is answered.

    A link's token settles its one external promise. The right to settle covers whatever others may wait for:
    external promises, executions, timers; never a step's own record, which only its activation writes.

    Raises:
        PromiseNotFoundError: unknown, or not for this token.
        RequestRefusedError: (409) it is the internal record of a step.
    """
    state = ACTIONS[call.param("action")]
    token = call.request.query_fields().get("token")
    call.check(Right.SETTLE if token is None else Right.LINK)
    promise_id = known_id(call)
    body = _settle_body(call)
    found = call.node.client.get(promise_id)
    if found is None or (token is not None and not _covers(call, found, token)):
        raise PromiseNotFoundError(promise_id)
    if not is_external(found.promise, call.node.server.rules):
        raise RequestRefusedError(
            409, f"{promise_id!r} is the record of a step: only its workflow settles it"
        )
    return json_response(200, described(call, call.node.client.settle(promise_id, state, body.value)))


def _settle_body(call: Call) -> SettleBody:
    """Return the body; none at all is an empty one."""
    request: HttpRequest = call.request
    if not request.body and "content-type" not in request.headers:
        return SettleBody()
    value = (
        {} if not request.body and request.is_json else request.json(bytes_max=call.settings.body_bytes_max)
    )
    try:
        return SettleBody.model_validate(value)
    except ValidationError as error:
        raise field_error(error) from error


def _covers(call: Call, found: PromiseObject, token: str) -> bool:
    """True if the token is this promise's, and the promise is one that only outsiders settle."""
    links, promise = call.node.links, found.promise
    is_outsiders = promise.tags.get(EXTERNAL) == "true" and promise.target is None
    return links is not None and is_outsiders and links.permits(promise.id, found.birth, token)


def confirm(call: Call) -> HttpResponse:
    """Serve the page whose button settles: a GET changes nothing, since mail scanners follow every link.

    The page is the same whether the promise exists or not; pressing the button tells.

    Raises:
        InvalidFieldError: the query's ``value`` is not JSON.
        PromiseNotFoundError: no promise can have this id.
    """
    fields = call.request.query_fields()
    call.check(Right.LINK if "token" in fields else Right.SETTLE)
    return confirmation(call.param("action"), known_id(call), fields.get("value"))
