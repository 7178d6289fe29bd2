"""Our two messages as JSON, for queues that carry text or push over HTTP; and what is done with them."""

from __future__ import annotations

from typing import Any, Final

from resonate_faas._http.messages import HttpResponse, json_response
from resonate_faas._http.room import Call
from resonate_faas._http_errors import InvalidFieldError
from resonate_faas._machine.ids import id_error
from resonate_faas._machine.objects import Execute, Message, Poke, is_schedule_key
from resonate_faas._pushed import InvalidMessage, decode_message, encode_execute
from resonate_faas._worker import Ended

MESSAGE_KINDS: Final = frozenset({"execute", "poke"})
_INSTANT_MAX: Final = 2**63 - 1


def encode_queued(message: Message) -> dict[str, Any]:
    """Return a message as it travels; ``poke`` is ours, the others are the protocol's (section 1.3)."""
    match message:
        case Execute(id=task_id, version=version):
            return encode_execute(task_id, version)
        case Poke(id=key, not_before=instant):
            return {"kind": "poke", "head": {}, "data": {"id": key, "notBefore": instant}}
        case _:
            from resonate_faas._protocol import encode_unblock  # noqa: PLC0415 - rare: only listeners need it

            return encode_unblock(message.promise)


def is_queued(value: Any) -> bool:
    """True if the JSON value means to be a message to this worker, not a request."""
    kind = value.get("kind") if isinstance(value, dict) else None
    return isinstance(kind, str) and kind in MESSAGE_KINDS


def decode_queued(value: Any) -> Execute | Poke:
    """Return the message of a JSON value; its id may be anybody's invention: the machine's guards decide.

    Raises:
        InvalidFieldError: it is no message of ours.
    """
    if isinstance(value, dict) and value.get("kind") == "poke":
        data = value.get("data")
        key = data.get("id") if isinstance(data, dict) else None
        instant = data.get("notBefore", 0) if isinstance(data, dict) else None
        if not isinstance(key, str) or not (is_schedule_key(key) or id_error(key) is None):
            raise InvalidFieldError("data.id", "a poke needs the id of a promise or schedule")
        if not isinstance(instant, int) or isinstance(instant, bool) or not 0 <= instant <= _INSTANT_MAX:
            raise InvalidFieldError("data.notBefore", "it must be epoch milliseconds")
        return Poke(id=key, not_before=instant)
    decoded = decode_message(value)
    if isinstance(decoded, InvalidMessage):
        raise InvalidFieldError("data", decoded.error)
    return Execute(id=decoded.id, version=decoded.version, target="")


def deliver(call: Call, value: Any) -> HttpResponse:
    """Do what a message hints at, and acknowledge it: stale, held, halted and unknown ones too.

    The answer's status is the protocol's (section 9.1): completed, or suspended for everything else.

    Raises:
        StoreError: nothing was done; the sender should try again (503).
    """
    ended = call.node.deliver(decode_queued(value), deadline_mono_ms=call.deadline_mono_ms)
    return json_response(200, {"status": "completed" if ended is Ended.DONE else "suspended"})
