"""A disk that fills up: what was acknowledged stays, what was refused is not there, and freed space is enough."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from resonate_faas._errors import StoreUnavailableError
from resonate_faas._machine.objects import Value
from resonate_faas.testing._kit import count, done, history_ids, look_at, promise_object
from resonate_faas_local import SqliteStore

PAYLOAD = Value(data="x" * 2_000)
TRIES = 5_000
TMPFS_KIB = 1_024


def write(store: SqliteStore, number: int) -> None:
    """Store one record and the counter that goes with it."""
    writes = {
        "log": promise_object("log", count=number),
        f"log:{number}": promise_object(f"log:{number}", param=PAYLOAD, count=number),
    }
    store.transact(tuple(writes), lambda _: done(writes))


def fill(store: SqliteStore, start: int = 1) -> int:
    """Write until the disk is full; return the last number that was acknowledged."""
    for number in range(start, start + TRIES):
        try:
            write(store, number)
        except StoreUnavailableError as error:
            assert "full" in str(error)  # noqa: PT017 - the loop needs the number
            return number - 1
    raise AssertionError("the disk never became full")


def assert_holds(path: Path, acknowledged: int) -> None:
    """Look through a store of its own: exactly the acknowledged transactions are there."""
    store = SqliteStore(path)
    assert count(look_at(store, "log")) == acknowledged
    assert history_ids(store, "log") == [f"log:{number}" for number in range(1, acknowledged + 1)]
    store.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def allow_pages(store: SqliteStore, pages: int) -> None:
    with store._file.reading("test") as connection:
        connection.execute(f"PRAGMA max_page_count = {pages}")


def test_a_full_database_loses_nothing_and_goes_on_when_there_is_space(tmp_path: Path) -> None:
    """SQLite's own page bound gives the real SQLITE_FULL, in the middle of a transaction."""
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    allow_pages(store, 100)
    acknowledged = fill(store)
    assert acknowledged > 20
    assert count(look_at(store, "log")) == acknowledged
    assert fill(store, acknowledged + 1) == acknowledged, "still full, still refused"
    assert_holds(path, acknowledged)
    allow_pages(store, 1_000_000)
    for number in range(acknowledged + 1, acknowledged + 50):
        write(store, number)
    store.close()
    assert_holds(path, acknowledged + 49)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small tmpfs needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_KIB}k", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a tmpfs can't be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_loses_nothing_and_goes_on_when_there_is_space(small_disk: Path) -> None:
    """Real ENOSPC, in the write-ahead log; freed by deleting another file."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 400 * 1024)
    path = small_disk / "store.db"
    store = SqliteStore(path)
    acknowledged = fill(store)
    assert acknowledged > 5
    assert count(look_at(store, "log")) == acknowledged
    assert fill(store, acknowledged + 1) >= acknowledged
    acknowledged = count(look_at(store, "log"))
    ballast.unlink()
    for number in range(acknowledged + 1, acknowledged + 6):
        write(store, number)
    store.close()
    assert_holds(path, acknowledged + 5)


def test_a_store_that_dies_on_a_full_disk_is_whole_when_opened_again(small_disk: Path) -> None:
    """The log is recovered as far as it was acknowledged: no close, the files are copied away as they are."""
    path = small_disk / "store.db"
    store = SqliteStore(path)
    acknowledged = fill(store)
    copy = small_disk.parent / "copy"
    copy.mkdir()
    for file in small_disk.glob("store.db*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, copy)
    assert_holds(copy / "store.db", acknowledged)
    store.close()
