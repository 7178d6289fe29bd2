"""Simulation: every shape under every kind of fault, first safety, then liveness; a seed repeats it all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from random import Random

import pytest
from tests.engine.chaos import Chaos, ChaosStore
from tests.engine.shapes import SHAPES, Shape

from resonate_faas._machine.objects import Object

FIXED = (1, 2, 3)
SEED_VARIABLE = "RESONATE_FAAS_SEED"


def simulate(shape: Shape, seed: int, store: type[ChaosStore] = ChaosStore) -> None:
    try:
        Chaos(shape, seed, store=store).run()
    except AssertionError as error:
        rerun = (
            f"{SEED_VARIABLE}={seed} pytest tests/engine/test_simulation.py -k 'fresh and {shape.function}'"
        )
        raise AssertionError(f"seed {seed}, shape {shape.function}: {error}\nrerun: {rerun}") from error


each_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.function)


@each_shape
@pytest.mark.parametrize("seed", FIXED)
def test_a_shape_keeps_its_promises_under_faults_and_ends_without(shape: Shape, seed: int) -> None:
    simulate(shape, seed)


@each_shape
def test_a_fresh_seed_finds_nothing_either(shape: Shape) -> None:
    simulate(shape, int(os.environ.get(SEED_VARIABLE) or secrets.randbits(32)))


class ForgetfulStore(ChaosStore):
    """Writes whatever the revisions are: the fence that everything stands on is gone."""

    def put(
        self, expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
    ) -> Mapping[str, int]:
        del expected
        return super().put({}, writes, nonce)


def test_the_canary_dies() -> None:
    """A store that ignores revisions must be found out, else the simulation proves nothing."""
    draws = Random(7)
    found = 0
    for _ in range(40):
        try:
            simulate(draws.choice(SHAPES), draws.randrange(1_000), ForgetfulStore)
        except AssertionError:
            found += 1
    assert found
