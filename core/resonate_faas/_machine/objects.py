"""The records the machine keeps: promises, their tasks, schedules, and the messages it emits.

All instants are Unix epoch milliseconds, all durations milliseconds. Source: protocol sections 1.3 and 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class _NoStrings(Mapping[str, str]):
    """The empty mapping, hashable: Python 3.11 refuses an unhashable value as a dataclass default."""

    __slots__ = ()

    def __getitem__(self, key: str) -> str:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"


NO_STRINGS: Final[Mapping[str, str]] = _NoStrings()

TARGET: Final = "resonate:target"
TIMER: Final = "resonate:timer"
EXTERNAL: Final = "resonate:external"
DELAY: Final = "resonate:delay"
SCOPE: Final = "resonate:scope"
ORIGIN: Final = "resonate:origin"
BRANCH: Final = "resonate:branch"
PARENT: Final = "resonate:parent"
SCHEDULE: Final = "resonate:schedule"


class PromiseState(StrEnum):
    """Every state but ``pending`` is final."""

    PENDING = "pending"
    RESOLVED = "resolved"
    REJECTED = "rejected"
    CANCELED = "rejected_canceled"
    TIMEDOUT = "rejected_timedout"


class TaskState(StrEnum):
    """The states of a task; the allowed moves are drawn in protocol section 3.2."""

    PENDING = "pending"
    ACQUIRED = "acquired"
    SUSPENDED = "suspended"
    HALTED = "halted"
    FULFILLED = "fulfilled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A payload, opaque to the machine: headers and data, by convention base64 of UTF-8 JSON."""

    headers: Mapping[str, str] = NO_STRINGS
    data: str | None = None


