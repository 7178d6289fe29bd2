"""What Google bills for a workflow: documents and messages counted on the emulator, and the table of docs/deploy-gcp.md made of them.

Firestore bills documents, not requests: each member of a commit, each document read, found or not, and at least one for a query.
Cloud Tasks bills the call that creates a task and its delivery; a delivery is an invocation of the function.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.bench.counted import CountingQueue, workflows
from tests.emulators.firestore import running
from tests.packaging.tree import ROOT

from resonate_faas import Context, Resonate
from resonate_faas._ports import DUE_SHARDS
from resonate_faas.testing import FakeClock, MemoryDeployment, MemoryQueue
from resonate_faas_gcp import FirestoreStore

GUIDE = ROOT / "docs" / "deploy-gcp.md"
MONTH_MS = 30 * 24 * 3_600_000
TICKS_A_MONTH = 30 * 24 * 60


class BillingChannel:
    """A channel that counts what Firestore bills."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.billed: Counter[str] = Counter()

    def unary_unary(self, method: str, **options: Any) -> Callable[..., Any]:
        call = self._inner.unary_unary(method, **options)

        def commit(request: Any, **how: Any) -> Any:
            self.billed["writes"] += len(request.writes)
            return call(request, **how)

        return commit

    def unary_stream(self, method: str, **options: Any) -> Callable[..., Any]:
        call = self._inner.unary_stream(method, **options)
        is_query = method.endswith("RunQuery")

        def read(request: Any, **how: Any) -> Any:
            answers = list(call(request, **how))
            documents = sum(answer.HasField("document") if is_query else 1 for answer in answers)
            self.billed["reads"] += max(documents, 1)
            return iter(answers)

        return read


async def countdown(ctx: Context, n: int, every: float) -> str:
    """The sample's, without its file."""
    for number in range(n, 0, -1):
        await ctx.run(str, number)
        await ctx.sleep(every)
    return "lift-off"


def resonate() -> Resonate:
    made = workflows()
    made.register(countdown)
    return made


class Deployment:
    """A deployment over Firestore whose bill is kept."""

    def __init__(self) -> None:
        emulator = running()
        self._channel = emulator.channel()
        self._bill = BillingChannel(self._channel)
        clock = FakeClock(auto=True)
        self._held = MemoryQueue(clock, delay_max_ms=MONTH_MS)
        self._queue = CountingQueue(self._held)
        self.inner = MemoryDeployment(
            resonate(),
            store=FirestoreStore(emulator.project(), channel=self._bill),
            queue=self._queue,
            clock=clock,
        )
        self.inner.queue = self._held

    def run(self, function: str, *args: Any) -> list[int]:
        """Run to the end, message by message; return reads, writes, operations and invocations."""
        self.inner.start(function, *args)
        self.deliver()
        assert self.inner.result() is not None
        return self.taken(called=1)

    def deliver(self) -> None:
        """Deliver message by message until nothing is under way."""
        while (instant := self._held.next_instant()) is not None:
            self.inner.clock.advance_to(instant)
            self.inner.deliver_due()

    def tick(self) -> list[int]:
        """Sweep where nothing is due."""
        self.inner.server.sweep()
        return self.taken(called=1)

    def taken(self, *, called: int) -> list[int]:
        """Return reads, writes, operations and invocations so far; ``called`` requests came from outside."""
        messages = self._queue.executes + self._queue.pokes
        billed = self._bill.billed
        return [billed["reads"], billed["writes"], 2 * messages, messages + called]

    def close(self) -> None:
        self._channel.close()


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    made = Deployment()
    yield made
    made.close()


WORKLOADS: dict[str, tuple[Any, ...]] = {
    "ten steps one after another": ("sequence", 10),
    "countdown from 3, a minute each": ("countdown", 3, 60.0),
    "ten tasks at once, gathered": ("fan_rpc", 10),
}


def told(workload: str) -> list[str]:
    """Return the cells of a row of the guide."""
    found = re.search(
        rf"^\| {re.escape(workload)} \| (.+) \|$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert found, workload
    return [cell.replace(",", "") for cell in found[1].split(" | ")]


def prices() -> list[float]:
    """Return US dollars of a read, a write, an operation and an invocation, from the guide's own table."""
    text = GUIDE.read_text(encoding="utf-8")
    units = (
        r"document reads \| ([\d.]+) per 100,000",
        r"document writes \| ([\d.]+) per 100,000",
        r"Cloud Tasks operations \| ([\d.]+) per 1,000,000",
        r"invocations \| ([\d.]+) per 1,000,000",
        r"vCPU-seconds \| ([\d.]+) each",
        r"GiB-seconds \| ([\d.]+) each",
    )
    found = []
    for unit in units:
        match = re.search(unit, text)
        assert match, unit
        found.append(float(match[1]))
    read, write, operation, invocation, cpu, memory = found
    running_s = 0.1  # the least that is billed; half a GiB, one CPU
    invoked = invocation / 1e6 + running_s * (cpu + 0.5 * memory)
    return [read / 1e5, write / 1e5, operation / 1e6, invoked]


def dollars(counts: list[int]) -> float:
    return sum(count * price for count, price in zip(counts, prices(), strict=True))


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_workload_costs_what_the_guide_says(deployment: Deployment, workload: str) -> None:
    counts = deployment.run(*WORKLOADS[workload])
    assert told(workload) == [*map(str, counts), f"{1_000 * dollars(counts):.3f}"]


def test_a_month_of_ticks_costs_what_the_guide_says(deployment: Deployment) -> None:
    a_tick = deployment.tick()
    assert a_tick == [DUE_SHARDS, 0, 0, 1]
    month = [TICKS_A_MONTH * count for count in a_tick]
    assert told("the ticks of a month, one a minute") == [*map(str, month), f"{dollars(month):.3f}"]
