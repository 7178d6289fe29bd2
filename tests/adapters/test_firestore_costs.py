"""Firestore requests, counted on the wire: what design section 9 allows, by exact numbers.

The store's own counts and the channel's agree: no call of the store costs a request more than it says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from tests.bench.counted import MONTH_MS, PROMISES_MAX, CountingQueue, echo, workflows
from tests.emulators.firestore import FirestoreEmulator, running
from tests.emulators.grpc_calls import CallCounter

from resonate_faas import Context, Resonate
from resonate_faas._machine.objects import PromiseState
from resonate_faas.testing import CountingStore, FakeClock, MemoryDeployment, MemoryQueue
from resonate_faas_gcp import FirestoreStore, firestore_channel


async def fan_then_wait(ctx: Context, count: int) -> int:
    """Record many steps in few commits, then wait."""
    numbers = await ctx.gather(*[ctx.run(echo, number) for number in range(count)])
    total: int = sum(numbers) + await ctx.promise(int)
    return total


def resonate() -> Resonate:
    made = workflows()
    made.register(fan_then_wait)
    return made


@pytest.fixture(scope="module")
def emulator() -> FirestoreEmulator:
    return running()


class World:
    """A deployment over Firestore whose requests are counted twice: by the store, and on the channel."""

    def __init__(self, emulator: FirestoreEmulator) -> None:
        self._counter = CallCounter()
        self.channel = firestore_channel(emulator.address)
        counted = grpc.intercept_channel(self.channel, self._counter)
        self.store = CountingStore(FirestoreStore(emulator.project(), channel=counted))
        clock = FakeClock(auto=True)
        self.held = MemoryQueue(clock, delay_max_ms=MONTH_MS)
        self.queue = CountingQueue(self.held)
        self.deployment = MemoryDeployment(
            resonate(), store=self.store, queue=self.queue, clock=clock, promises_max=PROMISES_MAX
        )
        self.deployment.queue = self.held

    def start(self, function: str, *args: Any) -> dict[str, int]:
        self.deployment.start(function, *args)
        return self.requests()

    def deliver(self) -> dict[str, int]:
        self.deployment.deliver_due()
        return self.requests()

    def wake(self) -> dict[str, int]:
        """Let the time pass to the next message, and deliver it."""
        self.deployment.clock.advance_to(self.held.next_instant() or 0)
        return self.deliver()

    def requests(self) -> dict[str, int]:
        """Return the requests since the last call: commits, reads of documents, queries."""
        counts, calls = self.store.reset(), self._counter.taken()
        told = {
            "commits": calls.get("Commit", 0),
            "reads": calls.get("BatchGetDocuments", 0),
            "queries": calls.get("RunQuery", 0),
        }
        assert sum(calls.values()) == sum(told.values()), "no other call is made"
        assert told == {"commits": counts.writes, "reads": counts.reads, "queries": counts.pages}
        return told


@pytest.fixture
def world(emulator: FirestoreEmulator) -> Iterator[World]:
    made = World(emulator)
    yield made
    made.channel.close()


def requests(*, commits: int = 0, reads: int = 0, queries: int = 0) -> dict[str, int]:
    return {"commits": commits, "reads": reads, "queries": queries}


def test_a_start_is_one_read_and_one_commit(world: World) -> None:
    assert world.start("nothing") == requests(reads=1, commits=1)


def test_an_activation_is_one_read_one_query_and_two_commits(world: World) -> None:
    """The task, its history; the claim, the end."""
    world.start("nothing")
    assert world.deliver() == requests(reads=1, queries=1, commits=2)


def test_an_activation_waits_for_three_answers(world: World) -> None:
    """The task and the first page are asked for at once, then the claim, then the end: design section 9."""
    world.start("nothing")
    world.store.reset()
    world.deployment.deliver_due()
    assert world.store.reset().latencies == 3


@pytest.mark.parametrize("steps", [1, 10, 50])
def test_a_sequential_step_is_one_commit_and_nothing_else(world: World, steps: int) -> None:
    world.start("sequence", steps)
    assert world.deliver() == requests(reads=1, queries=1, commits=2 + steps)


@pytest.mark.parametrize(("count", "commits"), [(1, 1), (99, 1), (100, 2)])
def test_a_fan_out_of_runs_is_one_commit_per_ninety_nine(world: World, count: int, commits: int) -> None:
    world.start("fan_run", count)
    assert world.deliver() == requests(reads=1, queries=1, commits=2 + commits)


def test_a_fan_out_of_a_hundred_tasks_is_two_commits_and_a_suspension(world: World) -> None:
    """Each child then costs an activation; the awaited one reads the parent and resumes it besides."""
    world.start("fan_rpc", 100)
    assert world.deliver() == requests(reads=1, queries=1, commits=1 + 2 + 1)
    assert world.deliver() == requests(reads=100 + 1, queries=100, commits=200 + 1)
    assert world.deliver() == requests(reads=1, queries=1, commits=2)
    assert world.deployment.result() == sum(range(100))


def test_a_sleep_is_a_timer_a_suspension_and_a_wake(world: World) -> None:
    world.start("sleeper", 60.0)
    assert world.deliver() == requests(reads=1, queries=1, commits=3)
    assert world.wake() == requests(reads=2, commits=2)
    assert world.deliver() == requests(reads=1, queries=1, commits=2)


@pytest.mark.parametrize(("steps", "pages"), [(998, 1), (1_000, 2)])
def test_a_replay_is_one_query_per_thousand_records(world: World, steps: int, pages: int) -> None:
    """And writes none of them again."""
    world.start("fan_then_wait", steps)
    world.deliver()
    world.deployment.client.settle(f"root:{steps + 1}", PromiseState.RESOLVED, 1)
    world.requests()
    cost = world.deliver()
    assert cost == requests(reads=1, queries=pages, commits=2)
    assert world.deployment.result() == sum(range(steps)) + 1


def test_every_iteration_of_a_chain_costs_what_the_first_one_does(world: World) -> None:
    world.start("chain", 19)
    costs = [world.deliver() for _ in range(20)]
    assert costs[:-1] == [requests(reads=1, queries=1, commits=4)] * 19
    assert costs[-1] == requests(reads=1, queries=1, commits=3)


def test_a_delivery_to_a_settled_task_is_one_read(world: World) -> None:
    world.start("nothing")
    world.deliver()
    world.deployment.node.worker.activate("root")
    assert world.requests() == requests(reads=1)
