"""One file: opening it, closing it, files that are not ours, errors, indexes, settings."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from resonate_faas._errors import OutcomeUnknownError, StoreError, StoreUnavailableError
from resonate_faas._machine.objects import BRANCH, EXTERNAL, ORIGIN, PromiseState, Rules
from resonate_faas.testing._kit import count, counting, look_at, promise_object, put, task_object, together
from resonate_faas_local import SqliteStore, _sqlite_file
from resonate_faas_local._sqlite_file import SCHEMA_VERSION, _translated

NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    yield store
    store.close()


@contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def without_rights() -> Iterator[None]:
    """Be a user whom file modes bind: root is not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_was_stored_is_there_when_the_file_is_opened_again(path: Path, store: SqliteStore) -> None:
    revision = put(store, promise_object("a", count=7)).objects["a"].revision
    store.close()
    again = SqliteStore(path)
    assert again.read(("a",))["a"].revision == revision
    assert count(look_at(again, "a")) == 7
    again.close()


def test_a_commit_is_synced_and_logged_ahead(store: SqliteStore) -> None:
    """FULL is 2: what was acknowledged survives a power loss."""
    with store._file.reading("test") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_the_sync_can_be_given_up_by_name(path: Path) -> None:
    store = SqliteStore(path, synchronous="NORMAL")
    with store._file.reading("test") as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (1,)
    store.close()


def test_a_closed_store_refuses_and_can_be_closed_again(store: SqliteStore) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreUnavailableError, match="is closed"):
        put(store, promise_object("a"))
    with pytest.raises(StoreUnavailableError, match="is closed"):
        look_at(store, "a")


def test_closing_leaves_no_connection_open_in_any_thread(path: Path, store: SqliteStore) -> None:
    """The last one to go clears the log, so its absence proves it."""
    together([lambda: put(store, promise_object("a"))] * 8)
    assert path.with_name("store.db-wal").exists()
    store.close()
    assert not path.with_name("store.db-wal").exists()


def test_an_operation_under_way_while_the_store_closes_ends_well(path: Path, store: SqliteStore) -> None:
    with store._file.reading("test") as connection:
        store.close()
        assert connection.execute("SELECT count(*) FROM objects").fetchone() == (0,)
    assert not path.with_name("store.db-wal").exists()


def test_a_newer_schema_is_refused_with_a_cure(path: Path, store: SqliteStore) -> None:
    store.close()
    with raw(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(StoreUnavailableError, match=r"newer resonate-faas.*Upgrade") as raised:
        SqliteStore(path)
    assert raised.tb is not None  # keeps the failed store alive: it must have closed its connection itself
    assert not path.with_name("store.db-wal").exists()


def test_a_database_of_something_else_is_refused_and_untouched(path: Path) -> None:
    with raw(path) as connection:
        connection.execute("CREATE TABLE mine (a)")
    with pytest.raises(StoreUnavailableError, match="something else"):
        SqliteStore(path)
    with raw(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]


def test_a_file_that_is_no_database_is_refused_and_untouched(path: Path) -> None:
    text = b"this is a letter to my grandmother\n" * 100
    path.write_bytes(text)
    with pytest.raises(StoreUnavailableError, match="not a database"):
        SqliteStore(path)
    assert path.read_bytes() == text


def test_an_absent_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="folder must exist"):
        SqliteStore(tmp_path / "absent" / "store.db")


def test_a_read_only_file_is_refused() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "store.db"
        store = SqliteStore(path)
        put(store, promise_object("a", count=3))
        store.close()
        path.chmod(0o444)
        with without_rights(), pytest.raises(StoreUnavailableError, match="writable"):
            SqliteStore(path)
        path.chmod(0o644)
        again = SqliteStore(path)
        assert count(look_at(again, "a")) == 3
        again.close()


def test_a_busy_file_is_told_after_the_timeout_and_nothing_is_written(path: Path) -> None:
    store = SqliteStore(path, busy_timeout_ms=50)
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="busy_timeout_ms"):
            store.transact(("a",), counting("a"))
        assert look_at(store, "a") is None, "readers never wait"
        other.execute("ROLLBACK")
    store.transact(("a",), counting("a"))
    assert count(look_at(store, "a")) == 1
    store.close()


