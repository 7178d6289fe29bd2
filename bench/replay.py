"""Replay: CPU per recorded step, of the engine alone and of a whole activation on SQLite."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any, Final

from tests.bench.counted import sequence_then_wait, workflows

from bench.measure import Spent, least, spending
from bench.recorded import FUNCTION, ROOT_ID, Recorded, deployment, read_history, record_file, replay
from bench.report import Figure
from resonate_faas import Resonate
from resonate_faas._engine.watch import Watch
from resonate_faas._guards import watch_of
from resonate_faas._worker import Ended
from resonate_faas_local import SqliteStore

TITLE: Final = "Replay, CPU per recorded step"
STEPS: Final = (100, 1_000, 10_000)
RUNS: Final = 7
GUARD_TURNS: Final = 100
"""Many and short: a short turn is likelier to be left alone by a busy machine, and the least of many is steady."""
ENGINE_US_MAX: Final = 20.0
WHOLE_US_MAX: Final = 35.0
GUARD_MAX: Final = 1.05
"""How much dearer a replay may be under a guard that warns."""
LINEAR_MAX: Final = 1.25
"""How much dearer a step of the longest history may be than one of the middle one."""


def run() -> list[Figure]:
    """Return the figures; each is the least of several runs."""
    recorded: dict[int, Recorded] = {}
    engine: dict[int, float] = {}
    history: dict[int, float] = {}
    whole: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for steps in STEPS:
            path = Path(folder) / f"{steps}.db"
            record_file(path, steps)
            recorded[steps], history[steps] = _read(path, steps)
            engine[steps] = _micros(least(RUNS, _replays(recorded[steps], steps)), steps)
            whole[steps] = _whole(path, steps)
    _, middle, longest = STEPS
    return [
        *(
            Figure(name=f"engine, {steps:,} steps", value=engine[steps], unit="us", budget=ENGINE_US_MAX)
            for steps in STEPS
        ),
        Figure(
            name=f"engine, {longest:,} against {middle:,}",
            value=engine[longest] / engine[middle],
            unit="x",
            budget=LINEAR_MAX,
            note="linear: 1",
        ),
        *_guards(recorded[middle], middle),
        *(
            Figure(
                name=f"history read and decoded, {steps:,} steps",
                value=history[steps],
                unit="us",
                note="SQLite",
            )
            for steps in STEPS
        ),
        *(
            Figure(
                name=f"whole activation, {steps:,} steps",
                value=whole[steps],
                unit="us",
                budget=WHOLE_US_MAX if steps >= middle else None,
                note="SQLite" if steps >= middle else "SQLite; its fixed part shows",
            )
            for steps in STEPS
        ),
    ]


def _read(path: Path, steps: int) -> tuple[Recorded, float]:
    store = SqliteStore(path, synchronous="NORMAL")
    recorded = read_history(store)

    def once() -> Spent:
        with spending() as spent:
            read_history(store)
        return spent

    spent = least(RUNS, once)
    store.close()
    return recorded, _micros(spent, steps)


def _replays(
    recorded: Recorded, steps: int, watch: Watch | None = None, code: Callable[[], Resonate] | None = None
) -> Callable[[], Spent]:
    """Return what replays a history with the engine alone, by the same code each time unless ``code`` gives it."""
    known = workflows()

    def once() -> Spent:
        resonate = known if code is None else code()
        with spending(collects=False) as spent:
            execution = replay(resonate, recorded, steps, watch=watch)
        execution.close()
        return spent

    return once


def _guards(recorded: Recorded, steps: int) -> list[Figure]:
    """Return what guards cost a replay. Those of a deployment take turns, in another order each time."""
    warns = watch_of("warn", _unheard)
    cases = {
        "none": _replays(recorded, steps),
        "warn": _replays(recorded, steps, warns),
        "first": _replays(recorded, steps, warns, _never_run),
    }
    order = [*cases]
    took_s = dict.fromkeys(cases, float("inf"))
    for _ in range(GUARD_TURNS):
        for case in order:
            took_s[case] = min(took_s[case], cases[case]().cpu_s)
        order.append(order.pop(0))
    strict = least(RUNS, _replays(recorded, steps, watch_of("error", _unheard)))
    bare = took_s["none"]
    name = f"engine, {steps:,} steps, guard"
    return [
        Figure(
            name=f"{name} that warns against none", value=took_s["warn"] / bare, unit="x", budget=GUARD_MAX
        ),
        Figure(
            name=f"{name} that warns, added while a workflow is new",
            value=(took_s["first"] - took_s["warn"]) * 1_000,
            unit="ms",
            note="once a process",
        ),
        Figure(name=f"{name} of tests against none", value=strict.cpu_s / bare, unit="x"),
    ]


def _never_run() -> Resonate:
    """Return the workflow as code that this process has not seen yet."""
    resonate = Resonate()
    made = FunctionType(sequence_then_wait.__code__.replace(), sequence_then_wait.__globals__)
    made.__annotations__ = sequence_then_wait.__annotations__
    resonate.register(name=FUNCTION)(made)
    return resonate


def _unheard(_level: int, _event: str, _fields: Mapping[str, Any]) -> None:
    """Let a warning go: the workflows of this table give no reason for one."""


def _whole(path: Path, steps: int) -> float:
    """Acquire, read, decode, replay, fulfil: one activation of the worker, on a fresh copy each time."""
    copy = path.with_name("copy.db")

    def once() -> Spent:
        shutil.copy(path, copy)
        store = SqliteStore(copy, synchronous="NORMAL")
        deployed = deployment(store)
        with spending() as spent:
            ended = deployed.node.worker.activate(ROOT_ID)
        store.close()
        if ended is not Ended.DONE:
            raise RuntimeError(f"the replay is to end the execution, it ended as {ended}")
        return spent

    return _micros(least(RUNS, once), steps)


def _micros(spent: Spent, steps: int) -> float:
    return spent.cpu_s / steps * 1_000_000
