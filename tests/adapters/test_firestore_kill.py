"""SIGKILL at random moments, over Firestore: recorded steps never run again, and the workflow ends with the right result."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from tests.crash.journey import FAILURES, STEPS
from tests.crash.test_kill import check_end
from tests.crash.world import Process, Witness, pause
from tests.emulators.firestore import running

from resonate_faas._machine.objects import Promise, PromiseObject
from resonate_faas_gcp import FirestoreStore, firestore_channel

SCRIPT = Path(__file__).with_name("cloud_journey.py")
KILLS = 4
LEASE_MS = 3_000
"""Below the documented 10 s: one machine has one clock."""
STEP_MOMENT_S = 0.05
SEED = 20


class FirestoreWitness(Witness):
    """Looks at the project instead of a file."""

    def promises(self) -> dict[str, Promise]:
        channel = firestore_channel(running().address)
        found = FirestoreStore(str(self.db), channel=channel).search("promise", limit=1_000)
        channel.close()
        return {one.id: one.promise for one in found if isinstance(one, PromiseObject)}


@pytest.mark.slow
def test_a_workflow_survives_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = running()
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", emulator.address)
    moment = Random(SEED)
    witness = FirestoreWitness(Path(emulator.project()), tmp_path / "log")

    def start() -> Process:
        return Process(witness.db, witness.log, LEASE_MS, ("trip",), script=SCRIPT)

    for _ in range(KILLS):
        process = start()
        alive = process.hear(1 + moment.choice([1, 2, 3]))  # it is ready, and then so many steps run
        pause(moment, STEP_MOMENT_S)
        assert alive, process.end()
        process.kill()
        witness.look()
    last = start()
    errors = last.end()
    assert last.exit_code == 0, errors
    witness.look()
    check_end(witness, "trip")
    assert sum(witness.runs.values()) <= STEPS + FAILURES + 2 * KILLS
