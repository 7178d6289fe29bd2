"""What a platform gives (Store, Queue, Clock) and what a worker needs (Session).

A port's meaning is its contract suite in :mod:`resonate_faas.testing`: a rule that no contract tests is not a
rule of the port. The ports are synchronous: one colour, no twins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, Protocol

from resonate_faas._errors import QueueError
from resonate_faas._machine.objects import Message, Object, Promise, PromiseObject
from resonate_faas._machine.requests import Effect, Need, Outcome, PromiseSettle, Reply

DUE_SHARDS: Final = 16
"""How many shards the due index has, so that no single one becomes hot (design section 3)."""

SEARCH_LIMIT_MAX: Final = 1_000

TRANSACTION_MAX: Final = 100
"""Objects of one transaction, also those only read: what a DynamoDB transaction holds."""

Step = Callable[[Mapping[str, Object | None]], Outcome | Need]
"""A pure decision over the objects read; it may be called again with other objects, and must not have effects."""

Kind = Literal["promise", "task", "schedule"]


@dataclass(frozen=True, slots=True)
class Versioned:
    """An object as it was read or written, and the revision the store gave it.

    ``object`` None with revision 0: known to be absent. Revisions only grow; only equality means anything.
    """

    object: Object | None
    revision: int


ABSENT: Final = Versioned(None, 0)
NOTHING_KNOWN: Final[Mapping[str, Versioned]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a transaction did.

    Attributes:
        outcome: the step's outcome that was stored.
        objects: every object the step was given, as it stands after the commit, with its revision.
    """

    outcome: Outcome
    objects: Mapping[str, Versioned]

    @property
    def reply(self) -> Reply:
        """The step's reply."""
        return self.outcome.reply


class Store(Protocol):
    """Where promises, tasks and schedules live: optimistic transactions, an owner-ordered history, a due index."""

    def transact(
        self, ids: Sequence[str], step: Step, *, known: Mapping[str, Versioned] = NOTHING_KNOWN
    ) -> Result:
        """Read, decide, write: all or nothing, and only if no object read (also those only read) moved meanwhile.

        Args:
            ids: the store keys the step reads; with those it asks for by Need at most 100 (TRANSACTION_MAX), and
                their payloads at most 3.5 MB.
            step: the pure decision. Called again with more objects when it answers Need (3 times at most), and with
                fresh ones after a conflict.
            known: objects the caller believes in, used instead of reading. An answer computed on them that writes
                nothing or is not a success is thrown away and computed on objects read.

        Returns:
            The outcome that was stored, and every object involved at its new revision.

        Raises:
            LimitExceededError: too many objects, or bytes; nothing was written.
            ConflictError: other writers kept moving the objects; nothing was written.
            OutcomeUnknownError: the write's answer was lost and reading did not tell; it may have happened.
            StoreUnavailableError: nothing was written.

        Source: design section 4.
        """

    def history(self, task_id: str, after: str | None = None) -> Iterator[list[Versioned]]:
        """Yield the records of an activation in pages, in call order, strongly consistent, the task itself left out.

        The records are all promises whose :func:`owner` is ``task_id``.

        Args:
            task_id: the partition.
            after: an id of the partition; only records behind it are given.
        """

    def open(self, task_id: str) -> tuple[Versioned, Iterator[list[Versioned]]]:
        """Return a task's object and the pages of its history; a store over a network reads both at once.

        The two are not of one instant, and the history may be the older. It is whole if nobody held the task since
        before the call; whoever knows that from a version saves a round trip.
        """

    def due(self, before_ms: int, shard: int, limit: int) -> list[tuple[str, int]]:
        """Return at most ``limit`` (store key, due instant) of a shard due at most at ``before_ms``, earliest first.

        May lag behind the objects: whoever acts on a key runs the machine's guards again.
        """

    def next_due(self) -> int | None:
        """Return the earliest due instant of all, None if nothing is due; a store that can't tell cheaply answers 0."""

    def search(
        self,
        kind: Kind,
        *,
        state: str | None = None,
        tags: Mapping[str, str] = MappingProxyType({}),
        limit: int = 100,
        after: str | None = None,
    ) -> list[Object]:
        """Return stored objects of a kind whose stored state and tags match, ids ascending, behind ``after``.

        With an origin or branch tag the answer comes from an index; without, the order holds within a page only on
        stores that shard by id (protocol section 12, D15).

        Args:
            kind: promises, tasks (promises that have one) or schedules.
            state: of the promise or the task, by kind; None: any. Schedules have none.
            tags: all must be equal.
            limit: 1 to 1,000.
            after: an id (of a schedule: its bare id), exclusive.
        """


