"""Recorded histories: today's engine replays what yesterday's wrote, and tells code that changed from code that did not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.replay.code import FUNCTIONS
from tests.replay.recording import HISTORIES, PLANS, recorded

from resonate_faas import NonDeterminismError, Resonate
from resonate_faas._engine.execution import EngineSettings, Execution, Round
from resonate_faas._engine.invocation import invoked
from resonate_faas._machine.objects import Promise, PromiseObject, PromiseState
from resonate_faas._records import decode_object

EVERY = sorted(HISTORIES.glob("*.json"))


def stored(fields: dict[str, Any]) -> PromiseObject:
    found = decode_object(json.dumps(fields).encode())
    assert isinstance(found, PromiseObject)
    return found


def replayed(
    recording: dict[str, Any], *, with_code: str | None = None
) -> tuple[list[str], Round, Promise, Resonate]:
    """Replay a recording without a store, optionally with the code of another function in its place."""
    resonate = Resonate()
    for one in FUNCTIONS:
        if one.__name__ == with_code:
            resonate.register(name=recording["function"])(one)
        elif with_code is None or one.__name__ != recording["function"]:
            resonate.register(one)
    root = stored(recording["root"])
    function, args, kwargs = invoked(root.promise, resonate.registry, resonate.codec)
    execution = Execution(
        root.promise,
        root.birth,
        function,
        args,
        kwargs,
        history={record.id: record.promise for record in map(stored, recording["records"])},
        registry=resonate.registry,
        codec=resonate.codec,
        settings=EngineSettings(),
    )
    try:
        turn = execution.advance(root.at)
        return execution.awaiting(), turn, root.promise, resonate
    finally:
        execution.close()


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_every_plan_has_its_history() -> None:
    assert [path.stem for path in EVERY] == sorted(PLANS)


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_a_recorded_history_is_replayed_without_divergence(path: Path) -> None:
    recording = load(path)
    awaiting, turn, root, resonate = replayed(recording)
    assert not turn.effects
    assert not turn.launches
    if recording["outcome"] is None:
        assert turn.finish is None
        assert awaiting == recording["awaiting"]
        return
    assert turn.finish is not None
    assert (turn.finish.state, turn.finish.value) == (root.state, root.value)
    assert root.state is PromiseState.RESOLVED
    assert ["value", resonate.codec.decode(turn.finish.value, Any, "root")] == recording["outcome"]


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_todays_engine_records_the_same_calls(path: Path) -> None:
    """A change of ids, params or tags would strand executions that are under way: it needs a history of its own."""

    def calls(recording: dict[str, Any]) -> list[tuple[Any, ...]]:
        return [(one["id"], one["state"], one["param"], one.get("tags")) for one in recording["records"]]

    assert calls(recorded(path.stem)) == calls(load(path))


@pytest.mark.parametrize(
    ("name", "changed", "promise_id", "was", "now"),
    [
        ("purchase-ended", "purchase_reordered", "root:2", "now now", "run charge"),
        ("purchase-waiting", "purchase_reordered", "root:2", "now now", "run charge"),
        ("chooser-ended", "chooser_unlimited", "root:3", "race race", "sleep sleep"),
        ("persistent-ended", "persistent_no_more", "root:1", "run unreliable", "run label"),
    ],
)
def test_a_history_replayed_by_changed_code_is_a_divergence(
    name: str, changed: str, promise_id: str, was: str, now: str
) -> None:
    recording = load(HISTORIES / f"{name}.json")
    with pytest.raises(NonDeterminismError) as caught:
        replayed(recording, with_code=changed)
    error = caught.value
    assert error.promise_id == promise_id
    assert error.recorded.startswith(was)
    assert error.present.startswith(now)
    assert Path(error.line.rpartition(":")[0]).name == "code.py"
