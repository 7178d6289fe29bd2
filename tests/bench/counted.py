"""Scenarios whose round trips and messages are counted: the tests assert the numbers, ``python -m bench`` prints them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from resonate_faas import Context, QueueError, Resonate
from resonate_faas._machine.objects import Execute, Message, PromiseState
from resonate_faas._node import Node
from resonate_faas._ports import Queue
from resonate_faas.testing import CountingStore, FakeClock, MemoryDeployment, MemoryQueue, MemoryStore

MONTH_MS = 30 * 24 * 3_600_000
PROMISES_MAX = 20_000


class CountingQueue:
    """Counts what is sent: messages to a task (execute), those that wake (poke), and the requests that SQS would take."""

    def __init__(self, inner: Queue) -> None:
        self.inner = inner
        self.executes = 0
        self.pokes = 0
        self.tens = 0

    @property
    def delay_max_ms(self) -> int:
        return self.inner.delay_max_ms

    def send(self, *messages: Message) -> list[QueueError]:
        executes = sum(isinstance(message, Execute) for message in messages)
        self.tens += -(-len(messages) // 10)
        self.executes += executes
        self.pokes += len(messages) - executes
        return self.inner.send(*messages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What an episode cost.

    Attributes:
        reads: snapshot reads.
        pages: history pages.
        writes: conditional writes, each one transaction.
        items: objects written.
        executes: messages that dispatch a task.
        pokes: messages that wake an object at an instant.
    """

    reads: int
    pages: int
    writes: int
    items: int
    executes: int
    pokes: int

    @property
    def budgeted(self) -> int:
        """Round trips as design section 9 counts them: an activation's task read and first page are one."""
        return self.writes + max(self.reads, self.pages)

    @property
    def sequential(self) -> int:
        """Round trips as they are made now, one after another."""
        return self.reads + self.pages + self.writes


class Counted:
    """A deployment in memory whose store and queue count."""

    def __init__(self, resonate: Resonate) -> None:
        clock = FakeClock(auto=True)
        held = MemoryQueue(clock, delay_max_ms=MONTH_MS)
        self.store = CountingStore(MemoryStore(), pause=lambda _: None)
        self.queue = CountingQueue(held)
        self.deployment = MemoryDeployment(
            resonate, store=self.store, queue=self.queue, clock=clock, promises_max=PROMISES_MAX
        )
        self.deployment.queue = held

    @property
    def node(self) -> Node:
        return self.deployment.node

    def tally(self) -> Tally:
        """Return what was counted since the last call."""
        counts = self.store.reset()
        executes, pokes = self.queue.executes, self.queue.pokes
        self.queue.executes = self.queue.pokes = 0
        return Tally(
            reads=counts.reads,
            pages=counts.pages,
            writes=counts.writes,
            items=counts.items,
            executes=executes,
            pokes=pokes,
        )

    def start(self, function: str, *args: Any) -> Tally:
        """Start an execution with the id ``root``."""
        self.deployment.start(function, *args)
        return self.tally()

    def deliver(self) -> Tally:
        """Deliver what is due."""
        self.deployment.deliver_due()
        return self.tally()

    def wait(self) -> None:
        """Let the time pass to the next message."""
        instant = self.deployment.queue.next_instant()
        self.deployment.clock.advance_to(instant or 0)

    def resolve(self, promise_id: str, value: Any = None) -> Tally:
        """Settle an external promise."""
        self.deployment.client.settle(promise_id, PromiseState.RESOLVED, value)
        return self.tally()

    def result(self) -> Any:
        return self.deployment.result()


def echo(number: int) -> int:
    return number


def workflows() -> Resonate:
    """Return the shapes that the budgets are about."""
    resonate = Resonate()
    resonate.register(child)
    for workflow in (nothing, sequence, sequence_then_wait, sleeper, fan_run, fan_rpc, wait_for_all, chain):
        resonate.register(workflow)
    return resonate


async def child(ctx: Context, number: int) -> int:
    del ctx
    return number


async def nothing(ctx: Context) -> int:
    del ctx
    return 0


async def sequence(ctx: Context, count: int) -> int:
    total = 0
    for number in range(count):
        total += await ctx.run(echo, number)
    return total


async def sequence_then_wait(ctx: Context, count: int) -> int:
    total = 0
    for number in range(count):
        total += await ctx.run(echo, number)
    return total + await ctx.promise(int)


async def sleeper(ctx: Context, seconds: float) -> None:
    await ctx.sleep(seconds)


async def fan_run(ctx: Context, count: int) -> int:
    return sum(await ctx.gather(*[ctx.run(echo, number) for number in range(count)]))


async def fan_rpc(ctx: Context, count: int) -> int:
    return sum(await ctx.gather(*[ctx.rpc(child, number) for number in range(count)]))


async def wait_for_all(ctx: Context, count: int) -> int:
    return sum(await ctx.gather(*[ctx.promise(int) for _ in range(count)]))


async def chain(ctx: Context, left: int) -> None:
    await ctx.run(echo, left)
    if left:
        await ctx.detached(chain, left - 1)


def commits_of(count: int) -> int:
    """Return the commits that design section 9 allows a fan-out, the one that ends it left out."""
    return math.ceil(count / 99)


def activation_of(function: str, *args: Any) -> Tally:
    """Return the cost of the first activation of an execution."""
    world = Counted(workflows())
    world.start(function, *args)
    return world.deliver()


def replay_of(count: int) -> Tally:
    """Return the cost of the activation that replays so many recorded steps and ends."""
    world = Counted(workflows())
    world.start("sequence_then_wait", count)
    world.deliver()
    world.resolve(f"root:{count + 1}", 1)
    cost = world.deliver()
    assert world.result() == sum(range(count)) + 1
    return cost


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcCost:
    """A fan-out over tasks: what its parent paid before it suspended, its children together, and its end."""

    parent: Tally
    children: Tally
    end: Tally


def rpc_cost(count: int) -> RpcCost:
    """Return the cost of a fan-out of so many tasks, each delivered before the parent is woken."""
    world = Counted(workflows())
    world.start("fan_rpc", count)
    parent = world.deliver()
    children = world.deliver()
    end = world.deliver()
    assert world.result() == sum(range(count))
    return RpcCost(parent=parent, children=children, end=end)


def chain_costs(length: int) -> list[Tally]:
    """Return the cost of each iteration of a chain of tail calls."""
    world = Counted(workflows())
    world.start("chain", length - 1)
    return [world.deliver() for _ in range(length)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SleepCost:
    """A sleep: the activation that begins it, the poke that ends it, the activation that goes on."""

    begin: Tally
    wake: Tally
    end: Tally


def sleep_cost(seconds: float) -> SleepCost:
    """Return the cost of an execution that only sleeps."""
    world = Counted(workflows())
    world.start("sleeper", seconds)
    begin = world.deliver()
    while True:  # past the poke that would have dispatched the task again, had nobody taken it
        world.wait()
        wake = world.deliver()
        if wake.executes:
            return SleepCost(begin=begin, wake=wake, end=world.deliver())
