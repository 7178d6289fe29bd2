"""Requests and replies of the machine, as plain values. The wire forms stand in ``_protocol``.

Source: protocol section 3. ``Commit``, ``Claim``, ``Park``, ``Yield`` and ``Observe`` are the embedded
session's own: the same guards as fence, acquire, suspend and release, but a whole round in one transaction
and with the hidden fields of design section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from resonate_faas._machine.objects import (
    EMPTY,
    NO_STRINGS,
    Message,
    Object,
    PromiseObject,
    PromiseState,
    Schedule,
    Value,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseGet:
    """Read a promise."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseCreate:
    """Create a promise if absent; with a target tag, its task too."""

    id: str
    timeout_at: int
    param: Value = EMPTY
    tags: Mapping[str, str] = NO_STRINGS


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseSettle:
    """Settle a pending promise; a settled one keeps its record and answers it."""

    id: str
    state: PromiseState
    value: Value = EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterCallback:
    """Resume the awaiter's task when the awaited promise settles."""

    awaited: str
    awaiter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterListener:
    """Tell an address when the awaited promise settles."""

    awaited: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskGet:
    """Read a task."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCreate:
    """Create a promise and hold its task at once."""

    pid: str
    ttl: int
    action: PromiseCreate


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskAcquire:
    """Take the lease of a pending task at exactly this version."""

    id: str
    version: int
    pid: str
    ttl: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFence:
    """Create or settle another promise, only while holding the task at this version."""

    id: str
    version: int
    action: PromiseCreate | PromiseSettle


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRef:
    """A task at a version, as a heartbeat names it."""

    id: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskHeartbeat:
    """Extend the leases that this process really holds; the rest is skipped silently."""

    pid: str
    tasks: tuple[TaskRef, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSuspend:
    """Give the lease up until one of the awaited promises settles."""

    id: str
    version: int
    awaited: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFulfill:
    """Settle the task's own promise and end the task."""

    id: str
    version: int
    action: PromiseSettle


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRelease:
    """Give the lease back; the task is dispatched again at once."""

    id: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskHalt:
    """Stop a task until an operator continues it; beats a holder's lease."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContinue:
    """Revive a halted task."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleGet:
    """Read a schedule."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleCreate:
    """Create a schedule if absent. ``next_run_at`` is computed by the caller: cron is not the machine's."""

    id: str
    cron: str
    promise_id: str
    promise_timeout: int
    next_run_at: int
    promise_param: Value = EMPTY
    promise_tags: Mapping[str, str] = NO_STRINGS
    zone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleDelete:
    """Delete a schedule; promises it fired stay."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Create a promise under a fence, settled at once if ``state`` is not pending.

    ``created_at`` is the instant of the call, at most now: the create may ride in a later commit.
    ``birth`` "" takes the task's own; a detached root brings a fresh one.
    """

    id: str
    timeout_at: int
    created_at: int
    param: Value = EMPTY
    tags: Mapping[str, str] = NO_STRINGS
    state: PromiseState = PromiseState.PENDING
    value: Value = EMPTY
    birth: str = ""


Effect = Record | PromiseSettle


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Acquire, by our own worker: any version, hidden fields respected, a lost answer recognised by pid."""

    id: str
    pid: str
    ttl: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Apply effects in order under one fence.

    ``extend`` renews the lease in the same write; ``finish`` fulfils the task with them (its id is the task's).
    """

    id: str
    version: int
    effects: tuple[Effect, ...]
    extend: bool = False
    finish: PromiseSettle | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Park:
    """Suspend, by our own worker; ``register_only`` adds callbacks and keeps the lease (large sets, in chunks).

    ``registered`` names the promises of the earlier chunks: one that settled and was drained meanwhile redirects.
    ``replay_ms`` is what the activation took to replay.
    """

    id: str
    version: int
    awaited: tuple[str, ...]
    register_only: bool = False
    registered: tuple[str, ...] = ()
    replay_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Yield:
    """Release, by our own worker: with the reason why, and whether the next activation must back off.

    ``is_interrupted``: the process was told to end; it is not the task's fault that nothing new was recorded.
    ``replay_ms``: what the activation took to replay; 0: it did not come so far.
    """

    id: str
    version: int
    reason: str | None = None
    back_off: bool = False
    is_interrupted: bool = False
    replay_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Observe:
    """Read promises and store the settlements that their deadlines already made (materialise on read)."""

    ids: tuple[str, ...]


Request = (
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
    | ScheduleCreate
    | ScheduleDelete
    | Claim
    | Commit
    | Park
    | Yield
    | Observe
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The machine's answer to a request.

    Attributes:
        status: as on the wire (protocol section 1.4).
        error: what went wrong, for statuses from 400 on; never to be programmed against.
        promise: the promise asked for, settled or created, with its task if it has one.
        schedule: the schedule asked for or created.
        inner: the reply to a fence's action.
        records: the objects that a commit, park or observe touched, by id.
    """

    status: int
    error: str | None = None
    promise: PromiseObject | None = None
    schedule: Schedule | None = None
    inner: Reply | None = None
    records: Mapping[str, PromiseObject] | None = None

    @property
    def ok(self) -> bool:
        """True if the request was done; a redirect (300) is not."""
        return self.status == 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one step decided: the reply, the objects to write (None deletes), the messages to send after.

    A step that writes nothing changes nothing; ``writes`` holds only objects that differ from those read.
    """

    reply: Reply
    writes: Mapping[str, Object | None]
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """The step cannot decide without these objects; read them too and call it again."""

    ids: frozenset[str]


OK: Final = 200
REDIRECT: Final = 300

__all__ = [
    "OK",
    "REDIRECT",
    "Claim",
    "Commit",
    "Effect",
    "Need",
    "Observe",
    "Outcome",
    "Park",
    "PromiseCreate",
    "PromiseGet",
    "PromiseSettle",
    "Record",
    "RegisterCallback",
    "RegisterListener",
    "Reply",
    "Request",
    "ScheduleCreate",
    "ScheduleDelete",
    "ScheduleGet",
    "TaskAcquire",
    "TaskContinue",
    "TaskCreate",
    "TaskFence",
    "TaskFulfill",
    "TaskGet",
    "TaskHalt",
    "TaskHeartbeat",
    "TaskRef",
    "TaskRelease",
    "TaskSuspend",
    "Yield",
]