class Queue(Protocol):
    """How messages travel. Delivery may be early, late, doubled or lost: the machine's guards make that harmless."""

    @property
    def delay_max_ms(self) -> int:
        """How far ahead a poke can be scheduled; farther wakes are left to the sweep."""

    def send(self, *messages: Message) -> list[QueueError]:
        """Hand messages over, in as few requests as the platform allows, each to be delivered at or after its instant.

        Returns:
            Why each message that was not taken was not; empty: all were. One that was not taken hinders no other;
            its object stays due, and the sweep repairs it.
        """


class Clock(Protocol):
    """The time, injected."""

    def now_ms(self) -> int:
        """Return the wall clock, epoch milliseconds."""

    def monotonic_ms(self) -> int:
        """Return a clock that never runs backwards, milliseconds from an arbitrary origin."""

    def wait(self, event: Event, timeout_ms: int) -> bool:
        """Wait until the event is set or the time has passed; return whether it is set."""


class Event(Protocol):
    """What a clock can wait for (``threading.Event`` is one)."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until set, at most ``timeout`` seconds; return whether it is set."""

    def is_set(self) -> bool:
        """Return whether it is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A task held by this activation.

    Attributes:
        root: the task and its promise, as acquired.
        history: the records of the activation by id, in call order, the root left out.
        woken_by: the promises whose settlement resumed the task; empty if nothing did, or it is not known.
        is_whole: the history is all that is recorded; else some of it may be missing.
    """

    root: PromiseObject
    history: Mapping[str, Promise]
    woken_by: tuple[str, ...] = ()
    is_whole: bool = True


class Session(Protocol):
    """One activation's fenced access to its task and records: embedded over a Store, or remote over HTTP."""

    def acquire(self, version: int | None = None) -> Lease | None:
        """Take the lease and read the history; None: there is nothing to do here (settled, suspended, held, halted).

        Args:
            version: of the message that led here, a hint: the task is acquired at the version that it has now.
        """

    def commit(
        self, effects: Sequence[Effect], *, finish: PromiseSettle | None = None
    ) -> Mapping[str, Promise]:
        """Apply effects in order under the fence, packed into as few transactions as the store's bounds allow.

        Args:
            effects: creates and settles; settles go before creates when more than one transaction is needed.
            finish: fulfils the task in the last transaction.

        Returns:
            The records of the effects as they are stored now, by id.

        Raises:
            TaskNotAcquiredError: the lease is not ours; nothing was recorded.
        """

    def observe(self, ids: Sequence[str]) -> Mapping[str, Promise]:
        """Read promises; what their deadlines decided is stored before it is told."""

    def suspend(self, ids: Sequence[str], *, replay_ms: int = 0) -> Mapping[str, Promise]:
        """Give the lease up until one of the promises settles.

        Args:
            ids: what is awaited.
            replay_ms: what this activation took to replay; shown to whoever asks why the task waits.

        Returns:
            Empty: suspended. Else the settled ones among them: the lease is kept, go on (the protocol's 300).

        Raises:
            TaskNotAcquiredError: the lease is not ours.
        """

    def release(
        self,
        *,
        reason: str | None = None,
        back_off: bool = False,
        is_interrupted: bool = False,
        replay_ms: int = 0,
    ) -> None:
        """Give the lease back, to be taken again at once, or after a back-off; never raises TaskNotAcquiredError.

        Args:
            reason: shown until the task records something new.
            back_off: let another version of the code have the first try.
            is_interrupted: the process was told to end: this activation does not count as one that recorded nothing.
            replay_ms: as in :meth:`suspend`; 0: it did not come so far.
        """

    def left_ms(self) -> int:
        """Return the milliseconds until the lease counts as lost, by the monotonic clock; no I/O, from any thread."""

    def heartbeat(self) -> None:
        """Extend the lease, unless a recent commit did. Called from another thread than the rest.

        Raises:
            TaskNotAcquiredError: the lease is not ours.
        """
