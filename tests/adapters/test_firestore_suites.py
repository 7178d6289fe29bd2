"""The suites of the server and the worker, over Firestore: the same tests, other worlds."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

import pytest
from tests.emulators.firestore import FirestoreEmulator, running
from tests.worker.kit import World

from resonate_faas._machine.objects import DEFAULT_RULES, Rules
from resonate_faas_gcp import FirestoreStore, firestore_channel

DAY_MS: Final = 86_400_000

SUITES: Final = (
    "tests.server.test_delivery",
    "tests.server.test_reads",
    "tests.server.test_retention",
    "tests.server.test_schedules",
    "tests.server.test_wakes",
    "tests.worker.test_barren",
    "tests.worker.test_budget",
    "tests.worker.test_deadline",
    "tests.worker.test_faults",
    "tests.worker.test_lease",
    "tests.worker.test_lost",
    "tests.worker.test_skew",
    "tests.worker.test_steps",
    "tests.worker.test_waiting",
)
WORLDS: Final = {"world", "skipping", "keeping"}
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


def adopt() -> None:
    """Make the tests that live in a world this module's own, under their suites' names."""
    for suite in SUITES:
        module = import_module(suite)
        for name, test in vars(module).items():
            if name.startswith("test_") and WORLDS & set(test.__code__.co_varnames[: _arguments(test)]):
                globals()[f"{name}__{suite.rpartition('.test_')[2]}"] = test


def _arguments(test: Any) -> int:
    return int(test.__code__.co_argcount + test.__code__.co_kwonlyargcount)


adopt()


def test_there_are_tests_to_run() -> None:
    assert sum(name.startswith("test_") for name in globals()) > 60
