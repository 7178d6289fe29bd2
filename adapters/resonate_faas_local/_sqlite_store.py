"""The store of the laptop: everything in one SQLite file, shared by any number of threads and processes.

What was acknowledged is on the disk: WAL, immediate transactions, and a sync at each commit.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from resonate_faas._machine.ids import owner, sort_key
from resonate_faas._machine.objects import (
    BRANCH,
    DEFAULT_RULES,
    ORIGIN,
    Object,
    PromiseObject,
    Rules,
    due,
    schedule_key,
)
from resonate_faas._optimistic import MovedError, OptimisticStore, Stored
from resonate_faas._ports import DUE_SHARDS, SEARCH_LIMIT_MAX, Kind, Versioned
from resonate_faas._records import decode_object, due_shard, encode_object
from resonate_faas_local._sqlite_file import SqliteFile, Synchronous

HISTORY_PAGE: Final = 1_000
SEARCH_BATCH: Final = 500
BUSY_TIMEOUT_MS: Final = 30_000
"""How long a write waits for other processes; SQLite's waiting is not fair, so this is generous."""

_INTEGER_MAX: Final = 2**63 - 1
_ABSENT: Final = Stored(None, 0)

_READ: Final = "SELECT record, revision, nonce FROM objects WHERE key = ?"
_REVISION: Final = "SELECT revision, origin, branch FROM objects WHERE key = ?"
_INSERT: Final = """INSERT INTO objects
    (key, kind, owner, sort, due_shard, origin, branch, state, task_state, due_at, revision, nonce, record)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
# Only what can change: SQLite rewrites each index that has a column in the SET list.
_UPDATE: Final = """UPDATE objects
    SET state = ?, task_state = ?, due_at = ?, revision = ?, nonce = ?, record = ? WHERE key = ?"""
_RETAG: Final = "UPDATE objects SET origin = ?, branch = ? WHERE key = ?"
_HISTORY: Final = """SELECT sort, record, revision FROM objects
    WHERE owner = ? AND sort > ? ORDER BY sort LIMIT ?"""
_DUE: Final = """SELECT key, due_at FROM objects
    WHERE due_shard = ? AND due_at <= ? ORDER BY due_at, key LIMIT ?"""
_NEXT_DUE: Final = """SELECT due_at FROM objects
    WHERE due_shard = ? AND due_at IS NOT NULL ORDER BY due_at LIMIT 1"""


class SqliteStore(OptimisticStore):
    """The Store port over one file. Thread-safe, and safe among processes on one machine.

    Revisions never repeat for a key: an update adds one, a creation starts above the highest revision that was
    ever deleted (one number in the file, written by deletions alone). So an object deleted and created again is
    never taken for the old one.

    Args:
        path: the file; created if absent, in a folder that exists. Not on a network file system.
        rules: decide when an object is due.
        busy_timeout_ms: how long a write waits for the writers of other processes.
        synchronous: FULL: what was acknowledged survives a power loss. NORMAL: a process crash only; after a power
            loss the latest transactions may be gone (never half of one), for more transactions a second.
        pause: waits between the attempts of a transaction; takes seconds.

    Raises:
        StoreUnavailableError: the file can't be opened, is not a database of ours, or is of a newer version.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        rules: Rules = DEFAULT_RULES,
        busy_timeout_ms: int = BUSY_TIMEOUT_MS,
        synchronous: Synchronous = "FULL",
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(pause=pause)
        self._rules = rules
        self._file = SqliteFile(Path(path), busy_timeout_ms=busy_timeout_ms, synchronous=synchronous)

    def close(self) -> None:
        """Close the file; later calls raise StoreUnavailableError. The last process to close it clears its log."""
        self._file.close()

    def read(self, keys: Sequence[str]) -> Mapping[str, Stored]:
        """See :meth:`OptimisticStore.read`."""
        with self._file.reading("read") as connection:
            rows = {key: connection.execute(_READ, (key,)).fetchone() for key in keys}
        return {
            key: _ABSENT if row is None else Stored(decode_object(row[0]), row[1], row[2])
            for key, row in rows.items()
        }

    def write(
        self, expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
    ) -> Mapping[str, int]:
        """See :meth:`OptimisticStore.write`."""
        records = {
            key: None if changed is None else encode_object(changed) for key, changed in writes.items()
        }
        revisions: dict[str, int] = {}
        with self._file.changing("write", tuple(writes)) as connection:
            present = _checked(connection, expected)
            floor = _floor(connection, writes, present)
            for key, changed in writes.items():
                found, record = present.get(key), records[key]
                if changed is None or record is None:
                    connection.execute("DELETE FROM objects WHERE key = ?", (key,))
                    revisions[key] = 0
                    continue
                revision = floor + 1 if found is None else found[0] + 1
                self._put(connection, changed, (revision, nonce, record), found)
                revisions[key] = revision
        return revisions

    def history(self, task_id: str, after: str | None = None) -> Iterator[list[Versioned]]:
        """See :meth:`resonate_faas.Store.history`; each page is read when it is asked for."""
        place = "" if after is None else sort_key(after)
        while True:
            with self._file.reading("read the history") as connection:
                rows = connection.execute(_HISTORY, (task_id, place, HISTORY_PAGE)).fetchall()
            if rows:
                yield [Versioned(decode_object(record), revision) for _, record, revision in rows]
            if len(rows) < HISTORY_PAGE:
                return
            place = rows[-1][0]

    def due(self, before_ms: int, shard: int, limit: int) -> list[tuple[str, int]]:
        """See :meth:`resonate_faas.Store.due`; never behind the objects."""
        with self._file.reading("read the due index") as connection:
            return connection.execute(_DUE, (shard, min(before_ms, _INTEGER_MAX), limit)).fetchall()

    def next_due(self) -> int | None:
        """See :meth:`resonate_faas.Store.next_due`; exact."""
        with self._file.reading("read the due index") as connection:
            rows = [connection.execute(_NEXT_DUE, (shard,)).fetchone() for shard in range(DUE_SHARDS)]
        return min((row[0] for row in rows if row is not None), default=None)

    def search(
        self,
        kind: Kind,
        *,
        state: str | None = None,
        tags: Mapping[str, str] = MappingProxyType({}),
        limit: int = 100,
        after: str | None = None,
    ) -> list[Object]:
        """See :meth:`resonate_faas.Store.search`; ids ascend across pages too. Reads batches until the page is full."""
        if not 1 <= limit <= SEARCH_LIMIT_MAX:
            raise ValueError(f"limit must be from 1 to {SEARCH_LIMIT_MAX}, not {limit}")
        if kind == "schedule" and state is not None:
            return []
        query, parameters = _search_query(kind, state, tags)
        place = "" if after is None else schedule_key(after) if kind == "schedule" else after
        batch = limit if kind != "schedule" and tags.keys() <= {ORIGIN, BRANCH} else SEARCH_BATCH
        found: list[Object] = []
        with self._file.reading("search") as connection:
            while len(found) < limit:
                rows = connection.execute(query, (*parameters, place, batch)).fetchall()
                candidates = (decode_object(record) for _, record in rows)
                found += [candidate for candidate in candidates if _tagged(candidate, tags)]
                if len(rows) < batch:
                    break
                place = rows[-1][0]
        return found[:limit]

    def setting(self, name: str, default_factory: Callable[[], str]) -> str:
        """Return a text that stays with the file, made by the first caller: all threads and processes get the same."""
        with self._file.changing("keep a setting", (name,)) as connection:
            row = connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
            if row is not None:
                return str(row[0])
            value = default_factory()
            connection.execute("INSERT INTO settings VALUES (?, ?)", (name, value))
        return value

    def _put(
        self,
        connection: sqlite3.Connection,
        changed: Object,
        version: tuple[int, str, bytes],
        found: tuple[int, bytes | None, bytes | None] | None,
    ) -> None:
        key, due_at = changed.id, due(changed, self._rules)
        due_column = None if due_at is None else min(due_at, _INTEGER_MAX)
        kind, holder, sort, state, task_state = "schedule", None, None, None, None
        origin, branch = None, None
        if isinstance(changed, PromiseObject):
            kind, state = "promise", changed.promise.state.value
            holder, sort = owner(key), sort_key(key)
            task_state = None if changed.task is None else changed.task.state.value
            origin, branch = _indexed(changed, ORIGIN), _indexed(changed, BRANCH)
        mutable = (state, task_state, due_column, *version)
        if found is None:
            fixed = (key, kind, holder, sort, due_shard(key), origin, branch)
            connection.execute(_INSERT, (*fixed, *mutable))
            return
        connection.execute(_UPDATE, (*mutable, key))
        if (origin, branch) != found[1:]:
            connection.execute(_RETAG, (origin, branch, key))


