"""What every promise of an activation inherits from its root: tags, and what a function may know of itself."""

from __future__ import annotations

from collections.abc import Mapping

from resonate_faas._engine.ids import child_prefix
from resonate_faas._engine.registry import Function
from resonate_faas._engine.steps import Info
from resonate_faas._machine.objects import BRANCH, ORIGIN, PARENT, Promise


class Lineage:
    """The root's share in its descendants.

    Args:
        root: the task's own promise.
    """

    def __init__(self, root: Promise) -> None:
        self._root = root
        self._prefix = child_prefix(root.id)
        self._origin = root.tags.get(ORIGIN) or root.id.partition(":")[0]

    def own_birth(self, promise_id: str) -> str:
        """Return the birth of an id that the user chose, which starts a tree of its own; "" for a child's."""
        return "" if promise_id.startswith(self._prefix) else promise_id

    def tags_of(
        self, promise_id: str, parent_id: str, extra: Mapping[str, str], *, own_branch: bool
    ) -> dict[str, str]:
        """Return a child's tags (protocol section 5)."""
        return {
            **extra,
            ORIGIN: self._origin,
            BRANCH: promise_id if own_branch else self._root.id,
            PARENT: parent_id,
        }

    def info(
        self, promise_id: str, function: Function, *, timeout_at: int, parent_id: str | None, attempt: int
    ) -> Info:
        """Return what a function may know of its execution; ``parent_id`` None: it is the root's own."""
        return Info(
            id=promise_id,
            root_id=self._root.id,
            parent_id=parent_id or self._root.tags.get(PARENT, self._root.id),
            function=function.name,
            version=function.version,
            attempt=attempt,
            timeout_at=timeout_at,
            created_at=self._root.created_at,
            tags=self._root.tags,
        )
