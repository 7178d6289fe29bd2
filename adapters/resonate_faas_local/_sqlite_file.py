"""One SQLite file: its schema, its connections, and the one place where sqlite3's errors become ours."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from resonate_faas._errors import OutcomeUnknownError, StoreError, StoreUnavailableError

SCHEMA_VERSION: Final = 1
"""Stands in the file as ``PRAGMA user_version``; a file with a higher one is refused."""

_IDLE_MAX: Final = 32
_WAL_PAUSE_S: Final = 0.01

_SCHEMA: Final = (
    # A table with rowids: with records of 3 KB it measured half of WITHOUT ROWID's time for a history, and a
    # fifth for a point read, because a clustered b-tree of large rows has few rows on a page.
    """CREATE TABLE objects (
        key TEXT NOT NULL PRIMARY KEY,
        kind TEXT NOT NULL,
        owner TEXT,
        sort TEXT,
        state TEXT,
        task_state TEXT,
        origin BLOB,
        branch BLOB,
        due_shard INTEGER NOT NULL,
        due_at INTEGER,
        revision INTEGER NOT NULL,
        nonce TEXT NOT NULL,
        record BLOB NOT NULL
    )""",
    "CREATE INDEX objects_history ON objects (owner, sort) WHERE owner IS NOT NULL",
    "CREATE INDEX objects_due ON objects (due_shard, due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX objects_origin ON objects (origin, key) WHERE origin IS NOT NULL",
    "CREATE INDEX objects_branch ON objects (branch, key) WHERE branch IS NOT NULL",
    "CREATE TABLE deleted (revision INTEGER NOT NULL)",
    "INSERT INTO deleted VALUES (0)",
    "CREATE TABLE settings (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)

Synchronous = Literal["FULL", "NORMAL"]


class SqliteFile:
    """Connections to one file, each used by one thread at a time and kept for the next.

    A pool and not a connection per thread: threads that come and go leave nothing open. Not to be carried
    across a fork (SQLite forbids it): open the file again in the child.

    Args:
        path: the file; created if absent.
        busy_timeout_ms: how long a write waits for the writers of other processes.
        synchronous: as SQLite's pragma.
    """

    def __init__(self, path: Path, *, busy_timeout_ms: int, synchronous: Synchronous) -> None:
        self._path = path
        self._busy_timeout_ms = busy_timeout_ms
        self._synchronous = synchronous
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        # Writers of one process queue here: SQLite's own waiting is sleeping and trying again.
        self._writing = threading.Lock()
        try:
            with self._connection("open") as connection:
                _use_wal(connection, self._busy_timeout_ms)
            with self.changing("open", ()) as connection:
                _ensure_schema(connection, path)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self, doing: str) -> Iterator[sqlite3.Connection]:
        """Give a connection inside a read transaction: everything read is one snapshot.

        Raises:
            StoreUnavailableError: SQLite can't read, or the file is closed.
        """
        with self._connection(doing) as connection:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def changing(self, doing: str, keys: tuple[str, ...]) -> Iterator[sqlite3.Connection]:
        """Give a connection inside a write transaction; committed when the block ends, rolled back if it raises.

        Raises:
            StoreUnavailableError: nothing was written (busy, full, closed, damaged).
            OutcomeUnknownError: the commit failed in a way that leaves its outcome open.
        """
        with self._writing, self._connection(doing) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            try:
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise _translated(error, doing, committing=keys) from error

    def close(self) -> None:
        """Close all connections; those in use are closed when their operation ends. Later operations are refused."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextmanager
    def _connection(self, doing: str) -> Iterator[sqlite3.Connection]:
        """Lend a connection; what the block leaves open is rolled back."""
        try:
            connection = self._take(doing)
            try:
                yield connection
            finally:
                self._give_back(connection)
        except sqlite3.Error as error:
            raise _translated(error, doing) from error

    def _take(self, doing: str) -> sqlite3.Connection:
        with self._lock:
            if self._closed:
                raise StoreUnavailableError(doing, f"{self._path} is closed")
            if self._idle:
                return self._idle.pop()
        connection = sqlite3.connect(
            self._path,
            timeout=self._busy_timeout_ms / 1000,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _give_back(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            connection.close()  # closing rolls back too; whatever is wrong is told by the next operation
            return
        with self._lock:
            keep = not self._closed and len(self._idle) < _IDLE_MAX
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()


def _use_wal(connection: sqlite3.Connection, busy_timeout_ms: int) -> None:
    """Switch the file to a write-ahead log; SQLite does not wait for others here, so it is tried again."""
    deadline = time.monotonic() + busy_timeout_ms / 1000
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            if _primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(_WAL_PAUSE_S)
        else:
            if mode != "wal":
                raise StoreUnavailableError(
                    "open", f"the file system allows no write-ahead log (mode {mode!r})"
                )
            return


def _ensure_schema(connection: sqlite3.Connection, path: Path) -> None:
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > SCHEMA_VERSION:
        raise StoreUnavailableError(
            "open",
            f"{path} has schema version {found}, written by a newer resonate-faas; this one knows up to "
            f"{SCHEMA_VERSION}. Upgrade the package, or use another file",
        )
    if found == 0:
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise StoreUnavailableError("open", f"{path} is a database of something else; use another file")
        for statement in _SCHEMA:
            connection.execute(statement)


def _translated(error: sqlite3.Error, doing: str, *, committing: tuple[str, ...] | None = None) -> StoreError:
    """Return our error for SQLite's; re-raise what is a bug of ours.

    Until COMMIT nothing is written. A COMMIT that fails as full or busy has not written its last frame (the
    frame with the commit mark goes last, whole or not at all), so it did not happen either. Any other failure,
    as of the disk's sync, may leave a whole transaction in the log, for a later recovery to find.

    Source: sqlite.org/fileformat2.html section 4.3, sqlite.org/rescode.html.
    """
    if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError | sqlite3.IntegrityError):
        raise error
    code = _primary_code(error)
    if committing is not None and code not in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY}:
        return OutcomeUnknownError(committing, f"COMMIT: {error}")
    cure = _CURES.get(code)
    return StoreUnavailableError(doing, f"{error} ({cure})" if cure else str(error))


_CURES: Final = {
    sqlite3.SQLITE_BUSY: "another process held the file for longer than busy_timeout_ms",
    sqlite3.SQLITE_FULL: "free some space; the store then goes on by itself",
    sqlite3.SQLITE_NOTADB: "the file is not one of ours; use another",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable",
    sqlite3.SQLITE_CANTOPEN: "the folder must exist and be writable",
}


def _primary_code(error: sqlite3.Error) -> int:
    """Return the primary result code: the low byte of SQLite's extended one; 0 if the error is Python's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
