"""A process that runs workloads of the simulation over one SQLite file until they have ended, or it is killed.

Usage: mixture.py DB LOG LEASE_MS NAME... Each run of a step appends a line to LOG: what really happened, recorded or not.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.engine.stage import NAME
from tests.simulation.workloads import new, settlement

from resonate_faas import Invocation, StepContext
from resonate_faas._machine.objects import PromiseObject
from resonate_faas_local import LocalNode

ARGS: Final[dict[str, list[Any]]] = {
    "deep": [3],
    "fan_out": [2],
    "chaining": [4, ""],
    "asking": [],
    "racing": [],
    "failing": [],
}
PACE: Final = 1 / 40
"""The workloads' steps were given durations for virtual time."""
SWEEP_MS: Final = 100
LOOK_S: Final = 0.05


class Stage:
    """What the steps meet: a log, and time that passes faster."""

    generation = 0

    def __init__(self, log: str) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def heard(self, step: StepContext) -> None:
        """Write that the step runs: one line to the log in one write, then one to the parent."""
        line = f"{step.info.id} {step.info.attempt}\n".encode()
        os.write(self._log, line)
        os.write(sys.stdout.fileno(), line)

    def pause(self, duration_ms: int) -> None:
        threading.Event().wait(duration_ms / 1000 * PACE)


def answer(node: LocalNode) -> None:
    """Settle every promise that waits for the world."""
    for one in node.server.search("promise", state="pending", tags={}, limit=1_000, after=None):
        if isinstance(one, PromiseObject) and NAME in one.promise.tags:
            state, value = settlement(one.promise.tags[NAME])
            node.client.settle(one.id, state, value)


def is_pending(node: LocalNode) -> bool:
    """True while any task is not fulfilled."""
    states = ("pending", "acquired", "suspended")
    return any(node.server.search("task", state=one, tags={}, limit=1, after=None) for one in states)


def main(db: str, log: str, lease_ms: str, *names: str) -> None:
    new.set_dependency("stage", Stage(log))
    with LocalNode(new, db, workers=4, lease_ms=int(lease_ms), sweep_interval_ms=SWEEP_MS) as node:
        for name in names:
            node.client.invoke(Invocation(function=name, args=ARGS[name], id=name))
        os.write(sys.stdout.fileno(), b"ready\n")
        while is_pending(node):
            answer(node)
            threading.Event().wait(LOOK_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
