"""The optimistic transaction all stores share: read, decide, write on unchanged revisions, resolve lost answers.

A store brings two primitives, a snapshot read and a conditional write; everything subtle stands here once.
Source: design section 4.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

from resonate_faas._errors import (
    ConflictError,
    LimitExceededError,
    OutcomeUnknownError,
    StoreUnavailableError,
)
from resonate_faas._machine.objects import Object
from resonate_faas._machine.requests import Need, Outcome
from resonate_faas._ports import NOTHING_KNOWN, TRANSACTION_MAX, Result, Step, Versioned

ATTEMPTS_MAX: Final = 40
NEEDS_MAX: Final = 3
PAUSE_MS: Final = 2.0
PAUSE_MAX_MS: Final = 250.0


class MovedError(Exception):
    """A primitive write met another revision than expected: nothing was written, unless an earlier try was."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the snapshot read gives: object, revision, and the nonce of the transaction that wrote it."""

    object: Object | None
    revision: int
    nonce: str = ""


class OptimisticStore(ABC):
    """The transact loop over two primitives.

    Args:
        pause: waits between attempts; takes seconds. Injected by tests.
    """

    reads_at_once: bool = False
    """Whether :meth:`open` reads from two threads: worth it where a round trip takes longer than starting one."""

    def __init__(self, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._pause = pause

    @abstractmethod
    def read(self, keys: Sequence[str]) -> Mapping[str, Stored]:
        """Return every key's object (absent ones as None with revision 0), all from one snapshot."""

    @abstractmethod
    def write(
        self, expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
    ) -> Mapping[str, int]:
        """Write all or nothing, only if every expected revision still stands; return the new revisions.

        Args:
            expected: the revision of every object the step was given, 0 for absent; covers all of ``writes``.
            writes: objects to store, None to delete.
            nonce: stored with every object written; tells a lost answer from a real conflict.

        Raises:
            MovedError: a revision differs.
            OutcomeUnknownError: the answer was lost.
        """

    @abstractmethod
    def history(self, task_id: str, after: str | None = None) -> Iterator[list[Versioned]]:
        """See :meth:`resonate_faas.Store.history`; a page is read when it is asked for."""

    def open(self, task_id: str) -> tuple[Versioned, Iterator[list[Versioned]]]:
        """See :meth:`resonate_faas.Store.open`; read one after the other, the history is the younger."""
        pages = self.history(task_id)
        if not self.reads_at_once:
            return self._task(task_id), pages
        first: list[list[Versioned]] = []
        failures: list[Exception] = []

        def read_ahead() -> None:
            try:
                first.extend(islice(pages, 1))
            except Exception as error:  # noqa: BLE001 - raised by the caller's thread
                failures.append(error)

        ahead = threading.Thread(target=read_ahead, name="resonate-history", daemon=True)
        ahead.start()
        task = self._task(task_id)
        ahead.join()
        if failures:
            raise failures[0]
        return task, chain(first, pages)

    def _task(self, task_id: str) -> Versioned:
        found = self.read((task_id,))[task_id]
        return Versioned(found.object, found.revision)

    def transact(
        self, ids: Sequence[str], step: Step, *, known: Mapping[str, Versioned] = NOTHING_KNOWN
    ) -> Result:
        """See :meth:`resonate_faas.Store.transact`."""
        attempt = _Attempt(self, tuple(dict.fromkeys(ids)), step, known)
        for count in range(ATTEMPTS_MAX):
            result = attempt.run()
            if result is not None:
                return result
            if count:
                ceiling = min(PAUSE_MS * 2**count, PAUSE_MAX_MS)
                self._pause(random.uniform(0, ceiling) / 1000)  # noqa: S311 - jitter, not a secret
        raise attempt.failure(ATTEMPTS_MAX)


class _Attempt:
    """One transact call: the keys it grew to, what it believes of them, and what it has tried to write."""

    def __init__(
        self, store: OptimisticStore, keys: tuple[str, ...], step: Step, known: Mapping[str, Versioned]
    ) -> None:
        self._store = store
        self._keys = keys
        self._step = step
        self._known = {key: known[key] for key in keys if key in known}
        self._tried: dict[str, tuple[Mapping[str, Versioned], Outcome]] = {}
        self._unknown: OutcomeUnknownError | None = None

    def failure(self, attempts: int) -> ConflictError | OutcomeUnknownError:
        return self._unknown or ConflictError(self._keys, attempts)

    def run(self) -> Result | None:
        """Try once on what is known, else on objects read; None: another writer was faster."""
        believed, self._known = self._known, {}
        if believed:
            result = self._decide_and_write(believed, trusted=False)
            if result is not None:
                return result
        return self._decide_and_write({}, trusted=True)

    def _decide_and_write(self, believed: Mapping[str, Versioned], *, trusted: bool) -> Result | None:
        objects = dict(believed)
        one_snapshot = not believed
        for _ in range(NEEDS_MAX + 2):
            if len(self._keys) > TRANSACTION_MAX:
                raise LimitExceededError(
                    "the number of objects in one transaction",
                    TRANSACTION_MAX,
                    "split the request into several",
                )
            missing = [key for key in self._keys if key not in objects]
            if missing:
                one_snapshot = one_snapshot and len(missing) == len(self._keys)
                objects.update(self._read(missing))
            outcome = self._step({key: objects[key].object for key in self._keys})
            if isinstance(outcome, Need):
                self._keys = (*self._keys, *sorted(outcome.ids - set(self._keys)))
                continue
            if not trusted and not (outcome.writes and outcome.reply.ok):
                return None
            if outcome.writes:
                return self._write(objects, outcome)
            if one_snapshot or len(self._keys) <= 1:
                return Result(outcome=outcome, objects=objects)
            objects, one_snapshot = {}, True
        raise RuntimeError("a step kept asking for objects; it must read them all within 3 calls")

    def _read(self, keys: Iterable[str]) -> dict[str, Versioned]:
        found = self._store.read(tuple(keys))
        return {key: Versioned(stored.object, stored.revision) for key, stored in found.items()}

    def _write(self, objects: Mapping[str, Versioned], outcome: Outcome) -> Result | None:
        expected = {key: found.revision for key, found in objects.items()}
        nonce = secrets.token_hex(8)
        self._tried[nonce] = (objects, outcome)
        try:
            revisions = self._store.write(expected, outcome.writes, nonce)
        except MovedError:
            return self._if_committed()
        except OutcomeUnknownError as error:
            self._unknown = error
            return self._if_committed()
        written = {key: Versioned(outcome.writes[key], revision) for key, revision in revisions.items()}
        return Result(outcome=outcome, objects={**objects, **written})

    def _if_committed(self) -> Result | None:
        """Resolve a lost answer by reading: an object with a nonce of ours proves that write (it was atomic).

        It need not be the last one: a write given up earlier may reach the store meanwhile, and what it decided
        then is what is stored, not what was decided since. A deletion leaves no nonce; one whose answer was lost
        counts as done when nothing is left.
        """
        objects, outcome = next(reversed(self._tried.values()))
        keys = dict.fromkeys(key for _, tried in self._tried.values() for key in tried.writes)
        try:
            found = self._store.read(tuple(keys))
        except (
            StoreUnavailableError
        ) as error:  # it says that nothing was written: of the read, not of the write
            raise OutcomeUnknownError(tuple(outcome.writes), str(error)) from error
        ours = [self._tried[stored.nonce] for stored in found.values() if stored.nonce in self._tried]
        gone = self._unknown is not None and all(
            found[key].object is None and written is None for key, written in outcome.writes.items()
        )
        if ours:
            objects, outcome = ours[0]
        elif not gone:
            return None
        current = {key: Versioned(found[key].object, found[key].revision) for key in outcome.writes}
        return Result(outcome=outcome, objects={**objects, **current})
