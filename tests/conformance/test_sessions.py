"""The embedded session keeps the contract of sessions over the stores of the laptop, also while answers are lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.sessions import EmbeddedStage

from resonate_faas.testing import Fault, FaultyStore, MemoryStore, SessionContract
from resonate_faas_local import SqliteStore


class TestSessionInMemory(SessionContract):
    @pytest.fixture
    def stage(self) -> EmbeddedStage:
        return EmbeddedStage(MemoryStore())


class TestSessionOverSqlite(SessionContract):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> Iterator[EmbeddedStage]:
        store = SqliteStore(tmp_path / "test.db", synchronous="NORMAL")
        yield EmbeddedStage(store)
        store.close()


class TestSessionWhileAnswersAreLost(SessionContract):
    """Each third write goes wrong, and neither the session nor what is left behind tells."""

    @pytest.fixture(params=[Fault.ANSWER_LOST, Fault.REQUEST_LOST, Fault.MOVED])
    def stage(self, request: pytest.FixtureRequest) -> EmbeddedStage:
        faults = dict.fromkeys(range(2, 300, 3), request.param)
        return EmbeddedStage(FaultyStore(MemoryStore(), faults, pause=lambda _: None))
