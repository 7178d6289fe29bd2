"""Memory: what 10,000 recorded steps take while they are replayed, in a fresh process."""

from __future__ import annotations

import gc
import json
import resource
import sys
import tempfile
import tracemalloc
from pathlib import Path
from typing import Final

from bench.measure import run_child
from bench.recorded import ROOT_ID, deployment, record_file
from bench.report import Figure
from resonate_faas_local import SqliteStore

TITLE: Final = "Memory of a replay"
STEPS: Final = 10_000
MEBIBYTE: Final = 1_048_576
LAMBDA_MIB: Final = 128
"""The smallest Lambda function: a root at the default promise limit is to fit."""


def run() -> list[Figure]:
    """Return the figures: what Python allocated, and by how much the process grew."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recorded.db"
        record_file(path, STEPS)
        copy = path.with_name("copy.db")
        copy.write_bytes(path.read_bytes())
        traced = _child(copy, is_traced=True)
        copy.write_bytes(path.read_bytes())
        plain = _child(copy, is_traced=False)
    return [
        Figure(
            name="allocated at the peak", value=traced["peak"] / MEBIBYTE, unit="MiB", note=f"{STEPS:,} steps"
        ),
        Figure(name="  per step", value=traced["peak"] / STEPS, unit="bytes"),
        Figure(
            name="growth of the process",
            value=plain["grown"] / MEBIBYTE,
            unit="MiB",
            note="its largest resident size",
        ),
        Figure(name="  per step", value=plain["grown"] / STEPS, unit="bytes"),
        Figure(
            name="the process at its largest",
            value=plain["largest"] / MEBIBYTE,
            unit="MiB",
            budget=LAMBDA_MIB,
            note="the smallest Lambda function",
        ),
    ]


def _child(path: Path, *, is_traced: bool) -> dict[str, float]:
    code = f"from bench.memory import report; report({str(path)!r}, is_traced={is_traced})"
    answer = json.loads(run_child(code).stdout)
    return {str(name): float(value) for name, value in answer.items()}


def report(path: str, *, is_traced: bool) -> None:
    """Replay the file's execution in this process, and print what that took."""
    store = SqliteStore(path, synchronous="NORMAL")
    deployed = deployment(store)
    deployed.start("nothing", id="warm")
    deployed.deliver_due()  # what is imported at first use is not a step's
    gc.collect()
    before = _largest()
    if is_traced:
        tracemalloc.start()
    ended = deployed.node.worker.activate(ROOT_ID)
    peak = tracemalloc.get_traced_memory()[1] if is_traced else 0
    store.close()
    largest = _largest()
    answer = {"ended": ended.value == "done", "peak": peak, "grown": largest - before, "largest": largest}
    print(json.dumps(answer))


def _largest() -> int:
    """Return the most memory this process ever had, bytes.

    Linux's ru_maxrss is inherited from the process that started this one; VmHWM is of this program alone.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1_024
    unit = 1 if sys.platform == "darwin" else 1_024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
