"""A store in memory, with the semantics of the durable ones: for tests and for the users' harness."""

from __future__ import annotations

import bisect
import heapq
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from resonate_faas._machine.ids import owner, sort_key
from resonate_faas._machine.objects import (
    DEFAULT_RULES,
    Object,
    PromiseObject,
    Rules,
    due,
    is_schedule_key,
    schedule_key,
)
from resonate_faas._optimistic import MovedError, OptimisticStore, Stored
from resonate_faas._ports import DUE_SHARDS, SEARCH_LIMIT_MAX, Kind, Versioned
from resonate_faas._records import decode_object, due_shard, encode_object

HISTORY_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Row:
    record: bytes
    revision: int
    nonce: str

    def stored(self) -> Stored:
        return Stored(decode_object(self.record), self.revision, self.nonce)


_ABSENT: Final = Stored(None, 0)


class MemoryStore(OptimisticStore):
    """Objects in dictionaries under one lock, encoded as the durable stores encode them. Thread-safe.

    Args:
        rules: decide when an object is due.
        pause: waits between the attempts of a transaction; takes seconds.
    """

    def __init__(self, *, rules: Rules = DEFAULT_RULES, pause: Callable[[float], None] = time.sleep) -> None:
        super().__init__(pause=pause)
        self._rules = rules
        self._lock = threading.Lock()
        self._rows: dict[str, _Row] = {}
        self._keys: list[str] = []
        self._partitions: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        self._due: tuple[dict[str, int], ...] = tuple({} for _ in range(DUE_SHARDS))
        self._revision = 0

    def read(self, keys: Sequence[str]) -> Mapping[str, Stored]:
        """See :meth:`OptimisticStore.read`."""
        with self._lock:
            rows = {key: self._rows.get(key) for key in keys}
        return {key: _ABSENT if row is None else row.stored() for key, row in rows.items()}

    def write(
        self, expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
    ) -> Mapping[str, int]:
        """See :meth:`OptimisticStore.write`; one revision for all, from a counter that never goes back."""
        records = {
            key: None if changed is None else encode_object(changed) for key, changed in writes.items()
        }
        with self._lock:
            for key, revision in expected.items():
                row = self._rows.get(key)
                if revision != (0 if row is None else row.revision):
                    raise MovedError(key)
            self._revision += 1
            for key, record in records.items():
                self._replace(key, None if record is None else _Row(record, self._revision, nonce))
                self._index_due(key, writes[key])
            return {key: 0 if record is None else self._revision for key, record in records.items()}

    def history(self, task_id: str, after: str | None = None) -> Iterator[list[Versioned]]:
        """See :meth:`resonate_faas.Store.history`."""
        place = ("", "") if after is None else (sort_key(after), after)
        while True:
            with self._lock:
                partition = self._partitions.get(task_id, [])
                start = bisect.bisect_right(partition, place)
                page = partition[start : start + HISTORY_PAGE]
                rows = [self._rows[key] for _, key in page]
            if not page:
                return
            yield [Versioned(decode_object(row.record), row.revision) for row in rows]
            if len(page) < HISTORY_PAGE:
                return
            place = page[-1]

    def due(self, before_ms: int, shard: int, limit: int) -> list[tuple[str, int]]:
        """See :meth:`resonate_faas.Store.due`; never behind the objects."""
        with self._lock:
            enabled = [(at, key) for key, at in self._due[shard].items() if at <= before_ms]
        return [(key, at) for at, key in heapq.nsmallest(limit, enabled)]

    def next_due(self) -> int | None:
        """See :meth:`resonate_faas.Store.next_due`; exact."""
        with self._lock:
            return min((at for shard in self._due for at in shard.values()), default=None)

    def search(
        self,
        kind: Kind,
        *,
        state: str | None = None,
        tags: Mapping[str, str] = MappingProxyType({}),
        limit: int = 100,
        after: str | None = None,
    ) -> list[Object]:
        """See :meth:`resonate_faas.Store.search`; ids ascend across pages too."""
        if not 1 <= limit <= SEARCH_LIMIT_MAX:
            raise ValueError(f"limit must be from 1 to {SEARCH_LIMIT_MAX}, not {limit}")
        schedules = kind == "schedule"
        start = "" if after is None else schedule_key(after) if schedules else after
        found: list[Object] = []
        with self._lock:
            keys = self._keys[bisect.bisect_right(self._keys, start) :]
            rows = [self._rows[key] for key in keys if is_schedule_key(key) is schedules]
        for row in rows:
            candidate = decode_object(row.record)
            if matches(candidate, kind, state, tags):
                found.append(candidate)
                if len(found) == limit:
                    break
        return found

    def _replace(self, key: str, row: _Row | None) -> None:
        present = key in self._rows
        if row is not None:
            self._rows[key] = row
            if not present:
                bisect.insort(self._keys, key)
                if _in_history(key):
                    bisect.insort(self._partitions[owner(key)], (sort_key(key), key))
        elif present:
            del self._rows[key]
            del self._keys[bisect.bisect_left(self._keys, key)]
            if _in_history(key):
                partition = self._partitions[owner(key)]
                del partition[bisect.bisect_left(partition, (sort_key(key), key))]

    def _index_due(self, key: str, changed: Object | None) -> None:
        at = None if changed is None else due(changed, self._rules)
        shard = self._due[due_shard(key)]
        if at is None:
            shard.pop(key, None)
        else:
            shard[key] = at


def matches(candidate: Object, kind: Kind, state: str | None, tags: Mapping[str, str]) -> bool:
    """True if the object is of the kind and its stored state and tags are the ones asked for."""
    if isinstance(candidate, PromiseObject):
        held: str | None = candidate.promise.state
        if kind == "task":
            held = None if candidate.task is None else candidate.task.state
        present = kind != "schedule" and held is not None
        found_tags = candidate.promise.tags
    else:
        held, present, found_tags = None, kind == "schedule", candidate.schedule.promise_tags
    return (
        present
        and (state is None or held == state)
        and all(found_tags.get(name) == text for name, text in tags.items())
    )


def _in_history(key: str) -> bool:
    """True for a record of an activation: neither a schedule nor the task that owns the partition."""
    return not is_schedule_key(key) and owner(key) != key
