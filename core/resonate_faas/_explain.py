"""Why an execution or promise stands still: what it awaits, who holds it, what is tried again, what comes next.

It reads one object and one partition, and what of the same call tree is pending; nothing is written but what
deadlines have decided.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from resonate_faas._engine.ids import child_prefix
from resonate_faas._machine.ids import owner
from resonate_faas._machine.objects import (
    ORIGIN,
    PARENT,
    PromiseObject,
    PromiseState,
    TaskState,
    due,
    is_live,
    project,
)
from resonate_faas._ports import SEARCH_LIMIT_MAX
from resonate_faas._server import Server

PENDING_MAX: Final = SEARCH_LIMIT_MAX
"""Pending promises of the tree that are looked at for what lies outside the execution's own partition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A promise and what is known of its waiting.

    Attributes:
        found: the promise, as it stands.
        at: when it was read, epoch milliseconds.
        due_at: the next instant at which time alone does something to it; None: never.
        holder: the execution whose activations record it; None: it has a task of its own, or nobody records it.
        awaited: the promises whose settlement resumes it, if it is suspended: of what it waits for the few that
            suffice (docs/adr/0002-suspend-on-one-need-per-frame.md). An execution with an id of
            the user's own is a call tree of its own, and not found.
        retries: the timers of failed attempts whose next attempt is still to come, in call order.
        calls: its calls that are not settled, those with ids of the user's own last.
        records: how many records its activations replay; 0: it has no task.
    """

    found: PromiseObject
    at: int
    due_at: int | None
    holder: PromiseObject | None
    awaited: tuple[PromiseObject, ...] = ()
    retries: tuple[PromiseObject, ...] = ()
    calls: tuple[PromiseObject, ...] = ()
    records: int = 0


def explain(server: Server, promise_id: str) -> Explanation | None:
    """Return why a promise waits; None: it is unknown.

    Raises:
        StoreError: the store failed.
    """
    ids = list(dict.fromkeys((promise_id, owner(promise_id))))
    known = server.observe(ids)
    found = known.get(promise_id)
    if found is None:
        return None
    at = max(server.clock.now_ms(), found.at)
    holder = known.get(owner(promise_id)) if owner(promise_id) != promise_id else None
    due_at = due(found, server.rules)
    task = found.task
    if task is None or found.promise.state is not PromiseState.PENDING:
        records = sum(1 for _ in _partition(server, found, at)) if task is not None else 0
        return Explanation(found=found, at=at, due_at=due_at, holder=holder, records=records)
    recorded = list(_partition(server, found, at))
    pending = [one for one in recorded if is_live(one.promise, at)]
    retries = [one for one in pending if _is_attempt(one.id)]
    tree = _pending_of_tree(server, found, at)
    resuming = [*pending, *tree] if task.state is TaskState.SUSPENDED else []
    own_ids = [one for one in tree if _caller(one) == promise_id]
    return Explanation(
        found=found,
        at=at,
        due_at=due_at,
        holder=holder,
        awaited=tuple(one for one in resuming if promise_id in one.promise.callbacks),
        retries=tuple(retries),
        calls=(*(one for one in pending if one not in retries), *own_ids),
        records=len(recorded),
    )


def _partition(server: Server, root: PromiseObject, at: int) -> Iterator[PromiseObject]:
    """Yield what this execution's activations have recorded; what an earlier one of the same id left is not its."""
    for page in server.store.history(root.id):
        for versioned in page:
            one = versioned.object
            if isinstance(one, PromiseObject) and (
                not one.birth or not root.birth or one.birth == root.birth
            ):
                yield project(one, at)


def _pending_of_tree(server: Server, found: PromiseObject, at: int) -> list[PromiseObject]:
    """Return pending promises of the call tree whose ids the user chose: they lie outside the partition."""
    origin = found.promise.tags.get(ORIGIN, found.id)
    page = server.search(
        "promise",
        state=PromiseState.PENDING,
        tags={ORIGIN: origin},
        limit=PENDING_MAX,
        after=None,
        now_ms=at,
    )
    return [
        one
        for one in page
        if isinstance(one, PromiseObject)
        and is_live(one.promise, at)
        and owner(one.id) not in {found.id, origin}
    ]


def _caller(called: PromiseObject) -> str:
    """Return the id of the execution whose activation made a call."""
    return owner(f"{child_prefix(called.promise.tags.get(PARENT, called.id))}1")


def _is_attempt(promise_id: str) -> bool:
    """True if the id is a failed attempt's: the timer of the next one."""
    last = promise_id[max(promise_id.rfind("."), promise_id.rfind(":")) + 1 :]
    return ":" in promise_id and last.startswith("a") and last[1:].isdecimal()


__all__ = ["Explanation", "explain"]