def test_opening_waits_for_another_who_is_creating_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself does not wait before it switches to a log: measured, 6 of 240 openers at once were refused."""
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        pauses: list[float] = []

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                other.execute("COMMIT")

        monkeypatch.setattr(_sqlite_file, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=pause))
        SqliteStore(path).close()
    assert len(pauses) == 3


def test_opening_does_not_wait_for_ever(path: Path) -> None:
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="busy_timeout_ms"):
            SqliteStore(path, busy_timeout_ms=20)


def test_a_failed_write_leaves_the_connection_usable_and_no_lock(path: Path, store: SqliteStore) -> None:
    put(store, promise_object("a"))

    def fail_halfway() -> None:
        with store._file.changing("test", ()) as connection:
            connection.execute("DELETE FROM objects")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    with raw(path) as other:
        other.execute("PRAGMA busy_timeout = 0")
        other.execute("BEGIN IMMEDIATE")
    assert look_at(store, "a") is not None


@pytest.mark.parametrize(
    ("code", "before_commit", "at_commit"),
    [
        (sqlite3.SQLITE_BUSY, StoreUnavailableError, StoreUnavailableError),
        (sqlite3.SQLITE_FULL, StoreUnavailableError, StoreUnavailableError),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreUnavailableError, OutcomeUnknownError),
        (sqlite3.SQLITE_IOERR_WRITE, StoreUnavailableError, OutcomeUnknownError),
        (sqlite3.SQLITE_CORRUPT, StoreUnavailableError, OutcomeUnknownError),
        (sqlite3.SQLITE_READONLY, StoreUnavailableError, OutcomeUnknownError),
        (0, StoreUnavailableError, OutcomeUnknownError),
    ],
)
def test_only_certain_failures_of_a_commit_are_told_as_not_written(
    code: int, before_commit: type[StoreError], at_commit: type[StoreError]
) -> None:
    error = sqlite3.OperationalError("it broke")
    error.sqlite_errorcode = code
    assert type(_translated(error, "write")) is before_commit
    assert type(_translated(error, "write", committing=("a",))) is at_commit


@pytest.mark.parametrize("error", [sqlite3.ProgrammingError("ours"), sqlite3.IntegrityError("ours")])
def test_a_bug_is_not_dressed_up_as_an_outage(error: sqlite3.Error) -> None:
    with pytest.raises(type(error)):
        _translated(error, "write")


def test_a_setting_is_made_once_and_kept(path: Path, store: SqliteStore) -> None:
    made: list[str] = []

    def make() -> str:
        made.append(f"secret-{threading.get_ident()}-{len(made)}")
        return made[-1]

    assert set(together([lambda: store.setting("key", make)] * 8)) == {made[0]}
    assert len(made) == 1
    assert store.setting("other", lambda: "é\x00") == "é\x00"
    store.close()
    again = SqliteStore(path)
    assert again.setting("key", make) == made[0]
    assert again.setting("other", make) == "é\x00"
    again.close()


def test_a_factory_that_fails_keeps_nothing(store: SqliteStore) -> None:
    with pytest.raises(ZeroDivisionError):
        store.setting("key", lambda: str(1 / 0))
    assert store.setting("key", lambda: "made") == "made"


def test_instants_beyond_sqlites_integers_are_kept(store: SqliteStore) -> None:
    forever = promise_object("a", state=PromiseState.PENDING, tags={EXTERNAL: "true"}, timeout_at=2**80)
    put(store, forever)
    assert look_at(store, "a") == forever
    assert store.next_due() == 2**63 - 1
    assert store.due(2**80, 0, 10) == store.due(2**63 - 1, 0, 10)


def test_a_tag_that_is_no_valid_text_is_stored_and_found(store: SqliteStore) -> None:
    odd = promise_object("a", tags={ORIGIN: "\ud800", BRANCH: "x\x00y", "other": "\udfff"})
    put(store, odd)
    assert look_at(store, "a") == odd
    assert store.search("promise", tags={ORIGIN: "\ud800"}) == [odd]
    assert store.search("promise", tags={BRANCH: "x\x00y", "other": "\udfff"}) == [odd]
    assert store.search("promise", tags={BRANCH: "x"}) == []


def test_a_settled_root_is_due_when_its_retention_ends(path: Path) -> None:
    store = SqliteStore(path, rules=Rules(retention_ms=1_000))
    stored = promise_object("root")
    put(store, stored, promise_object("root:1"))
    assert stored.promise.settled_at is not None
    assert store.next_due() == stored.promise.settled_at + 1_000
    store.close()


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (
            "SELECT sort, record FROM objects WHERE owner = 'a' AND sort > 'b' ORDER BY sort LIMIT 9",
            "objects_history",
        ),
        (
            "SELECT key FROM objects WHERE due_shard = 1 AND due_at <= 5 ORDER BY due_at, key LIMIT 9",
            "objects_due",
        ),
        (
            "SELECT due_at FROM objects WHERE due_shard = 1 AND due_at IS NOT NULL ORDER BY due_at LIMIT 1",
            "objects_due",
        ),
        (
            "SELECT key FROM objects WHERE kind = 'promise' AND origin = x'61' AND key > 'a' ORDER BY key",
            "objects_origin",
        ),
        (
            "SELECT key FROM objects WHERE kind = 'promise' AND branch = x'61' AND key > 'a' ORDER BY key",
            "objects_branch",
        ),
        (
            "SELECT key FROM objects WHERE kind = 'promise' AND key > 'a' ORDER BY key LIMIT 9",
            "autoindex_objects",
        ),
    ],
)
def test_each_question_has_its_index(store: SqliteStore, query: str, index: str) -> None:
    put(store, task_object("a"))
    with store._file.reading("test") as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")]
    assert len([step for step in plan if index in step]) == 1
    assert not [step for step in plan if "SCAN" in step]
