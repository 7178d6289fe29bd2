"""An exported execution put into a store: all of it, halted, and never over what is there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from resonate_faas import PromiseState, RequestRefusedError
from resonate_faas._histories import RecordedTree
from resonate_faas._history_import import import_tree
from resonate_faas._machine.objects import PARENT, TARGET, Promise, PromiseObject, TaskState, Value
from resonate_faas.testing import MemoryStore

START = 1_700_000_000_000
COUNT = 250  # more than two transactions


def promise(promise_id: str, **more: object) -> Promise:
    fields = {
        "id": promise_id,
        "state": PromiseState.RESOLVED,
        "param": Value(),
        "value": Value(data="MQ=="),
        "tags": {PARENT: "root"},
        "timeout_at": START + 1_000_000,
        "created_at": START,
        "settled_at": START + 1,
    }
    return Promise(**{**fields, **more})  # type: ignore[arg-type]


ROOT = promise(
    "root",
    state=PromiseState.PENDING,
    value=Value(),
    settled_at=None,
    tags={TARGET: "sqs://far-away", PARENT: "root"},
)
RECORDS = {one.id: one for one in (ROOT, *(promise(f"root:{number}") for number in range(1, COUNT)))}
TREE = RecordedTree(root_id="root", exported_at=START + 10, records=RECORDS)


def stored(store: MemoryStore) -> dict[str, PromiseObject]:
    return {one.id: one for one in store.search("promise", limit=1_000) if isinstance(one, PromiseObject)}


def put(store: MemoryStore, tree: RecordedTree = TREE) -> int:
    return import_tree(store, tree, target="local://default", now_ms=START + 20)


def test_all_of_it_is_there_and_halted() -> None:
    store = MemoryStore()
    assert put(store) == COUNT
    found = stored(store)
    assert {key: one.promise for key, one in found.items() if key != "root"} == {
        key: one for key, one in RECORDS.items() if key != "root"
    }
    root = found["root"]
    assert root.promise.tags == {TARGET: "local://default", PARENT: "root"}
    assert root.task is not None
    assert (root.task.state, root.reason) == (TaskState.HALTED, "imported")
    assert put(store) == 0
    assert stored(store) == found


def test_what_is_missing_is_added() -> None:
    store = MemoryStore()
    part = replace(TREE, records={key: one for key, one in RECORDS.items() if key in {"root:7", "root:8"}})
    put(store, part)
    assert put(store) == COUNT - 2


@pytest.mark.parametrize("promise_id", ["root", "root:1", "root:249"])
def test_nothing_is_stored_where_something_else_stands_under_one_of_the_ids(promise_id: str) -> None:
    store = MemoryStore()
    other = replace(RECORDS[promise_id], timeout_at=START + 5_000_000)
    put(store, replace(TREE, root_id=promise_id, records={promise_id: other}))
    before = stored(store)
    with pytest.raises(RequestRefusedError, match="is stored already, and is not what the file says"):
        put(store)
    assert stored(store) == before
