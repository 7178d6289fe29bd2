"""A deployment whose every round trip and message is counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from resonate_faas import QueueError, Resonate
from resonate_faas._machine.objects import Execute, Message
from resonate_faas.testing import CountingStore, FakeClock, MemoryQueue, MemoryStore
from resonate_faas.testing._deployment import MONTH_MS, MemoryDeployment


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What one delivery cost."""

    id: str
    reads: int
    pages: int
    writes: int
    executes: int
    pokes: int


class CountingQueue(MemoryQueue):
    """Remembers what was sent."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock, delay_max_ms=MONTH_MS)
        self.sent: list[Message] = []

    def send(self, *messages: Message) -> list[QueueError]:
        self.sent += messages
        return super().send(*messages)

    def __bool__(self) -> bool:
        return True


class Meter:
    """Runs executions of some functions, one bill a delivery."""

    def __init__(self, *functions: Callable[..., Any]) -> None:
        resonate = Resonate()
        for function in functions:
            resonate.register(function)
        self.clock = FakeClock(auto=True)
        self.store = CountingStore(MemoryStore(), pause=lambda _: None)
        self.queue = CountingQueue(self.clock)
        self.deployment = MemoryDeployment(
            resonate, store=self.store, clock=self.clock, queue=self.queue, promises_max=20_000
        )

    def run(self, function: str, *args: Any, until_ms: int = 1_000) -> list[Bill]:
        """Start an execution and deliver what is due within the time; return the bills of executes.

        The start itself and pokes that find nothing to do are left out.
        """
        self.deployment.start(function, *args)
        return self.deliver(until_ms)

    def deliver(self, until_ms: int = 1_000) -> list[Bill]:
        end, bills = self.clock.now_ms() + until_ms, []
        while (instant := self.queue.next_instant()) is not None and instant <= end:
            self.clock.advance_to(instant)
            for message in self.queue.pop_due(self.clock.now_ms()):
                bill = self._bill(message)
                if isinstance(message, Execute) or bill.writes:
                    bills.append(bill)
        return bills

    def _bill(self, message: Message) -> Bill:
        self.store.reset()
        self.queue.sent.clear()
        self.deployment.node.deliver(message)
        counts, sent = self.store.reset(), self.queue.sent
        executes = sum(isinstance(one, Execute) for one in sent)
        name = getattr(message, "id", "")
        return Bill(
            id=name,
            reads=counts.reads,
            pages=counts.pages,
            writes=counts.writes,
            executes=executes,
            pokes=len(sent) - executes,
        )


def writes(bills: Sequence[Bill]) -> list[int]:
    return [bill.writes for bill in bills]
