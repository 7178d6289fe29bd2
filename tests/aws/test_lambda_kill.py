"""Processes that are killed at random moments, and one that is told to end: nothing on record runs again, all ends right."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TypeVar

import pytest
from tests.aws.deployment import Deployed, until
from tests.aws.flows import STEPS
from tests.aws.witness import witness
from tests.crash.world import pause
from tests.emulators.lambda_runtime import FunctionError

T = TypeVar("T")

KILLS = 30
AT_A_TIME = 3
LEASE_MS = 1_000
"""Below the documented 10 s, which allow for two clocks: this machine has one."""
MOMENT_S = 0.12
"""A few steps; a kill falls before an effect, behind it, behind its record, between a commit and its message."""


@pytest.mark.slow
@pytest.mark.parametrize("seed", [4])
def test_workflows_survive_thirty_kills(tmp_path: Path, seed: int) -> None:
    moment = Random(seed)
    log = tmp_path / "steps"
    variables = {"TEST_LOG": str(log), "RESONATE_FAAS_SWEEP_SECONDS": "1"}
    with Deployed(
        tmp_path,
        "flows",
        worker={"lease_ms": LEASE_MS},
        variables=variables,
        visibility_s=1,
        concurrency=AT_A_TIME + 1,
    ) as deployed:
        seen = witness(deployed, log)
        roots: list[str] = []

        def strike() -> bool | None:
            """Look, see that there is enough to do, and kill whom the moment chooses; None: nobody is at work."""
            seen.look()
            at_work = [root for root in roots if root not in seen.settled]
            for _ in range(AT_A_TIME - len(at_work)):
                root = f"trip-{len(roots)}"
                deployed.direct("journey", root, STEPS)
                roots.append(root)
            return deployed.function.kill_one(moment.choice) or None

        for _ in range(KILLS):
            until(lambda: attempted(strike), deployed.told)
            attempted(deployed.tick)  # a message that was not sent any more is repeated by the sweep
            pause(moment, MOMENT_S)
        for root in roots:
            deployed.result(root)
        seen.look()
        for root in roots:
            seen.check_end(root)
        spare = STEPS  # on a busy machine a lease this short may be lost without a kill
        assert sum(seen.runs.values()) <= len(roots) * (STEPS + 1) + KILLS + spare


def attempted(call: Callable[[], T]) -> T | None:
    """Return what a call gives; None: it met a process that was just killed."""
    with contextlib.suppress(FunctionError):
        return call()
    return None


def test_sigterm_hands_the_task_on_at_once(tmp_path: Path) -> None:
    """The lease would last for longer than this test: only its release lets another process go on."""
    log = tmp_path / "steps"
    with Deployed(
        tmp_path, "flows", worker={"lease_ms": 300_000}, variables={"TEST_LOG": str(log)}, concurrency=2
    ) as deployed:
        deployed.direct("hanging", "told", 1)
        until(lambda: (log.exists() and "told:2 1" in log.read_text()) or None, deployed.told)
        assert deployed.function.end_one(lambda busy: busy[0])
        until(lambda: deployed.stored("told").promise.settled_at, deployed.told)
        assert deployed.value("told") == [1, "done"]
        assert log.read_text().split("\n")[:-1] == ["told:1 1", "told:2 1", "told:2 1"]
        assert deployed.function.errors == [], "the message was acknowledged before the process went"
