"""A node with the real clock, worker and threads, over a queue that is emptied by hand."""

from __future__ import annotations

from typing import Any, Final

from tests.bench.counted import MONTH_MS, workflows

from resonate_faas import Invocation, Store
from resonate_faas._clock import SystemClock
from resonate_faas._machine.objects import Execute
from resonate_faas._node import Node
from resonate_faas.testing import MemoryQueue

ADDRESS: Final = "local://default"
PROMISES_MAX: Final = 1_000_000


class HandQueue(MemoryQueue):
    """Keeps what is sent until it is taken; pokes are left where they are."""

    def taken(self) -> list[Execute]:
        """Take the tasks to be dispatched now."""
        return [message for message in self.pop_due(SystemClock().now_ms()) if isinstance(message, Execute)]


def real_node(store: Store) -> tuple[Node, HandQueue]:
    """Return a node as a handler makes it, and its queue."""
    queue = HandQueue(SystemClock(), delay_max_ms=MONTH_MS)
    node = Node(workflows(), store, queue, clock=SystemClock(), target=ADDRESS, promises_max=PROMISES_MAX)
    return node, queue


def start(node: Node, function: str, *args: Any, id: str) -> None:  # noqa: A002 - the protocol's word
    """Start an execution; nothing runs yet."""
    node.client.invoke(Invocation(function=function, args=args, id=id))


def run_all(node: Node, queue: HandQueue) -> int:
    """Deliver every dispatch, one after another, until there is none; return how many there were."""
    count = 0
    while messages := queue.taken():
        count += len(messages)
        for message in messages:
            node.deliver(message)
    return count
