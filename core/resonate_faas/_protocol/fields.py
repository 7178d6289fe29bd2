"""The field rules of protocol section 3.0, each once, as annotated types with the protocol's own texts.

Two kinds of refusal come out of validation: a *shape* (a field is missing or of the wrong JSON type) reads
``Invalid request: <field> must be ...``; a *rule* is one of the protocol's sentences. :func:`describe` joins them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    ValidationInfo,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError, core_schema

from resonate_faas._addresses import ADDRESS_BYTES_MAX
from resonate_faas._machine.ids import ID_BYTES_MAX, PAYLOAD_BYTES_MAX, id_error
from resonate_faas._machine.objects import (
    BRANCH,
    EMPTY,
    NO_STRINGS,
    ORIGIN,
    PARENT,
    PromiseState,
    TaskState,
    Value,
)
from resonate_faas._ports import SEARCH_LIMIT_MAX

INTEGER_MAX: Final = 2**63 - 1
"""The largest integer that every store holds."""

DURATION_MAX: Final = 2**62
"""Milliseconds; an instant plus a duration stays an integer that every store holds."""

CLOCK_MAX: Final = 253_402_300_799_999
"""The end of the year 9999, epoch milliseconds: where calendars end; bounds the debug time."""

TAGS_MAX: Final = 100
TAG_NAME_BYTES_MAX: Final = 256
TAG_TEXT_BYTES_MAX: Final = ADDRESS_BYTES_MAX
TAGS_BYTES_MAX: Final = 32_768
"""Tags live in the item that every lease check reads: they stay small (design section 4)."""

HEADERS_MAX: Final = 100
PID_BYTES_MAX: Final = 256
CRON_BYTES_MAX: Final = 256
ZONE_BYTES_MAX: Final = 64
ACTIONS_MAX: Final = 1_000
TASKS_MAX: Final = 1_000

_MESSAGES_MAX: Final = 10
_QUOTED_MAX: Final = 64

_SHAPES: Final = {
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be an array",
    "string_type": "must be a string",
    "string_unicode": "must be valid Unicode",
    "int_type": "must be an integer",
}


class Wire(BaseModel):
    """A piece of the wire: camelCase, strict (true is not 1), unknown fields ignored, built on first use."""

    model_config = ConfigDict(
        strict=True,
        extra="ignore",
        frozen=True,
        defer_build=True,
        alias_generator=to_camel,
        hide_input_in_errors=True,
    )


@dataclass(frozen=True, slots=True)
class Says:
    """Answer this sentence whatever is wrong with the value, its absence included (with ``REQUIRED``)."""

    text: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.custom_error_schema(
            handler(source), custom_error_type="rule", custom_error_message=self.text
        )


REQUIRED: Final = Field(default=None, validate_default=True)
"""Absent is null, and null is refused by the type: so that one sentence covers absence too."""


def broken(text: str) -> PydanticCustomError:
    """Return the error of a broken rule; ``text`` goes to the client as it is."""
    return PydanticCustomError("rule", "{text}", {"text": text})


def byte_count(text: str, name: str) -> int:
    """Return the length in UTF-8 bytes; a lone surrogate is refused."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise broken(f"{name} must be valid Unicode") from None


def quoted(text: str) -> str:
    """Return a client's text for an error message: printable ASCII, at most 64 characters."""
    return ascii(text[:_QUOTED_MAX])[1:-1][:_QUOTED_MAX]


def id_rule(text: str, noun: str) -> str | None:
    """Return why the text is no id, as a sentence about ``noun``; None: it is one."""
    if "\0" in text:
        return f"{noun} must not contain null bytes"
    reason = id_error(text)
    return None if reason is None else f"{noun}: {reason}"


def _an_id(noun: str) -> AfterValidator:
    def check(text: str) -> str:
        reason = id_rule(text, noun)
        if reason is not None:
            raise broken(reason)
        return text

    return AfterValidator(check)


