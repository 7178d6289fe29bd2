"""The suites of the server and the worker, and the contract of sessions, over Firestore: the same tests, other worlds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
from tests.adapters.suites import adopted
from tests.conformance.sessions import EmbeddedStage
from tests.emulators.firestore import FirestoreEmulator, running
from tests.worker.kit import World

from resonate_faas._machine.objects import DEFAULT_RULES, Rules
from resonate_faas.testing import SessionContract
from resonate_faas_gcp import FirestoreStore, firestore_channel

DAY_MS: Final = 86_400_000

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def channel() -> Iterator[Any]:
    emulator = running()
    made = firestore_channel(emulator.address)
    yield made
    made.close()


def made_world(channel: Any, *, auto: bool, rules: Rules = DEFAULT_RULES) -> Iterator[World]:
    store = FirestoreStore(FirestoreEmulator("").project(), channel=channel, rules=rules)
    world = World(store, auto=auto, rules=rules)
    yield world
    world.close()


@pytest.fixture
def world(channel: Any) -> Iterator[World]:
    """A world whose clock only the test moves."""
    yield from made_world(channel, auto=False)


@pytest.fixture
def skipping(channel: Any) -> Iterator[World]:
    """A world whose clock moves on when the test's own thread waits."""
    yield from made_world(channel, auto=True)


@pytest.fixture
def keeping(channel: Any) -> Iterator[World]:
    """A world that keeps settled trees for a day."""
    yield from made_world(channel, auto=True, rules=Rules(retention_ms=DAY_MS))


globals().update(adopted())


def test_there_are_tests_to_run() -> None:
    assert sum(name.startswith("test_") for name in globals()) > 60


class TestSessionOverFirestore(SessionContract):
    @pytest.fixture
    def stage(self, channel: Any) -> EmbeddedStage:
        return EmbeddedStage(FirestoreStore(FirestoreEmulator("").project(), channel=channel))
