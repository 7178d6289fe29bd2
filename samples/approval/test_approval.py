"""A person approves, rejects, or does not answer."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from resonate_faas._machine.objects import PromiseState
from resonate_faas.testing import MemoryDeployment

WEEK_S = 7 * 86_400.0


@pytest.fixture
def outbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "outbox"
    monkeypatch.setenv("APPROVAL_OUTBOX", str(path))
    return path


@pytest.fixture
def asked(workflows: ModuleType, outbox: Path) -> MemoryDeployment:
    deployment = MemoryDeployment(workflows.resonate)
    deployment.start("approval", "buy a boat", "ada@example.com", WEEK_S)
    deployment.settle(until_ms=deployment.clock.now_ms() + 1_000)
    assert "approve: http://test.invalid/promises/root%3A1/resolve?token=" in outbox.read_text()
    return deployment


def test_approved_after_three_days(asked: MemoryDeployment, outbox: Path) -> None:
    asked.clock.advance(3 * 86_400_000)
    asked.client.settle("root:1", PromiseState.RESOLVED, "enjoy")
    asked.settle(until_ms=asked.clock.now_ms())
    assert asked.result() == {"request": "buy a boat", "state": "approved", "note": "enjoy"}
    assert outbox.read_text().count("To: ") == 1


def test_rejected(asked: MemoryDeployment) -> None:
    asked.client.settle("root:1", PromiseState.REJECTED, "too big")
    asked.settle(until_ms=asked.clock.now_ms())
    assert asked.result() == {"request": "buy a boat", "state": "rejected", "note": "too big"}


def test_no_answer_until_the_deadline(asked: MemoryDeployment) -> None:
    asked.settle()
    assert asked.result()["state"] == "expired"
