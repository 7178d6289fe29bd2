"""POST /: the protocol's envelope, or a message pushed to this worker (protocol sections 1 and 9)."""

from __future__ import annotations

from typing import Any

from resonate_faas._http.access import Right
from resonate_faas._http.delivery import deliver, is_queued
from resonate_faas._http.messages import HttpResponse
from resonate_faas._http.room import Call
from resonate_faas._http_errors import AccessDeniedError
from resonate_faas._pushed import load_json


def root(call: Call) -> HttpResponse:
    """Answer POST /. Who asks is checked before the body is parsed, except for a token that is inside it (D23)."""
    call.request.require_json(bytes_max=call.settings.body_bytes_max)
    denied = {
        right: _denial(call, right)  # both: which of the two it is stands in the body
        for right in (Right.PROTOCOL, Right.DELIVER)
    }
    try:
        value = load_json(call.request.body)
    except ValueError:
        value = None
    if all(denied.values()) and not _head_token(value):
        raise denied[Right.PROTOCOL] or AccessDeniedError(401, "Unauthorized")
    if is_queued(value):
        refused = denied[Right.DELIVER]
        if refused is not None:
            raise refused
        return deliver(call, value)
    from resonate_faas._http.protocol import envelope  # noqa: PLC0415 - a delivery does not pay for the wire's models

    return envelope(call, value, denied[Right.PROTOCOL])


def _denial(call: Call, right: Right) -> AccessDeniedError | None:
    try:
        call.check(right)
    except AccessDeniedError as error:
        return error
    return None


def _head_token(value: Any) -> str | None:
    head = value.get("head") if isinstance(value, dict) else None
    token = head.get("auth") if isinstance(head, dict) else None
    return token if isinstance(token, str) and token else None