EMPTY: Final = Value()


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A durable promise. ``callbacks`` (awaiter ids) and ``listeners`` (addresses) never reach the wire."""

    id: str
    state: PromiseState
    param: Value
    value: Value
    tags: Mapping[str, str]
    timeout_at: int
    created_at: int
    settled_at: int | None = None
    callbacks: tuple[str, ...] = ()
    listeners: tuple[str, ...] = ()

    @property
    def is_timer(self) -> bool:
        """True if the deadline resolves the promise instead of rejecting it."""
        return self.tags.get(TIMER) == "true"

    @property
    def target(self) -> str | None:
        """The address its task is delivered to; None: the promise has no task."""
        return self.tags.get(TARGET)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The right to run a targeted promise, leased to one holder per version.

    ``resumes`` holds the distinct awaited ids that settled since the last acquire or suspend. Which of
    ``pid``, ``ttl``, ``expires_at`` and ``retry_at`` is set follows from ``state`` (protocol section 2.3).
    """

    state: TaskState
    version: int
    resumes: tuple[str, ...] = ()
    ttl: int | None = None
    pid: str | None = None
    expires_at: int | None = None
    retry_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseObject:
    """What is stored under one id: the promise and, when it is targeted, its task.

    The fields below ``task`` never reach the wire (design section 3).

    Attributes:
        at: the ``now`` of the last write; a later step never sees an earlier now.
        birth: the root's createdAt and nonce, told to every descendant.
        barren: acquisitions since the last new record.
        dispatches: executes emitted since the task last became pending; paces re-dispatch.
        not_before: dispatch and our own acquire wait for this instant.
        reason: why the task is halted or backing off.
        replay_ms: how long the last activation took to replay, from its acquire to what was new; 0: not known.
        kept_until: from this instant on a store may delete the object by itself (its time to live); None: never.
            Set by retention alone, on trees that are about to be deleted.
    """

    promise: Promise
    task: Task | None = None
    at: int
    birth: str = ""
    barren: int = 0
    dispatches: int = 0
    not_before: int = 0
    reason: str | None = None
    replay_ms: int = 0
    kept_until: int | None = None

    @property
    def id(self) -> str:
        """The promise's id, which is its task's too."""
        return self.promise.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A cron schedule that creates promises. ``zone`` is an IANA name (ours, not the protocol's)."""

    id: str
    cron: str
    promise_id: str
    promise_timeout: int
    promise_param: Value
    promise_tags: Mapping[str, str]
    created_at: int
    next_run_at: int
    last_run_at: int | None = None
    zone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleObject:
    """What is stored under a schedule's key."""

    schedule: Schedule
    at: int

    @property
    def id(self) -> str:
        """The store key, which is not the schedule's bare id: see :func:`schedule_key`."""
        return schedule_key(self.schedule.id)


Object = PromiseObject | ScheduleObject

_SCHEDULE_KEY: Final = "\x1fschedule:"


def schedule_key(schedule_id: str) -> str:
    """Return the store key of a schedule. Promise ids hold no control characters, so the two never meet."""
    return _SCHEDULE_KEY + schedule_id


def is_schedule_key(key: str) -> bool:
    """True if the store key names a schedule."""
    return key.startswith(_SCHEDULE_KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Execute:
    """Tell a worker at ``target`` that the task may be acquired at ``version``."""

    id: str
    version: int
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unblock:
    """Tell a listener that the promise is settled."""

    address: str
    promise: Promise


@dataclass(frozen=True, slots=True, kw_only=True)
class Poke:
    """Run the internal steps enabled on ``id``, not before the instant. Early, late, twice, never: harmless."""

    id: str
    not_before: int


Message = Execute | Unblock | Poke


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The open points of the protocol, decided (design section 10), and the machine's bounds.

    Attributes:
        strict: answer exactly as the specification where official SDKs deviate from it (D1 to D3).
        cadence_ms: first interval of re-dispatching an unclaimed task (D13).
        cadence_max_ms: the interval doubles up to this.
        waiters_max: callbacks plus listeners of one promise.
        waiters_bytes_max: bytes of their ids and addresses: every store keeps them in the promise's own item.
        drain_chunk: awaiters resumed by one drain commit.
        barren_patience: acquisitions without a new record from which a task backs off.
        barren_max: acquisitions without a new record at which a task is halted.
        retention_ms: how long a settled tree is kept; None: for ever.
    """

    strict: bool = False
    cadence_ms: int = 5_000
    cadence_max_ms: int = 15 * 60_000
    waiters_max: int = 1_000
    waiters_bytes_max: int = 300_000
    drain_chunk: int = 24
    barren_patience: int = 3
    barren_max: int = 10
    retention_ms: int | None = None


DEFAULT_RULES: Final = Rules()


def is_live(promise: Promise, now_ms: int) -> bool:
    """True if the projected state is pending: the deadline instant itself is dead (protocol section 4.1)."""
    return promise.state is PromiseState.PENDING and promise.timeout_at > now_ms


def is_external(promise: Promise, rules: Rules) -> bool:
    """True if others may wait for the promise and its deadline is armed (protocol section 4.3, D2, D3)."""
    tags = promise.tags
    if tags.get(EXTERNAL) == "true" or TARGET in tags or tags.get(TIMER) == "true":
        return True
    return not rules.strict and tags.get(SCOPE) == "global"


def settled(
    stored: PromiseObject, state: PromiseState, value: Value, *, settled_at: int, now_ms: int
) -> PromiseObject:
    """Return the object with its promise settled and, in the same step, its task fulfilled (section 4.4)."""
    task = stored.task
    return replace(
        stored,
        promise=replace(stored.promise, state=state, value=value, settled_at=settled_at),
        task=None if task is None else Task(state=TaskState.FULFILLED, version=task.version),
        at=now_ms,
        not_before=0,
    )


def deadline_state(tags: Mapping[str, str]) -> PromiseState:
    """Return the state that the deadline gives to a promise with these tags."""
    return PromiseState.RESOLVED if tags.get(TIMER) == "true" else PromiseState.TIMEDOUT


def project(stored: PromiseObject, now_ms: int) -> PromiseObject:
    """Return the object as every handler must see it at ``now_ms``: the deadline always wins (section 4.1)."""
    promise = stored.promise
    if promise.state is not PromiseState.PENDING or promise.timeout_at > now_ms:
        return stored
    return settled(
        stored,
        deadline_state(promise.tags),
        EMPTY,
        settled_at=promise.timeout_at,
        now_ms=max(now_ms, stored.at),
    )


def due(stored: Object, rules: Rules) -> int | None:
    """Return the earliest instant at which an internal step is enabled on the object; None: never.

    The sparse due index holds this; it is the safety net of every timer (design section 3). A settled root
    is due when its retention ends, but only where retention is on.
    """
    if isinstance(stored, ScheduleObject):
        return stored.schedule.next_run_at
    promise, task = stored.promise, stored.task
    if promise.state is not PromiseState.PENDING:
        if promise.callbacks or promise.listeners:
            return promise.settled_at
        if rules.retention_ms is not None and promise.settled_at is not None and is_root(promise):
            return promise.settled_at + rules.retention_ms
        return None
    deadline = promise.timeout_at if is_external(promise, rules) else None
    if task is None:
        return deadline
    wake = None
    if task.state is TaskState.ACQUIRED:
        wake = task.expires_at
    elif task.state is TaskState.PENDING and task.retry_at is not None:
        wake = max(task.retry_at, stored.not_before)
    return min((instant for instant in (deadline, wake) if instant is not None), default=None)


def is_root(promise: Promise) -> bool:
    """True if the promise starts its own lineage: retention deletes whole trees, never a part of a live one."""
    return promise.tags.get(ORIGIN, promise.id) == promise.id and ":" not in promise.id


__all__ = [
    "BRANCH",
    "DEFAULT_RULES",
    "DELAY",
    "EMPTY",
    "EXTERNAL",
    "NO_STRINGS",
    "ORIGIN",
    "PARENT",
    "SCHEDULE",
    "SCOPE",
    "TARGET",
    "TIMER",
    "Execute",
    "Message",
    "Object",
    "Poke",
    "Promise",
    "PromiseObject",
    "PromiseState",
    "Rules",
    "Schedule",
    "ScheduleObject",
    "Task",
    "TaskState",
    "Unblock",
    "Value",
    "deadline_state",
    "due",
    "is_external",
    "is_live",
    "is_root",
    "is_schedule_key",
    "project",
    "schedule_key",
    "settled",
]
