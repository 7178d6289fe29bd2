"""A process that writes to a SQLite store until it has done its share or is killed. Started by the tests.

Usage: sqlite_writer.py MODE FILE NAME [COUNT]. It opens the file when a line comes on its standard input.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from itertools import count as counted

from resonate_faas._machine.objects import Object, Value
from resonate_faas._machine.requests import Outcome
from resonate_faas._ports import Step
from resonate_faas.testing._kit import count, counting, done, promise_object
from resonate_faas_local import SqliteStore


def tell(text: object) -> None:
    """Write a line at once: what is told must have happened before."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def increment(store: SqliteStore, name: str, times: int) -> None:
    """Add to one counter in two threads, then tell how many were acknowledged."""
    acknowledged: list[int] = []

    def body() -> None:
        for _ in range(times):
            store.transact((name,), counting(name))
            acknowledged.append(1)

    threads = [threading.Thread(target=body) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tell(len(acknowledged))


def recording(name: str, number: int) -> Step:
    """Return a step that raises a counter and writes the record of that number with it."""

    def step(given: Mapping[str, Object | None]) -> Outcome:
        assert count(given[name]) == number - 1
        record = promise_object(
            f"{name}:{number}", param=Value(data="x" * (number * 379 % 9_000)), count=number
        )
        return done({name: promise_object(name, count=number), record.id: record})

    return step


def write_for_ever(store: SqliteStore, name: str) -> None:
    """Tell each number once its transaction is acknowledged."""
    first = count(store.read((name,))[name].object) + 1
    for number in counted(first):
        store.transact((name, f"{name}:{number}"), recording(name, number))
        tell(number)


def stop_halfway(store: SqliteStore, name: str) -> None:
    """Change everything, tell so, and never commit."""
    with store._file.changing("write", (name,)) as connection:
        connection.execute("UPDATE objects SET revision = revision + 1, nonce = 'halfway', record = x'00'")
        connection.execute("DELETE FROM objects WHERE key <> ?", (name,))
        tell("halfway")
        sys.stdin.read()


def main(mode: str, path: str, name: str, times: str = "0") -> None:
    """Do the mode's work."""
    tell("ready")
    sys.stdin.readline()
    store = SqliteStore(path)
    match mode:
        case "increment":
            increment(store, name, int(times))
        case "write":
            write_for_ever(store, name)
        case "halfway":
            stop_halfway(store, name)
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
