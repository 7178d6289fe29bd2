"""Stores around a store: one that counts round trips, one that loses answers and refuses writes on demand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Protocol

from resonate_faas._errors import OutcomeUnknownError, StoreUnavailableError
from resonate_faas._machine.objects import Object
from resonate_faas._optimistic import MovedError, OptimisticStore, Stored
from resonate_faas._ports import Kind, Store, Versioned


class PrimitiveStore(Store, Protocol):
    """A store that shows its two primitives, as every subclass of OptimisticStore does."""

    reads_at_once: bool

    def read(self, keys: Sequence[str]) -> Mapping[str, Stored]:
        """See :meth:`OptimisticStore.read`."""

    def write(
        self, expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
    ) -> Mapping[str, int]:
        """See :meth:`OptimisticStore.write`."""


class WrappedStore(OptimisticStore):
    """Its own transact loop over another store's primitives: what the wrappers below have in common.

    Args:
        inner: the store that keeps the objects.
        pause: waits between attempts; takes seconds.
    """

    def __init__(self, inner: PrimitiveStore, *, pause: Callable[[float], None] = time.sleep) -> None:
        super().__init__(pause=pause)
        self.inner = inner
        self.reads_at_once = inner.reads_at_once

    def read(self, keys: Sequence[str]) -> Mapping[str, Stored]:
        """Read from the inner store."""
        return self.inner.read(keys)

    def write(
        self, expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
    ) -> Mapping[str, int]:
        """Write to the inner store."""
        return self.inner.write(expected, writes, nonce)

    def history(self, task_id: str, after: str | None = None) -> Iterator[list[Versioned]]:
        """Yield the inner store's pages."""
        return self.inner.history(task_id, after)

    def due(self, before_ms: int, shard: int, limit: int) -> list[tuple[str, int]]:
        """Ask the inner store."""
        return self.inner.due(before_ms, shard, limit)

    def next_due(self) -> int | None:
        """Ask the inner store."""
        return self.inner.next_due()

    def search(
        self,
        kind: Kind,
        *,
        state: str | None = None,
        tags: Mapping[str, str] = MappingProxyType({}),
        limit: int = 100,
        after: str | None = None,
    ) -> list[Object]:
        """Ask the inner store."""
        return self.inner.search(kind, state=state, tags=tags, limit=limit, after=after)


@dataclass(slots=True)
class Counts:
    """Round trips to a store since the last reset.

    Attributes:
        reads: snapshot reads.
        writes: conditional writes, also those that were refused.
        items: objects written or deleted by writes that succeeded.
        pages: history pages.
        searches: searches.
        dues: reads of the due index.
        latencies: reads, writes and history pages that began while no other was under way: what is waited for.
    """

    reads: int = 0
    writes: int = 0
    items: int = 0
    pages: int = 0
    searches: int = 0
    dues: int = 0
    latencies: int = 0

    @property
    def round_trips(self) -> int:
        """Reads, writes and history pages: what design section 9 budgets."""
        return self.reads + self.writes + self.pages


@dataclass(slots=True)
class _Trip:
    is_alone: bool
    counts: bool = True
    """False: it turned out that nothing was asked for."""


class CountingStore(WrappedStore):
    """Counts what goes to the inner store. Thread-safe."""

    def __init__(self, inner: PrimitiveStore, *, pause: Callable[[float], None] = time.sleep) -> None:
        super().__init__(inner, pause=pause)
        self._lock = threading.Lock()
        self._counts = Counts()
        self._under_way = 0

    @property
    def counts(self) -> Counts:
        """The counts since the last reset; the object is live until :meth:`reset` replaces it."""
        return self._counts

    def reset(self) -> Counts:
        """Start from zero; return the counts so far."""
        with self._lock:
            counts, self._counts = self._counts, Counts()
        return counts

    def read(self, keys: Sequence[str]) -> Mapping[str, Stored]:
        """Count one read."""
        self._add(reads=1)
        with self._waited_for():
            return self.inner.read(keys)

    def write(
        self, expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
    ) -> Mapping[str, int]:
        """Count one write, and its items if it succeeds."""
        self._add(writes=1)
        with self._waited_for():
            revisions = self.inner.write(expected, writes, nonce)
        self._add(items=len(writes))
        return revisions

    def history(self, task_id: str, after: str | None = None) -> Iterator[list[Versioned]]:
        """Count each page as it is read; an empty history is one page too."""
        pages = self.inner.history(task_id, after)
        with self._waited_for():
            page = next(pages, None)
        self._add(pages=1)
        while page is not None:
            yield page
            with self._waited_for() as trip:
                page = next(pages, None)
                trip.counts = page is not None
            self._add(pages=int(trip.counts))

    def due(self, before_ms: int, shard: int, limit: int) -> list[tuple[str, int]]:
        """Count one read of the due index."""
        self._add(dues=1)
        return self.inner.due(before_ms, shard, limit)

    def search(
        self,
        kind: Kind,
        *,
        state: str | None = None,
        tags: Mapping[str, str] = MappingProxyType({}),
        limit: int = 100,
        after: str | None = None,
    ) -> list[Object]:
        """Count one search."""
        self._add(searches=1)
        return self.inner.search(kind, state=state, tags=tags, limit=limit, after=after)

    @contextmanager
    def _waited_for(self) -> Iterator[_Trip]:
        """Count a latency, unless another trip is under way."""
        with self._lock:
            self._under_way += 1
            trip = _Trip(is_alone=self._under_way == 1)
        try:
            yield trip
        finally:
            with self._lock:
                self._under_way -= 1
                self._counts.latencies += trip.is_alone and trip.counts

    def _add(
        self,
        *,
        reads: int = 0,
        writes: int = 0,
        items: int = 0,
        pages: int = 0,
        searches: int = 0,
        dues: int = 0,
    ) -> None:
        with self._lock:
            counts = self._counts
            counts.reads += reads
            counts.writes += writes
            counts.items += items
            counts.pages += pages
            counts.searches += searches
            counts.dues += dues


class Fault(Enum):
    """What goes wrong with one write."""

    ANSWER_LOST = "committed, but the answer is lost"
    REQUEST_LOST = "not committed, and the caller can't know"
    MOVED = "refused as if another writer had been faster"
    UNAVAILABLE = "refused, nothing written"


class FaultyStore(WrappedStore):
    """Lets chosen writes go wrong. Thread-safe.

    Args:
        inner: the store that keeps the objects.
        faults: what happens to the n-th write, counted from 1.
        pause: waits between attempts; takes seconds.
    """

    def __init__(
        self,
        inner: PrimitiveStore,
        faults: Mapping[int, Fault],
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(inner, pause=pause)
        self._lock = threading.Lock()
        self._faults = dict(faults)
        self.writes = 0
        """How many writes were tried so far."""

    def write(
        self, expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
    ) -> Mapping[str, int]:
        """Write to the inner store, unless this write's fault forbids it."""
        with self._lock:
            self.writes += 1
            number = self.writes
        keys = tuple(writes)
        match self._faults.get(number):
            case Fault.REQUEST_LOST:
                raise OutcomeUnknownError(keys, f"request {number} was lost")
            case Fault.MOVED:
                raise MovedError(keys)
            case Fault.UNAVAILABLE:
                raise StoreUnavailableError("write", f"write {number} was refused")
            case Fault.ANSWER_LOST:
                self.inner.write(expected, writes, nonce)
                raise OutcomeUnknownError(keys, f"answer {number} was lost")
            case None:
                return self.inner.write(expected, writes, nonce)
