"""SIGKILL at any moment: recorded steps never run again, nothing is lost, and the workflow ends with the right result."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from tests.crash.journey import FAILURES, REMOTE, STEPS, STUBBORN
from tests.crash.world import Process, Witness, pause

from resonate_faas._engine.codec import NO_HINT, Codec
from resonate_faas._machine.objects import Promise, PromiseState

RESULT = [place * place for place in range(1, STEPS + 1)]
KILLS = 16
LEASE_MS = 600
"""Below the documented 10 s, which allow for two clocks: one machine has one clock."""
STEP_MOMENT_S = 0.025
"""A step is busy for 0.02 s: a kill falls before its effect, behind its effect, behind its record."""


def step_ids(root: str) -> set[str]:
    """Return the ids of all steps, from the workflow's code: the nap after step 12 takes a number too."""
    numbers = {place: place if place <= 12 else place + 1 for place in range(1, STEPS + 1)}
    return {
        f"{root}:{number}r.1" if place in REMOTE else f"{root}:{number}" for place, number in numbers.items()
    }


def check_end(witness: Witness, root: str) -> None:
    """Check the result, and that every promise of the execution is settled, each once."""
    found = {one: promise for one, promise in witness.promises().items() if one.partition(":")[0] == root}
    assert value(found[root]) == RESULT
    assert {promise.state for promise in found.values()} <= {PromiseState.RESOLVED}
    steps = step_ids(root)
    assert {one for one in witness.runs if one.partition(":")[0] == root} == steps
    calls = {f"{root}:{place if place <= 12 else place + 1}r" for place in REMOTE}
    failures = {f"{root}:{STUBBORN}.a{number}" for number in range(1, FAILURES + 1)}
    assert set(found) == {root, f"{root}:13"} | steps | calls | failures
    assert set(witness.attempts[f"{root}:{STUBBORN}"]) == set(range(1, FAILURES + 2))


def value(promise: Promise) -> object:
    return Codec().decode(promise.value, NO_HINT, promise.id)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [20])
def test_a_workflow_survives_sixteen_kills(tmp_path: Path, seed: int) -> None:
    moment = Random(seed)
    witness = Witness(tmp_path / "journey.db", tmp_path / "log")

    def start() -> Process:
        return Process(witness.db, witness.log, LEASE_MS, ("trip",))

    kills, steps = 0, step_ids("trip")
    while kills < KILLS:
        process = start()
        is_near_the_end = len(steps & witness.settled.keys()) > STEPS - 4
        progress = 0 if is_near_the_end else moment.choice([0, 1, 2, 2, 3])
        alive = process.hear(1 + progress)  # it is ready, and then so many steps run
        if not is_near_the_end:
            pause(moment, STEP_MOMENT_S if progress else LEASE_MS / 4000)
        assert alive, f"it ended after {kills} kills: {process.end()}"
        process.kill()
        kills += 1
        witness.look()
    last = start()
    errors = last.end()
    assert last.exit_code == 0, errors
    witness.look()
    check_end(witness, "trip")
    spare = STEPS  # on a busy machine a lease this short may be lost without a kill
    assert sum(witness.runs.values()) <= STEPS + FAILURES + KILLS + spare  # a kill costs the step it hits


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2])
def test_two_processes_share_a_file_and_die_in_turn(tmp_path: Path, seed: int) -> None:
    moment = Random(seed)
    witness = Witness(tmp_path / "journey.db", tmp_path / "log")
    roots = ("north", "south", "west")

    def start() -> Process:
        return Process(witness.db, witness.log, 3 * LEASE_MS, roots)

    processes = [start(), start()]
    for _ in range(KILLS // 2):
        victim = moment.randrange(2)
        processes[victim].hear(1 + moment.randrange(4))
        pause(moment, STEP_MOMENT_S)
        processes[victim].kill()
        processes[victim] = start()
        witness.look()
    for process in processes:
        errors = process.end()
        assert process.exit_code == 0, errors
    witness.look()
    for root in roots:
        check_end(witness, root)
