"""The records of an execution, fetched from a server."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from resonate_faas_cli import _tree
from resonate_faas_cli._api import Api, Json
from resonate_faas_cli._exits import Exit, Failure
from resonate_faas_cli._search import every_page
from resonate_faas_cli._tree import Node, tags_of

PROMISES_TOLD_FROM: Final = 1_000
"""Records of one task: a tenth of the limit; ``explain`` tells the limit itself."""

REMARKS_MAX: Final = 20
"""Pending tasks whose state is asked for, one request each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """A call tree at an instant.

    Attributes:
        nodes: in the order of their lines, never empty.
        now_ms: when it was fetched.
        remarks: what else is known of a node, by id.
        promises: how many records each task replays, by id.
    """

    nodes: list[Node]
    now_ms: int
    remarks: Mapping[str, str] = field(default_factory=dict)
    promises: Mapping[str, int] = field(default_factory=dict)

    @property
    def state(self) -> str | None:
        """The state of the promise on top; None: it is not on record."""
        record = self.nodes[0].record
        return None if record is None else str(record.get("state"))

    def lines(self) -> list[str]:
        """Return the tree's lines."""
        return _tree.lines(self.nodes, now_ms=self.now_ms, remarks=self.remarks)

    def document(self) -> Json:
        """Return the tree as JSON data."""
        return _tree.document(self.nodes, remarks=self.remarks, promises=self.promises)


def fetch(api: Api, promise_id: str) -> Lineage:
    """Return the call tree below a promise.

    Raises:
        Failure: neither it nor anything below it is on record.
    """
    missing: Failure | None = None
    found: Json = {}
    try:
        found = api.ask("promise.get", {"id": promise_id})["promise"]
    except Failure as failure:
        if failure.exit_code is not Exit.NOT_FOUND:
            raise
        missing = failure
    origin = tags_of(found).get("resonate:origin") or promise_id.partition(":")[0]
    records = every_page(api, "promise", {"tags": {"resonate:origin": origin}}).records
    if found and all(record["id"] != promise_id for record in records):
        records.append(found)
    nodes = _tree.build(promise_id, records)
    if missing is not None and len(nodes) == 1:
        raise missing
    promises = _promises(nodes)
    remarks = _remarks(api, nodes, promises)
    return Lineage(nodes=nodes, now_ms=time.time_ns() // 1_000_000, remarks=remarks, promises=promises)


def _promises(nodes: list[Node]) -> dict[str, int]:
    """Return how many records the activations of each task replay."""
    from resonate_faas._machine.ids import owner  # noqa: PLC0415 - 0.1 s that --help does without

    tasks = {node.id for node in nodes if node.record is not None and _is_task(node)}
    counts = Counter(owner(node.id) for node in nodes if node.record is not None)
    return {task_id: counts[task_id] - (owner(task_id) == task_id) for task_id in tasks}


def _is_task(node: Node) -> bool:
    return bool(tags_of(node.record or {}).get("resonate:target"))


def _remarks(api: Api, nodes: list[Node], promises: Mapping[str, int]) -> dict[str, str]:
    """Return why tasks stand still, for the first pending ones, and how much they replay, if that is much."""
    tasks = [
        node.id
        for node in nodes
        if node.record is not None and node.record.get("state") == _tree.PENDING and _is_task(node)
    ]
    remarks = {
        task_id: f"replays {promises[task_id]:,} promises"
        for task_id in tasks
        if promises[task_id] >= PROMISES_TOLD_FROM
    }
    for task_id in tasks[:REMARKS_MAX]:
        promise = api.get("promises", task_id)
        reason, task = promise.get("reason"), promise.get("task")
        is_halted = isinstance(task, dict) and task.get("state") == "halted"
        if reason or is_halted:
            still = ": ".join(("halted" if is_halted else "backing off", str(reason or "")))
            remarks[task_id] = "; ".join((*([remarks[task_id]] if task_id in remarks else []), still))
    return remarks
