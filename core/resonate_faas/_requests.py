"""Requests that the wire knows and the machine does not, and the answers to them.

They stand outside ``_protocol`` because the server room answers them and must not know the wire.
Source: protocol sections 3.1 to 3.4, design section 10 (D15, D20).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from resonate_faas._machine.objects import (
    DEFAULT_RULES,
    EMPTY,
    NO_STRINGS,
    Message,
    Object,
    PromiseState,
    Rules,
    TaskState,
    Value,
)
from resonate_faas._machine.requests import (
    PromiseCreate,
    PromiseGet,
    PromiseSettle,
    RegisterCallback,
    RegisterListener,
    ScheduleDelete,
    ScheduleGet,
    TaskAcquire,
    TaskContinue,
    TaskCreate,
    TaskFence,
    TaskFulfill,
    TaskGet,
    TaskHalt,
    TaskHeartbeat,
    TaskRelease,
    TaskSuspend,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseSearch:
    """Page through promises by stored state and tags; ``cursor`` is the last id of the page before, exclusive."""

    state: PromiseState | None = None
    tags: Mapping[str, str] = NO_STRINGS
    limit: int = 100
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSearch:
    """Page through tasks by stored state."""

    state: TaskState | None = None
    limit: int = 100
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSearch:
    """Page through schedules; ``tags`` are matched against the tags of the promises they create."""

    tags: Mapping[str, str] = NO_STRINGS
    limit: int = 10
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleCreateRequest:
    """Create a schedule if absent, before its cron expression and zone were looked at."""

    id: str
    cron: str
    promise_id: str
    promise_timeout: int
    promise_param: Value = EMPTY
    promise_tags: Mapping[str, str] = NO_STRINGS
    zone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugStart:
    """Hold the background back: nothing fires by itself until :class:`DebugStop`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugStop:
    """Let the background go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugReset:
    """Delete everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugTick:
    """Run every internal step that is due at this instant, epoch milliseconds; deliver no message."""

    time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugSnap:
    """Dump everything as it is stored."""


Search = PromiseSearch | TaskSearch | ScheduleSearch
Debug = DebugStart | DebugStop | DebugReset | DebugTick | DebugSnap

WireRequest = (
    PromiseGet
    | PromiseCreate
    | PromiseSettle
    | RegisterCallback
    | RegisterListener
    | TaskGet
    | TaskCreate
    | TaskAcquire
    | TaskFence
    | TaskHeartbeat
    | TaskSuspend
    | TaskFulfill
    | TaskRelease
    | TaskHalt
    | TaskContinue
    | ScheduleGet
    | ScheduleCreateRequest
    | ScheduleDelete
    | Search
    | Debug
)
"""Everything a decoded envelope can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The answer to a search: objects of the kind asked for, projected; ``cursor`` None: there is no more."""

    objects: tuple[Object, ...]
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The answer to debug.snap: everything as stored, not projected, and the messages not yet delivered.

    ``rules`` decide which deadlines are armed (protocol section 4.3).
    """

    objects: tuple[Object, ...]
    messages: tuple[Message, ...] = ()
    rules: Rules = DEFAULT_RULES


__all__ = [
    "Debug",
    "DebugReset",
    "DebugSnap",
    "DebugStart",
    "DebugStop",
    "DebugTick",
    "Page",
    "PromiseSearch",
    "ScheduleCreateRequest",
    "ScheduleSearch",
    "Search",
    "Snapshot",
    "TaskSearch",
    "WireRequest",
]
