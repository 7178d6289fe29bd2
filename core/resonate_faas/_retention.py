"""Retention: the sweep deletes whole settled trees, leaves first, the root last (design section 4). Off by default."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from resonate_faas._machine.objects import ORIGIN, PromiseObject, PromiseState, due, is_root
from resonate_faas._machine.requests import OK, Reply
from resonate_faas._ports import SEARCH_LIMIT_MAX, TRANSACTION_MAX

if TYPE_CHECKING:
    from resonate_faas._machine import Turn
    from resonate_faas._server import Server

log = logging.getLogger("resonate_faas.retention")

CHUNK: Final = TRANSACTION_MAX // 3
"""Objects deleted at once: a store may keep param and value of each in items of their own."""


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
    for start in range(0, len(leaves_first), CHUNK):
        _delete(server, leaves_first[start : start + CHUNK])
    _delete(server, [root.id])
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


def _delete(server: Server, ids: list[str]) -> None:
    def handler(turn: Turn) -> Reply:
        turn.require(ids)
        for promise_id in ids:
            found = turn.get(promise_id)
            if found is not None and _is_done(found):
                turn.delete(promise_id)
        return Reply(status=OK)

    server.run(ids, handler, drain=False)
