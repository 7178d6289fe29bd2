"""Cadence of a chain of 10,000 tail calls: the last hundred against the first hundred."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.measure import Spent
from bench.real import real_node, start
from bench.report import Figure
from resonate_faas.testing import CountingStore
from resonate_faas_local import SqliteStore

TITLE: Final = "Cadence of 10,000 tail calls, SQLite (synchronous NORMAL), the real worker"
LENGTH: Final = 10_000
PART: Final = 100
ROUND_TRIPS_MAX: Final = 6
"""Read, page, claim, the step, the tail call, the end."""
FLAT_MAX: Final = 1.25
"""B-trees grow by a level or two in 10,000 executions, and the machine is shared: more than this is not noise."""


@dataclass(frozen=True, slots=True)
class _Iteration:
    spent: Spent
    round_trips: int


def run() -> list[Figure]:
    """Return the figures; a part's time is its lower decile: what disturbs an iteration only ever adds to it."""
    iterations = _chain()
    warm = iterations[1:]  # the first one starts threads and imports what is needed once
    first, middle, last = warm[:PART], warm[len(warm) // 2 :][:PART], warm[-PART - 1 : -1]
    return [
        Figure(name="requests, first hundred, most", value=_most(first), unit="", budget=ROUND_TRIPS_MAX),
        Figure(name="requests, last hundred, most", value=_most(last), unit="", budget=ROUND_TRIPS_MAX),
        Figure(name="CPU, first hundred", value=_cpu_ms(first), unit="ms", note="lower decile"),
        Figure(name="CPU, middle hundred", value=_cpu_ms(middle), unit="ms"),
        Figure(name="CPU, last hundred", value=_cpu_ms(last), unit="ms"),
        Figure(
            name="  last to first",
            value=_cpu_ms(last) / _cpu_ms(first),
            unit="x",
            budget=FLAT_MAX,
            note="flat: 1",
        ),
        Figure(name="elapsed, last hundred", value=_elapsed_ms(last), unit="ms", note="lower decile"),
    ]


def _chain() -> list[_Iteration]:
    with tempfile.TemporaryDirectory() as folder:
        inner = SqliteStore(Path(folder) / "bench.db", synchronous="NORMAL")
        store = CountingStore(inner)
        node, queue = real_node(store)
        start(node, "chain", LENGTH - 1, id="root")
        iterations = []
        while messages := queue.taken():
            for message in messages:
                store.reset()
                cpu, wall = time.process_time(), time.perf_counter()
                node.deliver(message)
                spent = Spent(time.process_time() - cpu, time.perf_counter() - wall)
                iterations.append(_Iteration(spent, store.reset().round_trips))
        node.worker.close()
        inner.close()
    if len(iterations) != LENGTH:
        raise RuntimeError(f"{len(iterations)} iterations, not {LENGTH}")
    return iterations


def _most(part: Sequence[_Iteration]) -> int:
    return max(iteration.round_trips for iteration in part)


def _cpu_ms(part: Sequence[_Iteration]) -> float:
    return _decile([iteration.spent.cpu_s for iteration in part]) * 1_000


def _elapsed_ms(part: Sequence[_Iteration]) -> float:
    return _decile([iteration.spent.elapsed_s for iteration in part]) * 1_000


def _decile(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 10]
