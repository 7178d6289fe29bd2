"""The simulation over Firestore: every shape under every kind of fault, with a real server's revisions and queries."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from tests.emulators.firestore import running
from tests.engine.chaos import ChaosStore
from tests.engine.shapes import SHAPES, Shape
from tests.engine.test_simulation import simulate

from resonate_faas.testing import PrimitiveStore
from resonate_faas_gcp import FirestoreStore, firestore_channel

SEED = 11


@cache
def channel() -> Any:
    """Return one channel for all: each simulation has a project of its own."""
    return firestore_channel(running().address)


class FirestoreChaos(ChaosStore):
    """Fails by the dice, over Firestore instead of memory."""

    def __init__(self, inner: PrimitiveStore) -> None:
        del inner
        super().__init__(FirestoreStore(running().project(), channel=channel()))


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.function)
def test_a_shape_keeps_its_promises_under_faults_and_ends_without(shape: Shape) -> None:
    running()
    simulate(shape, SEED, FirestoreChaos)
