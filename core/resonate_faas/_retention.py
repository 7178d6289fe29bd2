"""Retention: the sweep deletes whole settled trees, leaves first, the root last (design section 4). Off by default.

A tree of more than one transaction is marked first: should its deletion stop half-way and no sweep go on with it, a store
that knows a time to live deletes the rest by itself, late. A small tree goes at once, and needs no mark.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from resonate_faas._machine.objects import ORIGIN, PromiseObject, PromiseState, due, is_root
from resonate_faas._machine.requests import OK, Reply
from resonate_faas._ports import SEARCH_LIMIT_MAX, TRANSACTION_MAX

if TYPE_CHECKING:
    from resonate_faas._machine import Turn
    from resonate_faas._server import Server

log = logging.getLogger("resonate_faas.retention")

CONFLICT: Final = 409

CHUNK: Final = TRANSACTION_MAX // 3
"""Objects of one transaction: a store may keep param and value of each in items of their own."""

BACKSTOP_MS: Final = 7 * 86_400_000
"""How long after its retention a marked tree may still be there: sweeps that failed for a week will not go on."""


def expire(server: Server, root: PromiseObject, now_ms: int) -> bool:
    """Delete the tree of a root whose retention has passed, if all of it is settled and drained.

    Returns:
        True if the tree is gone.
    """
    rules = server.rules
    if rules.retention_ms is None or not is_root(root.promise):
        return False
    instant = due(root, rules)
    if instant is None or instant > now_ms or not _is_done(root):
        return False
    members: list[str] = []
    for member in _tree(server, root.id):
        if not _is_done(member):
            return False
        members.append(member.id)
    leaves_first = sorted((member for member in members if member != root.id), key=_depth, reverse=True)
    members = [*leaves_first, root.id]
    chunks = [members[start : start + CHUNK] for start in range(0, len(members), CHUNK)]
    if len(chunks) > 1:
        for chunk in chunks:
            _mark(server, chunk, now_ms + BACKSTOP_MS)
    for chunk in chunks:
        if not _delete(server, chunk):
            return False
    log.info("tree deleted", extra={"promise_id": root.id, "count": len(members)})
    return True


def _is_done(member: PromiseObject) -> bool:
    promise = member.promise
    return promise.state is not PromiseState.PENDING and not promise.callbacks and not promise.listeners


def _tree(server: Server, root_id: str) -> Iterator[PromiseObject]:
    after: str | None = None
    while True:
        page = server.search("promise", tags={ORIGIN: root_id}, limit=SEARCH_LIMIT_MAX, after=after)
        yield from (member for member in page if isinstance(member, PromiseObject))
        if len(page) < SEARCH_LIMIT_MAX:
            return
        after = page[-1].id


def _depth(promise_id: str) -> int:
    return promise_id.count(".") + promise_id.count(":")


def _mark(server: Server, ids: list[str], kept_until: int) -> None:
    def handler(turn: Turn) -> Reply:
        turn.require(ids)
        for promise_id in ids:
            found = turn.get(promise_id)
            if found is not None and _is_done(found) and found.kept_until is None:
                turn.put(replace(found, kept_until=kept_until))
        return Reply(status=OK)

    server.run(ids, handler, drain=False)


def _delete(server: Server, ids: list[str]) -> bool:
    """Delete these, or none: False if one of them has come to life again."""

    def handler(turn: Turn) -> Reply:
        turn.require(ids)
        found = [promise for promise_id in ids if (promise := turn.get(promise_id)) is not None]
        if not all(map(_is_done, found)):
            return Reply(status=CONFLICT)
        for promise in found:
            turn.delete(promise.id)
        return Reply(status=OK)

    return server.run(ids, handler, drain=False).reply.ok
