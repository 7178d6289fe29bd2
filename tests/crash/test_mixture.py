"""The workloads of the simulation as real processes over SQLite, under SIGKILL: what they come to is what a plain run does."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.crash.mixture import ARGS
from tests.crash.world import Process, Witness, pause
from tests.simulation.workloads import BY_NAME, fits, new

from resonate_faas._engine.codec import NO_HINT
from resonate_faas._machine.objects import Promise, PromiseState

KILLS = 5
LEASE_MS = 1_500
"""Below the documented 10 s, which allow for two clocks: one machine has one clock."""
MOMENT_S = 0.15
MIXTURE = Path(__file__).with_name("mixture.py")


def outcome(promise: Promise) -> tuple[str, Any]:
    if promise.state is PromiseState.RESOLVED:
        return "value", new.codec.decode(promise.value, NO_HINT, promise.id)
    error = new.codec.decode_error(promise)
    return type(error).__name__, str(error)


def check_ends(found: dict[str, Promise]) -> None:
    """Hold each root, and each that it started, to a plain run."""
    for name, args in ARGS.items():
        came_to = outcome(found[name])
        assert any(fits(came_to, expected) for expected in BY_NAME[name].outcomes(args)), (name, came_to)
        successors = [
            outcome(one)[1] for key, one in found.items() if key.startswith(f"{name}-d") and ":" not in key
        ]
        assert sorted(successors) == sorted(BY_NAME[name].successors(args))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [5])
def test_workloads_of_all_kinds_survive_kills(tmp_path: Path, seed: int) -> None:
    moment = Random(seed)
    witness = Witness(tmp_path / "mixture.db", tmp_path / "log")

    def start() -> Process:
        return Process(witness.db, witness.log, LEASE_MS, tuple(ARGS), script=MIXTURE)

    kills = 0
    while kills < KILLS:
        process = start()
        if not process.hear(1 + moment.choice([0, 0, 1, 2])):  # it was done before its turn to die
            process.end()
            break
        pause(moment, MOMENT_S)
        process.kill()
        kills += 1
        witness.look()
    assert kills, "nothing was killed"
    last = start()
    errors = last.end()
    assert last.exit_code == 0, errors
    witness.look()
    check_ends(witness.promises())
