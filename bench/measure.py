"""How things are measured: CPU time, the least of several runs, in this process or in a fresh one."""

from __future__ import annotations

import gc
import os
import platform
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent


@dataclass(slots=True)
class Spent:
    """CPU and elapsed seconds of a block; filled when the block ends."""

    cpu_s: float = field(default=0.0)
    elapsed_s: float = field(default=0.0)


@contextmanager
def spending(*, collects: bool = True) -> Iterator[Spent]:
    """Measure a block, all its threads.

    Args:
        collects: the garbage collector stays on, as in a deployment; False: off, as in timeit, to see how the code
            itself scales, without the steps that the collector's thresholds make.
    """
    spent = Spent()
    gc.collect()
    if not collects:
        gc.disable()
    cpu, wall = time.process_time(), time.perf_counter()
    try:
        yield spent
    finally:
        spent.cpu_s = time.process_time() - cpu
        spent.elapsed_s = time.perf_counter() - wall
        gc.enable()


def least(runs: int, measured: Callable[[], Spent]) -> Spent:
    """Return the run that took the least CPU: what disturbs a run only ever adds to it."""
    return min((measured() for _ in range(runs)), key=lambda spent: spent.cpu_s)


def children_cpu_ms(codes: Iterable[str], *, runs: int) -> dict[str, float]:
    """Return the least CPU, user and system, of a fresh interpreter that runs each code; its start included.

    The codes take turns, so that a busy minute of the machine falls on all of them and the ratios stand. A first
    turn, not counted, compiles everything to bytecode, as an installation does.
    """
    least_s = dict.fromkeys(codes, float("inf"))
    with tempfile.TemporaryDirectory() as bytecode:
        for code in least_s:
            run_child(code, bytecode=bytecode)
        for _ in range(runs):
            for code, so_far in least_s.items():
                least_s[code] = min(so_far, _child_cpu_s(code, bytecode))
    return {code: took * 1_000 for code, took in least_s.items()}


def _child_cpu_s(code: str, bytecode: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run_child(code, bytecode=bytecode)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run_child(code: str, *options: str, bytecode: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter of this environment, started in the project's folder.

    Args:
        code: the program.
        options: of the interpreter.
        bytecode: the folder where compiled modules are kept, whatever this process is told about them.
    """
    environment = dict(os.environ)
    if bytecode is not None:
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment["PYTHONPYCACHEPREFIX"] = bytecode
    return subprocess.run(  # noqa: S603 - our own words
        [sys.executable, *options, "-c", code],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )


def machine() -> dict[str, str]:
    """Return what the figures depend on most."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "sqlite": sqlite3.sqlite_version,
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }
