"""The countdown, in memory: an hour of it takes no time."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from resonate_faas.testing import MemoryDeployment


def test_every_number_is_announced_once_and_in_order(
    workflows: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "announced"
    monkeypatch.setenv("COUNTDOWN_LOG", str(log))
    deployment = MemoryDeployment(workflows.resonate)
    began = deployment.clock.now_ms()

    assert deployment.run("countdown", 5, 720.0) == "lift-off"

    assert log.read_text().split() == ["5", "4", "3", "2", "1"]
    assert deployment.clock.now_ms() - began >= 3_600_000


def test_the_invocation_ends_while_it_sleeps(workflows: ModuleType) -> None:
    deployment = MemoryDeployment(workflows.resonate)
    deployment.run("countdown", 3, 60.0)
    assert [ended.value for ended in deployment.ended if ended.value != "nothing"] == ["suspended"] * 3 + [
        "done"
    ]