def at_most(count: int) -> BeforeValidator:
    """Bound a collection before its members are looked at: a long list of bad members must not cost much."""

    def check(raw: object, info: ValidationInfo) -> object:
        if isinstance(raw, list | dict) and len(raw) > count:
            raise broken(f"{to_camel(info.field_name or 'it')} must not hold more than {count} entries")
        return raw

    return BeforeValidator(check)


def text_at_most(bytes_max: int, noun: str) -> AfterValidator:
    def check(text: str) -> str:
        if byte_count(text, noun) > bytes_max:
            raise broken(f"{noun} must not exceed {bytes_max} bytes")
        return text

    return AfterValidator(check)


def _variant(states: type[StrEnum], *, without: frozenset[str] = frozenset()) -> BeforeValidator:
    known = [state.value for state in states if state.value not in without]
    expected = ", ".join(f"`{state}`" for state in known)

    def check(raw: object) -> object:
        if not isinstance(raw, str):
            raise PydanticCustomError("string_type", "must be a string")
        if raw in known:
            return states(raw)
        text = f"unknown variant `{quoted(raw)}`, expected one of {expected}"
        raise PydanticCustomError("variant", "{text}", {"text": text})

    return BeforeValidator(check)


def _tags(tags: dict[str, str] | None, info: ValidationInfo) -> dict[str, str] | None:
    """Bound the tags; which of them mean something is a cross-field rule."""
    name = to_camel(info.field_name or "tags")
    total = 0
    for tag, text in (tags or {}).items():
        tag_bytes, text_bytes = byte_count(tag, name), byte_count(text, name)
        if tag_bytes > TAG_NAME_BYTES_MAX:
            raise broken(f"{name}: a tag's name must not exceed {TAG_NAME_BYTES_MAX} bytes")
        bytes_max = ID_BYTES_MAX if tag in {ORIGIN, BRANCH, PARENT} else TAG_TEXT_BYTES_MAX
        if text_bytes > bytes_max:
            raise broken(f"{name}: {quoted(tag)} must not exceed {bytes_max} bytes")
        total += tag_bytes + text_bytes
    if total > TAGS_BYTES_MAX:
        raise broken(f"{name} must not exceed {TAGS_BYTES_MAX} bytes")
    return tags


class WireValue(Wire):
    """A payload on the wire (protocol section 2.1)."""

    headers: Annotated[dict[str, str] | None, at_most(HEADERS_MAX)] = None
    data: str | None = None


def _value(value: WireValue | None, info: ValidationInfo) -> WireValue | None:
    """Bound headers and data together: they are stored as one payload."""
    name = to_camel(info.field_name or "value")
    if value is None:
        return None
    size = sum(byte_count(key, name) + byte_count(text, name) for key, text in (value.headers or {}).items())
    size += 0 if value.data is None else byte_count(value.data, name)
    if size > PAYLOAD_BYTES_MAX:
        raise broken(f"{name} must not exceed {PAYLOAD_BYTES_MAX} bytes")
    return value


def value_of(wire: WireValue | None) -> Value:
    """Return the machine's value; absent, null and {} are the same."""
    return EMPTY if wire is None else Value(headers=wire.headers or NO_STRINGS, data=wire.data)


def tags_of(wire: Mapping[str, str] | None) -> Mapping[str, str]:
    """Return the machine's tags; absent, null and {} are the same."""
    return wire or NO_STRINGS


def _limit(limit: int) -> int:
    if limit > SEARCH_LIMIT_MAX:
        raise broken(f"Invalid 'limit' — must be between 1 and {SEARCH_LIMIT_MAX}")
    return limit


def _cursor(cursor: str) -> str:
    if id_error(cursor) is not None:
        raise broken("Invalid 'cursor' — must be the cursor of the page before")
    return cursor


