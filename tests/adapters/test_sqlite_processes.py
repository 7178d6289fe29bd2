"""Several processes on one file, and processes killed in the middle of writes: nothing acknowledged is lost."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from resonate_faas.testing._kit import count, counting, history_ids, look_at, promise_object, put
from resonate_faas_local import SqliteStore

WRITER = Path(__file__).with_name("sqlite_writer.py")
PROCESSES = 4
INCREMENTS = 30
KILLS = 12


class Writer:
    """One process of ``sqlite_writer.py``; it opens the file when told to go."""

    def __init__(self, mode: str, path: Path, name: str, *args: object) -> None:
        command = [sys.executable, "-P", str(WRITER), mode, str(path), name, *map(str, args)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.line() == "ready"

    @property
    def output(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def line(self) -> str:
        return self.output.readline().strip()

    def kill(self) -> list[str]:
        """Send SIGKILL; return what it had told and was not read yet."""
        self.process.kill()
        return self.end()

    def end(self) -> list[str]:
        lines = self.output.read().split("\n")
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        return lines[:-1]  # behind the last newline stands nothing, or half a line


@contextmanager
def opened(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    try:
        yield store
    finally:
        store.close()


def assert_sound(path: Path) -> None:
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        connection.close()


def test_four_processes_count_right_from_an_absent_file_on(tmp_path: Path) -> None:
    """They create the file at once, then each increments one counter in two threads."""
    path = tmp_path / "store.db"
    writers = [Writer("increment", path, "hot", INCREMENTS) for _ in range(PROCESSES)]
    for writer in writers:
        writer.go()
    acknowledged = sum(int(line) for writer in writers for line in writer.end())
    with opened(path) as store:
        assert count(look_at(store, "hot")) == acknowledged == PROCESSES * 2 * INCREMENTS
    assert_sound(path)


def test_a_setting_is_the_same_in_four_processes(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    script = (
        "import sys, secrets; from resonate_faas_local import SqliteStore; sys.stdin.readline();"
        "s = SqliteStore(sys.argv[1]); print(s.setting('key', lambda: secrets.token_hex(16))); s.close()"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-P", "-c", script, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    told = {process.communicate("\n")[0].strip() for process in processes}
    assert len(told) == 1
    with opened(path) as store:
        assert told == {store.setting("key", lambda: "another")}


@pytest.mark.slow
def test_what_a_killed_writer_acknowledged_is_there(tmp_path: Path) -> None:
    """Killed again and again; a counter and its record are written together, so they must agree."""
    path = tmp_path / "store.db"
    reached = 0
    for round_number in range(KILLS):
        writer = Writer("write", path, "log")
        writer.go()
        told = [int(writer.line()) for _ in range(1 + 7 * round_number % 20)]
        told += [int(line) for line in writer.kill()]
        assert told == list(range(reached + 1, reached + 1 + len(told)))
        with opened(path) as store:
            reached = count(look_at(store, "log"))
            assert told[-1] <= reached <= told[-1] + 1, "the last one may be stored and not yet told"
            assert history_ids(store, "log") == [f"log:{number}" for number in range(1, reached + 1)]
    assert_sound(path)


@pytest.mark.slow
def test_a_killed_writer_does_not_disturb_another(tmp_path: Path) -> None:
    """The survivor goes on by itself: nobody has to remove a lock."""
    path = tmp_path / "store.db"
    survivor = Writer("write", path, "survivor")
    survivor.go()
    told = 0
    for _ in range(4):
        victim = Writer("write", path, "victim")
        victim.go()
        victim.line()
        victim.kill()
        for _ in range(5):
            told = int(survivor.line())
    told += len(survivor.kill())
    with opened(path) as store:
        assert told <= count(look_at(store, "survivor")) <= told + 1
    assert_sound(path)


def test_a_writer_killed_before_its_commit_changed_nothing(tmp_path: Path) -> None:
    """Its lock dies with it; until then others wait, and readers don't."""
    path = tmp_path / "store.db"
    with opened(path) as store:
        put(store, promise_object("a", count=1), promise_object("b", count=2))
        victim = Writer("halfway", path, "a")
        victim.go()
        assert victim.line() == "halfway"
        assert count(look_at(store, "b")) == 2
        waiting = threading.Thread(target=lambda: store.transact(("a",), counting("a")))
        waiting.start()
        assert count(look_at(store, "a")) == 1
        victim.kill()
        waiting.join(60)
        assert not waiting.is_alive()
        assert count(look_at(store, "a")) == 2
        assert count(look_at(store, "b")) == 2
    assert_sound(path)
