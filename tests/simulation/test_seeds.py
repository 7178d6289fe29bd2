"""Workflows of every kind under every kind of fault: first safety, then liveness."""

from __future__ import annotations

import secrets

import pytest
from tests.simulation.simulation import simulate

SEEDS = 200
BATCH = 10
FRESH = 10


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_workloads_keep_their_promises_under_faults_and_end_without(first: int) -> None:
    for seed in range(first, first + BATCH):
        simulate(seed)


def test_fresh_seeds_find_nothing_either() -> None:
    for _ in range(FRESH):
        simulate(secrets.randbits(32))