_NATURAL: Final = Field(ge=0, le=INTEGER_MAX)
_FILLED: Final = Field(min_length=1)

PromiseId = Annotated[str, _FILLED, Says("Promise ID is required"), _an_id("Promise ID"), REQUIRED]
AwaitedId = Annotated[
    str, _FILLED, Says("Awaited promise ID is required"), _an_id("Awaited promise ID"), REQUIRED
]
AwaiterId = Annotated[
    str, _FILLED, Says("Awaiter promise ID is required"), _an_id("Awaiter promise ID"), REQUIRED
]
TaskId = Annotated[str, _FILLED, Says("Task ID is required"), _an_id("Task ID"), REQUIRED]
ScheduleId = Annotated[str, _FILLED, Says("Schedule ID is required"), _an_id("Schedule ID"), REQUIRED]
Template = Annotated[
    str, _FILLED, Says("Promise ID template is required"), text_at_most(ID_BYTES_MAX, "promiseId"), REQUIRED
]
Cron = Annotated[
    str, _FILLED, Says("Cron expression is required"), text_at_most(CRON_BYTES_MAX, "cron"), REQUIRED
]
Zone = Annotated[str, _FILLED, text_at_most(ZONE_BYTES_MAX, "zone")]
ListenerAddress = Annotated[
    str, _FILLED, Says("Address is required"), text_at_most(ADDRESS_BYTES_MAX, "Address"), REQUIRED
]
ProcessId = Annotated[
    str, _FILLED, Says("Process ID is required"), text_at_most(PID_BYTES_MAX, "Process ID"), REQUIRED
]

Deadline = Annotated[int, _NATURAL, Says("TimeoutAt must be a non-negative integer"), REQUIRED]
Version = Annotated[int, _NATURAL, Says("Version must be a non-negative integer"), REQUIRED]
Ttl = Annotated[int, Field(ge=1, le=DURATION_MAX), Says("TTL must be a positive integer"), REQUIRED]
PromiseTimeout = Annotated[
    int, Field(ge=0, le=DURATION_MAX), Says("Promise timeout must be a non-negative integer"), REQUIRED
]
TickTime = Annotated[int, Field(ge=0, le=CLOCK_MAX), Says("Missing or invalid 'time' field"), REQUIRED]
Limit = Annotated[int, Field(ge=1), Says("Limit must be a positive integer"), AfterValidator(_limit)]
Cursor = Annotated[str, AfterValidator(_cursor)]

Tags = Annotated[dict[str, str] | None, at_most(TAGS_MAX), AfterValidator(_tags)]
Payload = Annotated[WireValue | None, AfterValidator(_value)]
AnyPromiseState = Annotated[PromiseState, _variant(PromiseState)]
AnyTaskState = Annotated[TaskState, _variant(TaskState)]
FinalState = Annotated[
    PromiseState, _variant(PromiseState, without=frozenset({"pending", "rejected_timedout"}))
]


def describe(error: ValidationError, prefix: str = "") -> str:
    """Return what is wrong, the messages joined with ``; ``, without repetition, at most ten.

    A wrong shape hides the rules: the protocol deserialises first (section 1.6, step 8).
    """
    shapes: dict[str, None] = {}
    rules: dict[str, None] = {}
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        kind, message = one["type"], one["msg"]
        path = prefix + ".".join(quoted(str(part)) for part in one["loc"])
        if kind == "rule":
            rules[message] = None
        elif kind == "variant":
            shapes[message] = None
        elif kind == "missing":
            shapes[f"missing field `{path}`"] = None
        else:
            shapes[f"{path} {_SHAPES.get(kind) or message.replace('Input should be', 'must be')}"] = None
    messages = list(shapes or rules)
    more = len(messages) - _MESSAGES_MAX
    text = "; ".join(messages[:_MESSAGES_MAX]) + (f"; and {more} more" if more > 0 else "")
    return f"Invalid request: {text}" if shapes else text
