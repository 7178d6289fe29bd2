"""The samples' business code over Firestore gives what it gives over memory."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.emulators.firestore import FirestoreEmulator, running

from resonate_faas._machine.objects import DEFAULT_RULES, PromiseObject, PromiseState, Rules
from resonate_faas.testing import MemoryDeployment
from resonate_faas_gcp import FirestoreStore, firestore_channel

SAMPLES = Path(__file__).parents[2] / "samples"
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def emulator() -> FirestoreEmulator:
    return running()


@pytest.fixture
def channel(emulator: FirestoreEmulator) -> Iterator[Any]:
    made = firestore_channel(emulator.address)
    yield made
    made.close()


@pytest.fixture
def project(emulator: FirestoreEmulator) -> str:
    return emulator.project()


def workflows(sample: str) -> ModuleType:
    """Return the sample's module, freshly loaded."""
    path = SAMPLES / sample / "workflows.py"
    name = f"firestore_{sample}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def deployed(sample: str, project: str, channel: Any, rules: Rules = DEFAULT_RULES) -> MemoryDeployment:
    store = FirestoreStore(project, channel=channel, rules=rules)
    return MemoryDeployment(workflows(sample).resonate, store=store, rules=rules)


def records(deployment: MemoryDeployment) -> dict[str, tuple[str, str | None]]:
    """Return the state and the value of each promise."""
    found = deployment.store.search("promise", limit=1_000)
    return {
        one.id: (one.promise.state.value, one.promise.value.data)
        for one in found
        if isinstance(one, PromiseObject)
    }


def test_the_countdown(project: str, channel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTDOWN_LOG", str(tmp_path / "announced"))
    deployment = deployed("countdown", project, channel)
    assert deployment.run("countdown", 5, 720.0) == "lift-off"
    assert (tmp_path / "announced").read_text().split() == ["5", "4", "3", "2", "1"]
    in_memory = MemoryDeployment(workflows("countdown").resonate)
    in_memory.run("countdown", 5, 720.0)
    assert records(deployment) == records(in_memory)


def test_the_report_of_a_hundred_tasks(project: str, channel: Any) -> None:
    deployment = deployed("fanout_report", project, channel)
    report = deployment.run("report")
    assert report == {"total": 49_500, "regions": 100, "best": "region-099", "retried": ["region-042"]}


def test_a_chain_of_games(project: str, channel: Any) -> None:
    deployment = deployed("play", project, channel)
    deployment.run("play", 1, 20, 60.0)
    roots = [one for one in records(deployment) if ":" not in one]
    assert len(roots) == 20
    for root in roots:
        assert len([record for page in deployment.store.history(root) for record in page]) <= 3


def test_an_approval_that_comes_after_three_days(
    project: str, channel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = tmp_path / "outbox"
    monkeypatch.setenv("APPROVAL_OUTBOX", str(outbox))
    deployment = deployed("approval", project, channel)
    deployment.start("approval", "buy a boat", "ada@example.com", 7 * 86_400.0)
    deployment.settle(until_ms=deployment.clock.now_ms() + 3 * DAY_MS)
    deployment.client.settle("root:1", PromiseState.RESOLVED, "enjoy")
    deployment.settle(until_ms=deployment.clock.now_ms())
    assert deployment.result() == {"request": "buy a boat", "state": "approved", "note": "enjoy"}
    assert outbox.read_text().count("To: ") == 1


def test_retention_leaves_nothing_of_what_was_settled_long_ago(
    project: str, channel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leaves first, the root last; the same id then starts afresh."""
    monkeypatch.setenv("COUNTDOWN_LOG", str(tmp_path / "announced"))
    deployment = deployed("countdown", project, channel, Rules(retention_ms=DAY_MS))
    deployment.start("countdown", 3, 60.0)
    deployment.settle(until_ms=deployment.clock.now_ms() + DAY_MS // 2)
    assert deployment.result() == "lift-off"
    deployment.settle()
    assert records(deployment) == {}
    deployment.start("countdown", 1, 60.0)
    deployment.settle(until_ms=deployment.clock.now_ms() + DAY_MS // 2)
    assert deployment.result() == "lift-off"
