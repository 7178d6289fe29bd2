"""The simulation proves something: a build with one guard removed fails in it, for each of these guards."""

from __future__ import annotations

import pytest
from tests.simulation.canaries import CANARIES, SEEDS, Canary
from tests.simulation.simulation import simulate


@pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: canary.guard)
def test_without_this_a_seed_fails(canary: Canary) -> None:
    complaints = []
    with pytest.MonkeyPatch.context() as patch:
        canary.remove(patch)
        for seed in range(SEEDS):
            try:
                simulate(seed, **canary.options)
            except AssertionError as error:
                complaints.append(str(error))
                if canary.sign in str(error):
                    return
    raise AssertionError(f"{SEEDS} seeds did not notice: {complaints}")