def _checked(
    connection: sqlite3.Connection, expected: Mapping[str, int]
) -> dict[str, tuple[int, bytes | None, bytes | None]]:
    """Return revision, origin and branch of the objects that exist; raise MovedError if a revision differs."""
    present = {}
    for key, revision in expected.items():
        row = connection.execute(_REVISION, (key,)).fetchone()
        if (0 if row is None else row[0]) != revision:
            raise MovedError(key)
        if row is not None:
            present[key] = row
    return present


def _floor(
    connection: sqlite3.Connection,
    writes: Mapping[str, Object | None],
    present: Mapping[str, tuple[int, object, object]],
) -> int:
    """Return the highest revision ever deleted, raised first by what this write deletes."""
    gone = [present[key][0] for key, changed in writes.items() if changed is None and key in present]
    if gone:
        connection.execute("UPDATE deleted SET revision = max(revision, ?)", (max(gone),))
    return int(connection.execute("SELECT revision FROM deleted").fetchone()[0])


def _search_query(kind: Kind, state: str | None, tags: Mapping[str, str]) -> tuple[str, tuple[object, ...]]:
    """Return the statement and its first parameters; it also takes the key to go on behind, and a limit."""
    wanted: dict[str, object] = {"kind": "schedule" if kind == "schedule" else "promise"}
    if kind != "schedule":
        columns = {"origin": ORIGIN, "branch": BRANCH}
        wanted |= {column: _index_bytes(tags[tag]) for column, tag in columns.items() if tag in tags}
    if state is not None:
        wanted["task_state" if kind == "task" else "state"] = state
    where = "".join(f"{column} = ? AND " for column in wanted)
    if kind == "task":
        where += "task_state IS NOT NULL AND "
    query = f"SELECT key, record FROM objects WHERE {where}key > ? ORDER BY key LIMIT ?"  # noqa: S608 - our own words
    return query, tuple(wanted.values())


def _tagged(candidate: Object, tags: Mapping[str, str]) -> bool:
    if isinstance(candidate, PromiseObject):
        found = candidate.promise.tags
    else:
        found = candidate.schedule.promise_tags
    return all(found.get(name) == text for name, text in tags.items())


def _indexed(stored: PromiseObject, tag: str) -> bytes | None:
    text = stored.promise.tags.get(tag)
    return None if text is None else _index_bytes(text)


def _index_bytes(text: str) -> bytes:
    """Return a tag as its index holds it: bytes, since a tag may be text that is not valid Unicode."""
    return text.encode("utf-8", "surrogatepass")
