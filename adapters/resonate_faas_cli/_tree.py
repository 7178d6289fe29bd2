"""Records of one lineage, as a call tree (protocol section 10.1). Pure: records in, nodes out, lines out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from resonate_faas_cli._payloads import error_text, payload, plain, short
from resonate_faas_cli._values import format_duration, natural

Record = Mapping[str, Any]
"""A promise as it stands on the wire (protocol section 2.2)."""

ICONS: Final[Mapping[str, str]] = {
    "pending": "🟡",
    "resolved": "🟢",
    "rejected": "🔴",
    "rejected_canceled": "🔴",
    "rejected_timedout": "🔴",
}
PENDING: Final = "pending"
_ENDINGS: Final = {"rejected_canceled": "cancelled", "rejected_timedout": "timed out"}
_TIMERS: Final = frozenset({"sleep", "retry"})
_INSTANT: Final = frozenset({"now", "detached", "patch"})
_NAMED: Final = frozenset({"run", "rpc", "detached", "patch"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a promise stands for.

    Attributes:
        kind: run, rpc, detached, sleep, promise, now, race, retry, patch; "" if the record does not say.
        function: the name of what is called, or of a patch; "" if there is none.
        note: of a retry the attempt and its error, of a detached call the new root's id; else "".
    """

    kind: str
    function: str = ""
    note: str = ""

    @property
    def text(self) -> str:
        """The call in brackets, as a line shows it."""
        words = (self.kind, self.function if self.kind in _NAMED else "", self.note)
        return f"({' '.join(word for word in words if word)})" if self.kind else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One line of a tree.

    Attributes:
        id: the promise.
        parent: the id of the node above; None at the top.
        depth: 0 at the top.
        prefix: the branches drawn before the id.
        record: the promise; None: only its children are on record.
        call: what it stands for.
    """

    id: str
    parent: str | None
    depth: int
    prefix: str
    record: Record | None
    call: Call


def build(root_id: str, records: Iterable[Record]) -> list[Node]:
    """Return the tree below ``root_id`` in the order of its lines.

    Siblings stand in the order of their calls: by creation, then by the numbers in their ids. A record whose
    parents do not lead to the root is left out, and so is the second meeting of a loop.
    """
    by_id = {record["id"]: record for record in records}
    children: dict[str, list[Record]] = {}
    for record in by_id.values():
        parent = tags_of(record).get("resonate:parent", "")
        if parent and parent != record["id"]:
            children.setdefault(parent, []).append(record)
    for siblings in children.values():
        siblings.sort(key=lambda one: (one.get("createdAt", 0), natural(one["id"])))
    nodes: list[Node] = []
    seen: set[str] = set()
    stack: list[tuple[str, str | None, int, str, str]] = [(root_id, None, 0, "", "")]
    while stack:
        promise_id, parent_id, depth, prefix, below = stack.pop()
        if promise_id in seen:
            continue
        seen.add(promise_id)
        found = by_id.get(promise_id)
        call = Call(kind="") if found is None else call_of(found)
        nodes.append(
            Node(id=promise_id, parent=parent_id, depth=depth, prefix=prefix, record=found, call=call)
        )
        siblings = children.get(promise_id, [])
        for index in range(len(siblings) - 1, -1, -1):
            is_last = index == len(siblings) - 1
            branch, trunk = ("└── ", "    ") if is_last else ("├── ", "│   ")
            stack.append((siblings[index]["id"], promise_id, depth + 1, below + branch, below + trunk))
    return nodes


def tags_of(record: Record) -> Mapping[str, str]:
    """Return the tags of a record."""
    found = record.get("tags")
    return found if isinstance(found, Mapping) else {}


def call_of(record: Record) -> Call:
    """Return what a promise stands for: by its param where our engine wrote it, else by its tags."""
    param = payload(record.get("param"))
    fields: Mapping[str, Any] = param if isinstance(param, Mapping) else {}
    function = fields.get("func")
    name = function if isinstance(function, str) else ""
    kind = fields.get("kind")
    if isinstance(kind, str) and kind:
        return Call(kind=kind, function=name, note=_note(kind, fields, record))
    tags = tags_of(record)
    if tags.get("resonate:timer"):
        return Call(kind="sleep")
    kind = {"global": "rpc", "local": "run"}.get(tags.get("resonate:scope", ""), "")
    if not kind and name and tags.get("resonate:target"):
        kind = "rpc"
    return Call(kind=kind, function=name)


def _note(kind: str, fields: Mapping[str, Any], record: Record) -> str:
    if kind == "retry":
        error = error_text(fields.get("error"))
        return f"{fields.get('attempt', '')}: {error}" if error else str(fields.get("attempt", ""))
    if kind == "detached" and tags_of(record).get("resonate:scope") == "local":
        successor = payload(record.get("value"))
        return f"→ {short(successor)}" if isinstance(successor, str) else ""
    return ""


def ending(record: Record) -> str:
    """Return how a promise failed, in one short line; "" if it did not, or does not say."""
    state = record.get("state")
    said = error_text(payload(record.get("value"))) if state in {"rejected", "rejected_canceled"} else ""
    if state in _ENDINGS:
        return f"{_ENDINGS[state]}: {said}" if said else _ENDINGS[state]
    return said


def line(node: Node, *, now_ms: int, remark: str = "") -> str:
    """Return the line of a node: branches, id, icon, call, time, and why it failed or stands still.

    Args:
        node: the node.
        now_ms: what a pending promise's time is measured to, epoch milliseconds.
        remark: said in addition, such as the reason of a halted task.
    """
    head = f"{node.prefix}{plain(node.id)}"
    if node.record is None:
        return head
    icon = ICONS.get(str(node.record.get("state")), "")
    words = (icon, plain(node.call.text), _time(node, now_ms), plain(ending(node.record)), plain(remark))
    return " ".join((head, *(word for word in words if word)))


def lines(nodes: Sequence[Node], *, now_ms: int, remarks: Mapping[str, str] | None = None) -> list[str]:
    """Return the lines of a tree; ``remarks`` by id."""
    said = remarks or {}
    return [line(node, now_ms=now_ms, remark=said.get(node.id, "")) for node in nodes]


def _time(node: Node, now_ms: int) -> str:
    record = node.record or {}
    created, settled = record.get("createdAt"), record.get("settledAt")
    if not isinstance(created, int) or node.call.kind in _INSTANT:
        return ""
    if isinstance(settled, int):
        return format_duration(settled - created)
    if record.get("state") != PENDING:
        return ""
    if node.call.kind in _TIMERS and isinstance(record.get("timeoutAt"), int):
        left = record["timeoutAt"] - now_ms
        return f"wakes in {format_duration(left)}" if left > 0 else "due"
    return f"for {format_duration(max(now_ms - created, 0))}"


def document(
    nodes: Sequence[Node],
    *,
    remarks: Mapping[str, str] | None = None,
    promises: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Return a tree as JSON data: flat, in the order of its lines, so that no depth is too deep to read."""
    said, counts = remarks or {}, promises or {}
    return {
        "id": nodes[0].id,
        "nodes": [_node_document(node, said.get(node.id, ""), counts.get(node.id)) for node in nodes],
    }


def _node_document(node: Node, remark: str, promises: int | None) -> dict[str, Any]:
    record = node.record or {}
    created, settled = record.get("createdAt"), record.get("settledAt")
    duration = settled - created if isinstance(created, int) and isinstance(settled, int) else None
    fields = {
        "id": node.id,
        "parent": node.parent,
        "depth": node.depth,
        "state": record.get("state"),
        "kind": node.call.kind or None,
        "function": node.call.function or None,
        "createdAt": created,
        "settledAt": settled,
        "timeoutAt": record.get("timeoutAt"),
        "durationMs": duration,
        "error": (ending(record) or None) if record else None,
        "remark": remark or None,
        "promises": promises,
    }
    return {name: value for name, value in fields.items() if value is not None}
