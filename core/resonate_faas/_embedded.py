"""The session of one activation over our own server: fenced writes, known revisions, one round trip a round."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from resonate_faas._errors import RequestRefusedError
from resonate_faas._held import Held
from resonate_faas._machine import Turn, handler_of, internal
from resonate_faas._machine.objects import Object, Poke, Promise, PromiseObject, PromiseState, TaskState
from resonate_faas._machine.requests import (
    REDIRECT,
    Claim,
    Commit,
    Effect,
    Park,
    PromiseSettle,
    Record,
    Reply,
    Yield,
)
from resonate_faas._ports import ABSENT, TRANSACTION_MAX, Lease, Result, Versioned
from resonate_faas._server import Server, read_only

log = logging.getLogger("resonate_faas.session")

COMMIT_ITEMS_MAX: Final = TRANSACTION_MAX - 1
"""Effects of one transaction, next to the task."""
COMMIT_BYTES_MAX: Final = 3_500_000
"""Payload bytes of one transaction (DynamoDB and Firestore: 4 MB)."""


class EmbeddedSession:
    """See :class:`resonate_faas.Session`.

    Args:
        server: ours.
        task_id: the task.
        pid: unique to this activation: a lost answer to the claim is recognised by it.
        ttl_ms: the lease.
    """

    def __init__(self, server: Server, task_id: str, *, pid: str, ttl_ms: int) -> None:
        self._server = server
        self._clock = server.clock
        self._id = task_id
        self._pid = pid
        self._ttl_ms = ttl_ms
        self._lock = threading.RLock()
        self._known: dict[str, Versioned] = {}
        self._task = ABSENT
        self._held = Held(task_id, ttl_ms, server.clock)

    def acquire(self, version: int | None = None) -> Lease | None:
        """Take the lease and read the history.

        A message is sent of a pending task. So while the task is still pending at the message's version, nobody has
        held it since, and a history read at any time after the message came is whole.
        """
        found, pages = self._opened(version)
        if (
            not isinstance(found.object, PromiseObject)
            or found.object.promise.state is not PromiseState.PENDING
        ):
            return None
        if self._is_busy(found.object):
            self._wait_for_holder(found.object)
            return None
        task = found.object.task
        is_idle = task is None or task.state is not TaskState.ACQUIRED
        is_whole = is_idle and (version is None or (task is not None and task.version == version))
        read = list(pages) if is_whole else []
        started = self._clock.monotonic_ms()
        request = Claim(id=self._id, pid=self._pid, ttl=self._ttl_ms)
        claimed: list[Object | None] = []

        def claim(turn: Turn) -> Reply:
            claimed.append(turn.given(self._id))
            internal.promise_timeout(turn, self._id)
            internal.lease_timeout(turn, self._id)
            return handler_of(request)(turn)

        result = self._server.run((self._id,), claim, known={self._id: found})
        root = result.reply.promise
        if not result.reply.ok or root is None or root.task is None:
            self._report_halt(result)
            self._wait_for_holder(root)
            return None
        self._task = result.objects[self._id]
        self._held.begin(root.task.version, started)
        if not is_whole or claimed[-1] is not found.object:
            read = list(self._server.store.history(self._id))  # others recorded since the first read
        history = dict(self._learn(read, root.birth))
        before = claimed[-1]
        resumes = before.task.resumes if isinstance(before, PromiseObject) and before.task is not None else ()
        self._materialise(history, root.at, resumes)
        return Lease(root=root, history=history, woken_by=resumes)

    def _opened(self, version: int | None) -> tuple[Versioned, Iterator[list[Versioned]]]:
        """Return the task and its history, read at once if a version can prove the history to be whole."""
        store = self._server.store
        if version is not None:
            return store.open(self._id)
        found = store.transact((self._id,), read_only).objects[self._id]
        return found, store.history(self._id)

    def _materialise(self, history: dict[str, Promise], now_ms: int, resumes: Sequence[str]) -> None:
        """Store what deadlines have decided before it is replayed: a timer whose poke was lost must win its race.

        A promise that resumed the task is settled, though the history may have been read a moment before it was.
        """
        ended = [
            promise_id
            for promise_id, promise in history.items()
            if promise.state is PromiseState.PENDING
            and (promise.timeout_at <= now_ms or promise_id in resumes)
        ]
        for promise_id, promise in (self.observe(ended) if ended else {}).items():
            history[promise_id] = promise
            self._known.pop(promise_id, None)

    def _learn(self, pages: Sequence[Sequence[Versioned]], birth: str) -> Iterator[tuple[str, Promise]]:
        """Yield the records of this execution; what an earlier one of the same id left is not seen."""
        for page in pages:
            for versioned in page:
                record = versioned.object
                if not isinstance(record, PromiseObject):
                    continue
                if record.birth and birth and record.birth != birth:
                    self._known[record.id] = versioned
                    continue
                if record.promise.state is PromiseState.PENDING:
                    self._known[record.id] = versioned
                yield record.id, record.promise

    def _is_busy(self, found: PromiseObject) -> bool:
        """True while another holds a live lease: neither its history nor a claim is worth a round trip."""
        task = found.task
        now = max(self._clock.now_ms(), found.at)
        return (
            task is not None
            and task.state is TaskState.ACQUIRED
            and task.expires_at is not None
            and now < min(task.expires_at, found.promise.timeout_at)
        )

    def _wait_for_holder(self, root: PromiseObject | None) -> None:
        """Another activation holds the task: one poke for the end of its lease, and the delivery is done."""
        task = root.task if root is not None else None
        if task is not None and task.state is TaskState.ACQUIRED and task.expires_at is not None:
            self._server.send(Poke(id=self._id, not_before=task.expires_at))

    def commit(
        self, effects: Sequence[Effect], *, finish: PromiseSettle | None = None
    ) -> Mapping[str, Promise]:
        """Apply effects in order under the fence."""
        records: dict[str, Promise] = {}
        chunks = _packed(effects)
        for number, chunk in enumerate(chunks, start=1):
            records.update(self._commit(chunk, finish if number == len(chunks) else None))
        return records

    def _commit(
        self, effects: tuple[Effect, ...], finish: PromiseSettle | None, *, extend: bool = False
    ) -> Mapping[str, Promise]:
        with self._lock:
            self._held.check()
            started = self._clock.monotonic_ms()
            extend = finish is None and (extend or self._held.a_commit_extends())
            request = Commit(
                id=self._id, version=self._held.version, effects=effects, extend=extend, finish=finish
            )
            known = {
                effect.id: self._known.get(effect.id, ABSENT) for effect in effects if _is_predictable(effect)
            }
            known |= {effect.id: self._known[effect.id] for effect in effects if effect.id in self._known}
            result = self._server.ask(request, known={self._id: self._task, **known})
            self._require(result)
            if extend:
                self._held.extend(started)
            if finish is not None:
                self._held.end()
            self._remember(result)
            records = result.reply.records or {}
            return {promise_id: record.promise for promise_id, record in records.items()}

    def _remember(self, result: Result) -> None:
        self._task = result.objects.get(self._id, self._task)
        for key, versioned in result.objects.items():
            record = versioned.object
            if key == self._id:
                continue
            if isinstance(record, PromiseObject) and record.promise.state is PromiseState.PENDING:
                self._known[key] = versioned
            else:
                self._known.pop(key, None)

    def observe(self, ids: Sequence[str]) -> Mapping[str, Promise]:
        """Read promises, what their deadlines decided stored first."""
        return {promise_id: record.promise for promise_id, record in self._server.observe(ids).items()}

    def suspend(self, ids: Sequence[str], *, replay_ms: int = 0) -> Mapping[str, Promise]:
        """Give the lease up until one of the promises settles."""
        with self._lock:
            self._held.check()
            request = Park(id=self._id, version=self._held.version, awaited=tuple(ids), replay_ms=replay_ms)
            known = {key: self._known[key] for key in ids if key in self._known}
            result = self._server.ask(request, known={self._id: self._task, **known})
            if result.reply.status == REDIRECT:
                self._remember(result)
                return {key: record.promise for key, record in (result.reply.records or {}).items()}
            self._require(result)
            self._held.end()
            return {}

    def release(
        self,
        *,
        reason: str | None = None,
        back_off: bool = False,
        is_interrupted: bool = False,
        replay_ms: int = 0,
    ) -> None:
        """Give the lease back; one that is lost already stays lost."""
        with self._lock:
            if not self._held:
                return
            self._held.end()
            request = Yield(
                id=self._id,
                version=self._held.version,
                reason=reason,
                back_off=back_off,
                is_interrupted=is_interrupted,
                replay_ms=replay_ms,
            )
            self._report_halt(self._server.ask(request, known={self._id: self._task}))

    def heartbeat(self) -> None:
        """Extend the lease, unless a recent commit did.

        Half of the lease may pass, while commits extend from a third on: frequent commits need no heartbeat.
        """
        with self._lock:
            if self._held.a_heartbeat_extends():
                self._commit((), None, extend=True)

    def left_ms(self) -> int:
        """Return how long the lease is ours by our monotonic clock alone; no lock: a store call may hang."""
        return self._held.left_ms()

    def _report_halt(self, result: Result) -> None:
        """Say so where a task that recorded nothing new is given up: only an operator revives it."""
        written = result.outcome.writes.get(self._id)
        if not isinstance(written, PromiseObject) or written.task is None:
            return
        if written.task.state is TaskState.HALTED:
            log.error("task halted", extra={"promise_id": self._id, "reason": written.reason})

    def _require(self, result: Result) -> None:
        """Raise what a refusal means: a lost lease, or a request that would be refused every time.

        Raises:
            TaskNotAcquiredError: the task is not ours, or gone.
            RequestRefusedError: too many waiters, say; the lease is kept.
        """
        reply = result.reply
        if reply.ok:
            return
        if reply.status in {404, 409}:
            raise self._held.lost(reply.error or "refused")
        raise RequestRefusedError(reply.status, reply.error or "refused")


def _is_predictable(effect: Effect) -> bool:
    """True if the effect creates: what is not on record is believed to be absent, and saves the read."""
    return isinstance(effect, Record)


def _packed(effects: Sequence[Effect]) -> list[tuple[Effect, ...]]:
    """Return the effects in chunks that fit a transaction, of even length; of several, those with settles go first.

    Even, since what a chunk creates is dispatched in messages of its own: 50 and 50 go in ten requests of ten messages
    each, where 99 and 1 would take eleven.
    """
    chunks: list[list[Effect]] = [[]]
    size = 0
    count = max(1, -(-len(effects) // COMMIT_ITEMS_MAX))
    length = -(-len(effects) // count)
    ordered: Sequence[Effect] = effects
    if len(effects) > COMMIT_ITEMS_MAX or sum(map(_size, effects)) > COMMIT_BYTES_MAX:
        ordered = sorted(effects, key=_is_pending_create)
    for effect in ordered:
        if chunks[-1] and (len(chunks[-1]) >= length or size + _size(effect) > COMMIT_BYTES_MAX):
            chunks.append([])
            size = 0
        chunks[-1].append(effect)
        size += _size(effect)
    return [tuple(chunk) for chunk in chunks]


def _is_pending_create(effect: Effect) -> bool:
    """True if a create can wait; a detached root can't: the record of its place must never come before it."""
    return isinstance(effect, Record) and effect.state is PromiseState.PENDING and not effect.birth


def _size(effect: Effect) -> int:
    param = len(effect.param.data or "") if isinstance(effect, Record) else 0
    return param + len(effect.value.data or "") + 1_000
