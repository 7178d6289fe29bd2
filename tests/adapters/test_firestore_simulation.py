"""The simulation over Firestore: workloads of every kind under every fault, with a real server's revisions and queries."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from tests.emulators.firestore import running
from tests.simulation.simulation import simulate

from resonate_faas._machine.objects import Rules
from resonate_faas_gcp import FirestoreStore, firestore_channel

SEEDS = range(11, 14)


@cache
def channel() -> Any:
    """Return one channel for all: each simulation has a project of its own."""
    return firestore_channel(running().address)


def firestore(rules: Rules) -> FirestoreStore:
    return FirestoreStore(running().project(), channel=channel(), rules=rules)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_workloads_keep_their_promises_under_faults_and_end_without(seed: int) -> None:
    running()
    simulate(seed, store=firestore)
