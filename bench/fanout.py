"""Fan-out of 100 on SQLite with real threads: transactions, items, round trips, elapsed to a fan-out of one."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.measure import Spent, spending
from bench.real import real_node, run_all, start
from bench.report import Figure
from resonate_faas.testing import CountingStore, Counts
from resonate_faas_local import SqliteStore

TITLE: Final = "Fan-out on SQLite (synchronous FULL), the real worker and its threads"
COUNT: Final = 100
RUNS: Final = 5
KINDS: Final = {"fan_run": "run", "fan_rpc": "rpc"}
REQUESTS_PER_TASK: Final = 4
"""Read, page, claim, end: what each task of an rpc costs, whoever starts it."""


@dataclass(frozen=True, slots=True)
class _Cost:
    counts: Counts
    spent: Spent
    activations: int


def run() -> list[Figure]:
    """Return the figures: the counts of the fastest run."""
    figures: list[Figure] = []
    for function, name in KINDS.items():
        one, many = _fastest(function, 1), _fastest(function, COUNT)
        counts = many.counts
        figures += [
            Figure(name=f"{name}, transactions", value=counts.writes, unit="", note="all activations"),
            Figure(name="  items written", value=counts.items, unit=""),
            Figure(
                name="  requests", value=counts.round_trips, unit="", note=f"{many.activations} activations"
            ),
            Figure(
                name="  elapsed, to a fan-out of one",
                value=many.spent.elapsed_s / one.spent.elapsed_s,
                unit="x",
            ),
            Figure(name="  CPU", value=many.spent.cpu_s * 1_000, unit="ms"),
        ]
    return figures


def _fastest(function: str, count: int) -> _Cost:
    return min((_once(function, count) for _ in range(RUNS)), key=lambda cost: cost.spent.elapsed_s)


def _once(function: str, count: int) -> _Cost:
    with tempfile.TemporaryDirectory() as folder:
        inner = SqliteStore(Path(folder) / "bench.db")
        store = CountingStore(inner)
        node, queue = real_node(store)
        start(node, function, count, id="root")
        store.reset()
        with spending() as spent:
            activations = run_all(node, queue)
        node.worker.close()
        inner.close()
        return _Cost(store.reset(), spent, activations)
