"""Put an exported execution into a store, to be looked at there: halted, and never over what is stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from resonate_faas._errors import RequestRefusedError
from resonate_faas._histories import RecordedTree
from resonate_faas._machine import Turn, decide
from resonate_faas._machine.objects import (
    DEFAULT_RULES,
    TARGET,
    Object,
    Promise,
    PromiseObject,
    PromiseState,
    Task,
    TaskState,
)
from resonate_faas._machine.requests import OK, Need, Outcome, Reply
from resonate_faas._ports import TRANSACTION_MAX, Step, Store
from resonate_faas._server import read_only

BYTES_MAX: Final = 3_000_000
"""Payload bytes of one transaction (DynamoDB and Firestore: 4 MB)."""

REASON: Final = "imported"

_TAKEN: Final = "{!r} is stored already, and is not what the file says"


def import_tree(store: Store, tree: RecordedTree, *, target: str, now_ms: int) -> int:
    """Store the records that are not there yet, those without dependents first, the root last.

    Executions that had not ended are halted: continued, they replay what is on record and go on for real. They are
    delivered to ``target`` from then on, not where they came from.

    Args:
        store: where to.
        tree: what.
        target: the address of the deployment over the store.
        now_ms: epoch milliseconds.

    Returns:
        How many records are new.

    Raises:
        RequestRefusedError: (409) something else stands under one of the ids; nothing was stored.
        StoreError: the store failed; import the same file again to store the rest.
    """
    objects = [_imported(one, target, now_ms) for one in tree.records.values()]
    objects.sort(key=lambda one: (one.id == tree.root_id, one.id))
    chunks = list(_chunks(objects))
    fresh = sum(map(partial(_fresh, store), chunks))
    for chunk in chunks:
        result = store.transact([one.id for one in chunk], _step_of(chunk, now_ms))
        if not result.reply.ok:
            raise RequestRefusedError(result.reply.status, result.reply.error or "refused")
    return fresh


def _chunks(objects: Sequence[PromiseObject]) -> Iterator[list[PromiseObject]]:
    """Yield the objects in transactions that every store can hold."""
    chunk: list[PromiseObject] = []
    size = 0
    for one in objects:
        grows = len(one.promise.param.data or "") + len(one.promise.value.data or "")
        if chunk and (len(chunk) == TRANSACTION_MAX or size + grows > BYTES_MAX):
            yield chunk
            chunk, size = [], 0
        chunk.append(one)
        size += grows
    yield chunk


def _imported(promise: Promise, target: str, now_ms: int) -> PromiseObject:
    """Return the object of an imported promise."""
    if promise.target is None:
        return PromiseObject(promise=promise, at=now_ms)
    moved = replace(promise, tags={**promise.tags, TARGET: target})
    if promise.state is not PromiseState.PENDING:
        return PromiseObject(promise=moved, task=Task(state=TaskState.FULFILLED, version=0), at=now_ms)
    return PromiseObject(
        promise=moved, task=Task(state=TaskState.HALTED, version=0), at=now_ms, reason=REASON
    )


def _fresh(store: Store, chunk: Sequence[PromiseObject]) -> int:
    """Return how many of the promises are not stored.

    Raises:
        RequestRefusedError: another one stands under one of the ids.
    """
    stored = store.transact([one.id for one in chunk], read_only).objects
    for wanted in chunk:
        found = stored[wanted.id].object
        if found is not None and not _is_same(found, wanted):
            raise RequestRefusedError(409, _TAKEN.format(wanted.id))
    return sum(stored[one.id].object is None for one in chunk)


def _is_same(found: Object, wanted: PromiseObject) -> bool:
    """True if the two are of the same promise, whoever waits for it."""
    return isinstance(found, PromiseObject) and wanted.promise == replace(
        found.promise, callbacks=(), listeners=()
    )


def _step_of(chunk: Sequence[PromiseObject], now_ms: int) -> Step:
    def create(turn: Turn) -> Reply:
        for one in chunk:
            found = turn.stored(one.id)
            if found is None:
                turn.put(one)
            elif not _is_same(found, one):
                return Reply(status=409, error=_TAKEN.format(one.id))
        return Reply(status=OK)

    def step(given: Mapping[str, Object | None]) -> Outcome | Need:
        return decide(create, given, now_ms=now_ms, rules=DEFAULT_RULES)

    return step


__all__ = ["import_tree"]
