"""Steps per second on SQLite, with the real worker, its threads, its heartbeat and the real clock."""

from __future__ import annotations

import sqlite3
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from bench.measure import Spent, spending
from bench.real import real_node, start
from bench.report import Figure
from resonate_faas_local import SqliteStore
from resonate_faas_local._sqlite_file import Synchronous

TITLE: Final = "Steps on SQLite, each durable before the next begins"
STEPS: Final = 400
PARALLEL: Final = 8
RUNS: Final = 5
LEVELS: Final[tuple[Synchronous, ...]] = ("FULL", "NORMAL")


def run() -> list[Figure]:
    """Return the figures; rates are elapsed time, so a ratio to the bare file's own rate stands next to them."""
    figures: list[Figure] = []
    for level in LEVELS:
        bare, one, many = _fastest(
            partial(_bare, level=level),
            partial(_steps, level=level, executions=1),
            partial(_steps, level=level, executions=PARALLEL),
        )
        figures += [
            Figure(
                name=f"{level}, bare transactions",
                value=STEPS / bare.elapsed_s,
                unit="/s",
                note="one row each",
            ),
            Figure(name=f"{level}, steps of one execution", value=STEPS / one.elapsed_s, unit="/s"),
            Figure(name="  elapsed, to a bare transaction", value=one.elapsed_s / bare.elapsed_s, unit="x"),
            Figure(name="  CPU per step", value=one.cpu_s / STEPS * 1_000, unit="ms"),
            Figure(name=f"{level}, steps of {PARALLEL} executions", value=STEPS / many.elapsed_s, unit="/s"),
            Figure(name="  CPU per step", value=many.cpu_s / STEPS * 1_000, unit="ms"),
        ]
    return figures


def _fastest(*cases: Callable[[Path], Spent]) -> list[Spent]:
    """Return the fastest run of each case, each on a file of its own; they take turns, for disks have busy minutes."""
    runs: list[list[Spent]] = [[] for _ in cases]
    for _ in range(RUNS):
        for case, spent in zip(cases, runs, strict=True):
            with tempfile.TemporaryDirectory() as folder:
                spent.append(case(Path(folder) / "bench.db"))
    return [min(spent, key=lambda one: one.elapsed_s) for spent in runs]


def _bare(path: Path, *, level: Synchronous) -> Spent:
    """Time as many transactions of one small row as there are steps, in SQLite alone with the same settings."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {level}")
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body BLOB)")
    with spending() as spent:
        for number in range(STEPS):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO rows VALUES (?, ?)", (number, b"x" * 400))
            connection.execute("COMMIT")
    connection.close()
    return spent


def _steps(path: Path, *, level: Synchronous, executions: int) -> Spent:
    store = SqliteStore(path, synchronous=level)
    node, queue = real_node(store)
    for number in range(executions):
        start(node, "sequence", STEPS // executions, id=f"root-{number}")
    threads = [threading.Thread(target=node.deliver, args=(message,)) for message in queue.taken()]
    with spending() as spent:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    node.worker.close()
    store.close()
    return spent
