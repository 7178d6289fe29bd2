"""The simulation does what it says: every fault occurs, every workload runs, a seed repeats it all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.simulation.canaries import Forgetful
from tests.simulation.simulation import Simulation, simulate
from tests.simulation.workloads import BY_NAME, SHAPED, WORKLOADS

ROOT = Path(__file__).parents[2]

OCCURS = (
    "dies before read",
    "dies after write",
    "dies before sending",
    "dies after sending",
    "the answer was lost",
    "the request was lost",
    "a write given up long ago lands",
    "unavailable",
    "stalls until",
    "lost: execute",
    "lost: poke",
    "stop p",
    "crash",
    "ended done",
    "ended suspended",
    "ended released",
    "ended lost",
    "ended nothing",
    "delivery failed",
    "release 2",
    "attempt 2",
    "send unblock",
)
"""Words of a trace: each must be read in some seed, else the simulation does not do what it says."""
OVERLAPS = 3


@pytest.mark.parametrize("workload", [*SHAPED, *WORKLOADS], ids=lambda workload: workload.function)
def test_each_workload_alone(workload: object) -> None:
    for seed in range(1, 3):
        simulate(seed, only=(workload,))


def test_every_kind_of_fault_occurs_and_activations_of_one_task_overlap() -> None:
    """One holder is in the middle of its work when another takes the lease over."""
    heard: set[str] = set()
    overlaps = 0
    for seed in range(1_000, 1_060):
        trace = "\n".join(simulate(seed).trace)
        heard |= {words for words in OCCURS if words in trace}
        overlaps += trace.count("ended lost")
        if heard == set(OCCURS) and overlaps >= OVERLAPS:
            return
    raise AssertionError(f"never heard: {set(OCCURS) - heard}; {overlaps} overlaps")


def test_a_seed_repeats_itself() -> None:
    for seed in (3, 4, 5):
        first, again = simulate(seed), simulate(seed)
        assert first.trace == again.trace
        assert first.audit.objects == again.audit.objects


def test_a_seed_repeats_itself_in_another_process() -> None:
    """Nothing depends on the order of sets, on addresses or on the machine's own clock and dice."""
    told = [
        subprocess.run(
            [sys.executable, "-P", "-m", "tests.simulation", "--seed", "7", "--fingerprint"],
            cwd=ROOT,
            env={"PYTHONHASHSEED": str(salt), "PYTHONPATH": f"{ROOT}:{ROOT / 'core'}:{ROOT / 'adapters'}"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for salt in (1, 2)
    ]
    assert told == [simulate(7).fingerprint] * 2


def test_a_failing_seed_tells_how_to_repeat_it_and_what_happened() -> None:
    failing = next(seed for seed in range(20) if is_noticed(seed))
    with pytest.raises(AssertionError) as failed:
        simulate(failing, only=(BY_NAME["deep"],), process_store=Forgetful)
    words = str(failed.value)
    assert words.startswith(f"seed {failing}: ")
    assert f"make simulate SEED={failing} ONLY=deep" in words
    assert " write deep" in words


def is_noticed(seed: int) -> bool:
    try:
        simulate(seed, only=(BY_NAME["deep"],), process_store=Forgetful)
    except AssertionError:
        return True
    return False


def test_a_simulation_that_never_ends_says_what_is_left() -> None:
    simulation = Simulation(1, only=(BY_NAME["sleeping"],), calm_ms=1_000, faults_ms=(1_000, 2_000))
    with pytest.raises(AssertionError, match="it never ends: \\['sleeping"):
        simulation.run()
