"""A body in, a typed request out: the front door, its checks in the protocol's order (section 1.6).

Decoding has two halves because authentication stands between them: :func:`open_envelope` makes steps 1 to 5,
:func:`read_request` steps 7 and 8. A refusal is a value, never an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeVar

from pydantic import Field, ValidationError

from resonate_faas._addresses import AddressPolicy
from resonate_faas._machine.objects import PromiseState
from resonate_faas._machine.requests import PromiseCreate, PromiseSettle, TaskFence
from resonate_faas._protocol import promises, schedules, tasks
from resonate_faas._protocol.fields import CLOCK_MAX, Wire, describe, id_rule, text_at_most
from resonate_faas._protocol.promises import RequestData, Scope
from resonate_faas._pushed import load_json
from resonate_faas._requests import WireRequest

PROTOCOL_VERSION: Final = "2026-04-01"
UNKNOWN_KIND: Final = "unknown"
UNKNOWN_CORR_ID: Final = "0"

ECHO_BYTES_MAX: Final = 1_024
"""Bytes of a kind, corrId or version: they come back in answers."""

AUTH_BYTES_MAX: Final = 16_384

_DEBUG_PREFIX: Final = "debug."

KINDS: Final[Mapping[str, type[RequestData]]] = {
    "promise.get": promises.PromiseGetData,
    "promise.create": promises.PromiseCreateData,
    "promise.settle": promises.PromiseSettleData,
    "promise.register_callback": promises.RegisterCallbackData,
    "promise.register_listener": promises.RegisterListenerData,
    "promise.search": promises.PromiseSearchData,
    "task.get": tasks.TaskGetData,
    "task.create": tasks.TaskCreateData,
    "task.acquire": tasks.TaskAcquireData,
    "task.fence": tasks.TaskFenceData,
    "task.heartbeat": tasks.TaskHeartbeatData,
    "task.suspend": tasks.TaskSuspendData,
    "task.fulfill": tasks.TaskFulfillData,
    "task.release": tasks.TaskReleaseData,
    "task.halt": tasks.TaskHaltData,
    "task.continue": tasks.TaskContinueData,
    "task.search": tasks.TaskSearchData,
    "schedule.get": schedules.ScheduleGetData,
    "schedule.create": schedules.ScheduleCreateData,
    "schedule.delete": schedules.ScheduleDeleteData,
    "schedule.search": schedules.ScheduleSearchData,
    "debug.start": schedules.DebugStartData,
    "debug.stop": schedules.DebugStopData,
    "debug.reset": schedules.DebugResetData,
    "debug.tick": schedules.DebugTickData,
    "debug.snap": schedules.DebugSnapData,
}
"""Every operation of the protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireSettings:
    """What the wire must be told.

    Attributes:
        debug: honour ``resonate:debug_time`` and ``debug.*``; both are refused or dropped otherwise (D22, C12).
        permits: whether a target or listener address may be stored; nothing by default.
    """

    debug: bool = False
    permits: Callable[[str], bool] = field(default=AddressPolicy().permits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A request that ends here, with what its answer echoes."""

    kind: str
    corr_id: str
    status: int
    error: str


UNPARSED_REFUSAL: Final = Refused(
    kind=UNKNOWN_KIND, corr_id=UNKNOWN_CORR_ID, status=500, error="Internal error"
)
"""The answer to give when not even a head is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What every request carries.

    Attributes:
        kind: the operation's name; in an :class:`Envelope` not yet known to exist.
        corr_id: echoed in the answer.
        auth: the token of the head; the caller may prefer the HTTP header's (D23).
        debug_time: overrides now, epoch milliseconds; None unless debug mode is on.
        origin: a routing hint, believed by nobody.
    """

    kind: str
    corr_id: str
    auth: str | None = None
    debug_time: int | None = None
    origin: str | None = None

    def refuse(self, status: int, error: str) -> Refused:
        """Return the refusal of this request."""
        return Refused(kind=self.kind, corr_id=self.corr_id, status=status, error=error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope(Head):
    """A request whose data nobody has looked at."""

    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionEcho:
    """What the answer to a fence's action echoes.

    Attributes:
        kind: the action's.
        corr_id: the action's own, else the outer one.
        error: why the action's data is invalid; None: it is valid.
    """

    kind: str
    corr_id: str
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded(Head):
    """A request that may be asked of the server. ``action`` is set for a fence only."""

    request: WireRequest
    action: ActionEcho | None = None


class WireHead(Wire):
    """The head as it travels; the two ``resonate:`` fields are looked at later, and never by foreign rules."""

    corr_id: Annotated[str, text_at_most(ECHO_BYTES_MAX, "head.corrId")]
    version: Annotated[str, text_at_most(ECHO_BYTES_MAX, "head.version")]
    auth: Annotated[str, text_at_most(AUTH_BYTES_MAX, "head.auth")] | None = None
    debug_time: Any = Field(default=None, alias="resonate:debug_time")
    origin: Any = Field(default=None, alias="resonate:origin")


def decode_request(raw: object, *, settings: WireSettings) -> Decoded | Refused:
    """Decode without authentication in between; see :func:`open_envelope` and :func:`read_request`."""
    envelope = open_envelope(raw, settings=settings)
    return envelope if isinstance(envelope, Refused) else read_request(envelope, settings=settings)


def open_envelope(raw: object, *, settings: WireSettings) -> Envelope | Refused:
    """Return the envelope with its data untouched, or the 400 of steps 1 to 5 of section 1.6.

    Args:
        raw: the body (bytes or text), or the JSON value it holds; the caller bounds the body's size.
        settings: whether debug mode is on.
    """
    try:
        value = load_json(raw) if isinstance(raw, bytes | bytearray | str) else raw
    except ValueError as error:
        return _refuse_envelope(None, f"Invalid request envelope: {error}")
    if not isinstance(value, dict):
        return _refuse_envelope(None, "Invalid request envelope: it must be an object")
    if "head" not in value:
        return _refuse_envelope(value, "Invalid request envelope: missing field `head`")
    if not isinstance(value["head"], dict):
        return _refuse_envelope(value, "Invalid request envelope: head must be an object")
    try:
        head = WireHead.model_validate(value["head"])
    except ValidationError as error:
        reason = describe(error, "head.").removeprefix("Invalid request: ")
        return _refuse_envelope(value, f"Invalid request envelope: {reason}")
    kind, data = value.get("kind"), value.get("data")
    if not kind or not _is_echo(kind):
        return _refuse_envelope(value, "Missing or invalid 'kind' field — must be a non-empty string")
    if not isinstance(data, dict):
        return _refuse_envelope(value, "Invalid 'data' field — must be an object")
    if head.version != PROTOCOL_VERSION:
        return _refuse_envelope(
            value,
            f"Unsupported protocol version '{head.version}', supported versions: [\"{PROTOCOL_VERSION}\"]",
        )
    debug_time = head.debug_time if settings.debug else None
    if debug_time is not None and not _is_instant(debug_time):
        return _refuse_envelope(
            value, "Invalid request envelope: head.resonate:debug_time must be a non-negative integer"
        )
    return Envelope(
        kind=kind,
        corr_id=head.corr_id,
        auth=head.auth,
        debug_time=debug_time,
        origin=head.origin if _is_echo(head.origin) else None,
        data=data,
    )


def read_request(envelope: Envelope, *, settings: WireSettings) -> Decoded | Refused:
    """Return the typed request, or the refusal of steps 7 and 8 of section 1.6.

    ``debug.*`` is 403 unless debug mode is on. A fence whose action is well formed but breaks a rule is decoded
    all the same: the task's guards come first, then the action is answered 400 on its own (D10).
    """
    data_type = KINDS.get(envelope.kind)
    if data_type is None:
        return envelope.refuse(400, f"Unknown operation: {envelope.kind}")
    if envelope.kind.startswith(_DEBUG_PREFIX) and not settings.debug:
        return envelope.refuse(403, "Debug operations are disabled")
    scope = Scope(permits=settings.permits, debug_time=envelope.debug_time)
    data = _validated(data_type, envelope.data, scope)
    if isinstance(data, str):
        return envelope.refuse(400, data)
    request: WireRequest
    action: ActionEcho | None = None
    if isinstance(data, tasks.TaskFenceData):
        request, action = _fence(data, envelope.corr_id, scope)
    else:
        request = data.to_request()
    return Decoded(
        kind=envelope.kind,
        corr_id=envelope.corr_id,
        auth=envelope.auth,
        debug_time=envelope.debug_time,
        origin=envelope.origin,
        request=request,
        action=action,
    )


_Data = TypeVar("_Data", bound=RequestData)


def _validated(data_type: type[_Data], raw: dict[str, Any], scope: Scope) -> _Data | str:
    """Return the data, or every broken field rule; rules between fields only when all fields are right."""
    try:
        data = data_type.model_validate(raw)
    except ValidationError as error:
        return describe(error)
    return data.broken_rule(scope) or data


def _fence(data: tasks.TaskFenceData, corr_id: str, scope: Scope) -> tuple[TaskFence, ActionEcho]:
    kind, head = data.action.kind, data.action.head
    own = head.get("corrId") if isinstance(head, dict) else None
    inner_corr_id = str(own) if _is_echo(own) else corr_id
    action = _validated(tasks.FENCE_ACTIONS[kind], data.action.data, scope)
    inner: PromiseCreate | PromiseSettle
    error: str | None = None
    if isinstance(action, str):
        inner, error = _refused_action(data), action
    else:
        inner = action.to_request()
    fence = TaskFence(id=data.id, version=data.version, action=inner)
    return fence, ActionEcho(kind=kind, corr_id=inner_corr_id, error=error)


def _refused_action(data: tasks.TaskFenceData) -> PromiseSettle:
    """Return an action that the machine refuses with 400 by itself, after the task's guards: nothing settles to pending.

    It keeps the id that was meant, so that the guard on the task's own id still fires first.
    """
    meant = data.action.data.get("id")
    if not isinstance(meant, str) or id_rule(meant, "") is not None:
        meant = "invalid" if data.id != "invalid" else "none"
    return PromiseSettle(id=meant, state=PromiseState.PENDING)


def _is_instant(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= CLOCK_MAX


def _is_echo(value: object) -> bool:
    """True if the value is a text that an answer may carry back."""
    if not isinstance(value, str):
        return False
    try:
        return len(value.encode()) <= ECHO_BYTES_MAX
    except UnicodeEncodeError:
        return False


def _refuse_envelope(value: dict[Any, Any] | None, error: str) -> Refused:
    """Return a 400 that echoes whatever can still be dug out of the raw value."""
    kind = corr_id = None
    if value is not None:
        kind, head = value.get("kind"), value.get("head")
        corr_id = head.get("corrId") if isinstance(head, dict) else None
    return Refused(
        kind=str(kind) if kind and _is_echo(kind) else UNKNOWN_KIND,
        corr_id=str(corr_id) if _is_echo(corr_id) else UNKNOWN_CORR_ID,
        status=400,
        error=error,
    )
