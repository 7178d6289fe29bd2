"""Executions with a long history on record, made once and replayed from many times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench.counted import workflows

from resonate_faas import Resonate, Store
from resonate_faas._engine.execution import EngineSettings, Execution
from resonate_faas._engine.watch import Watch
from resonate_faas._machine.objects import Promise, PromiseObject, PromiseState
from resonate_faas._worker import Ended
from resonate_faas.testing import MemoryDeployment, PrimitiveStore
from resonate_faas_local import SqliteStore

PROMISES_MAX: Final = 1_000_000
FUNCTION: Final = "sequence_then_wait"
ROOT_ID: Final = "root"


def deployment(store: Store) -> MemoryDeployment:
    """Return a deployment over the store, steps inline, time simulated."""
    return MemoryDeployment(workflows(), store=store, promises_max=PROMISES_MAX)


def record(store: PrimitiveStore, steps: int) -> MemoryDeployment:
    """Run an execution of so many steps, one after another, until it waits for a promise from outside."""
    deployed = deployment(store)
    deployed.start(FUNCTION, steps, id=ROOT_ID)
    deployed.deliver_due()
    if deployed.ended != [Ended.SUSPENDED]:
        raise RuntimeError(f"the execution is to wait, it ended as {deployed.ended}")
    return deployed


def record_file(path: Path, steps: int) -> None:
    """Leave a SQLite file with such an execution, whose promise is settled: its next activation replays and ends."""
    store = SqliteStore(path, synchronous="NORMAL")
    deployed = record(store, steps)
    deployed.client.settle(f"{ROOT_ID}:{steps + 1}", PromiseState.RESOLVED, 1)
    store.close()


@dataclass(frozen=True, slots=True)
class Recorded:
    """A root and its history, as an activation has them after it read them."""

    root: PromiseObject
    history: Mapping[str, Promise]


def read_history(store: Store) -> Recorded:
    """Read a root and its history: what an activation reads before it replays."""
    found = store.search("promise", limit=1)[0]
    if not isinstance(found, PromiseObject):
        raise TypeError(found)
    history = {
        versioned.object.id: versioned.object.promise
        for page in store.history(ROOT_ID)
        for versioned in page
        if isinstance(versioned.object, PromiseObject)
    }
    return Recorded(found, history)


def replay(resonate: Resonate, recorded: Recorded, *args: Any, watch: Watch | None = None) -> Execution:
    """Replay a history with the engine alone, to where it waits or ends."""
    root = recorded.root
    execution = Execution(
        root.promise,
        root.birth,
        resonate.registry.get(FUNCTION),
        args,
        {},
        history=recorded.history,
        registry=resonate.registry,
        codec=resonate.codec,
        settings=EngineSettings(promises_max=PROMISES_MAX, watch=watch),
    )
    turn = execution.advance(root.promise.created_at)
    if turn.effects:
        raise RuntimeError(f"a replay records nothing, it recorded {turn.effects[:1]}")
    return execution
