"""The suites of the server and the worker, and the contract of sessions, over DynamoDB: the same tests, other worlds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from tests.adapters.dynamodb_tables import fresh_store
from tests.adapters.suites import adopted
from tests.conformance.sessions import EmbeddedStage
from tests.worker.kit import World

from resonate_faas._machine.objects import DEFAULT_RULES, Rules
from resonate_faas.testing import SessionContract

DAY_MS: Final = 86_400_000
pytestmark = pytest.mark.slow


def made_world(*, auto: bool, rules: Rules = DEFAULT_RULES) -> Iterator[World]:
    world = World(fresh_store(rules=rules), auto=auto, rules=rules)
    yield world
    world.close()


@pytest.fixture
def world() -> Iterator[World]:
    """A world whose clock only the test moves."""
    yield from made_world(auto=False)


@pytest.fixture
def skipping() -> Iterator[World]:
    """A world whose clock moves on when the test's own thread waits."""
    yield from made_world(auto=True)


@pytest.fixture
def keeping() -> Iterator[World]:
    """A world that keeps settled trees for a day."""
    yield from made_world(auto=True, rules=Rules(retention_ms=DAY_MS))


globals().update(adopted())


def test_there_are_tests_to_run() -> None:
    assert sum(name.startswith("test_") for name in globals()) > 60


class TestSessionOverDynamoDB(SessionContract):
    @pytest.fixture
    def stage(self) -> EmbeddedStage:
        return EmbeddedStage(fresh_store())
