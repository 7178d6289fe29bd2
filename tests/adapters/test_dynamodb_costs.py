"""What a step, an activation, a fan-out and a sleep cost on DynamoDB and SQS: requests, units and messages, exactly.

Units are the emulator's own, reckoned as AWS bills them (but one read unit for a query of any size). A write unit is 1 KB, twice in a transaction, and one more for each index that an item
enters, moves in or leaves; a read unit is 4 KB, twice in a transaction, half if it may be stale.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count as counted_from
from typing import Any

import pytest
from tests.bench.counted import CountingQueue, workflows
from tests.emulators.ministack import Emulator, found_or_skip, running

from resonate_faas._machine.objects import PromiseState, Value
from resonate_faas.testing import CountingStore, FakeClock, MemoryDeployment, MemoryQueue
from resonate_faas.testing._kit import done, look_at, promise_object, put
from resonate_faas_aws import DynamoDBStore, create_table

_names = counted_from(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What an episode cost.

    Attributes:
        requests: HTTP requests to DynamoDB.
        written: write units.
        read: read units.
        messages: sent to SQS.
    """

    requests: int
    written: float
    read: float
    messages: int = 0


class Meter:
    """Counts the requests of a client where they leave it, and the units that the answers tell."""

    def __init__(self, client: Any) -> None:
        self.operations: Counter[str] = Counter()
        self.written = self.read = 0.0
        events = client.meta.events
        events.register("provide-client-params.dynamodb.*", self._ask)
        events.register("before-send.dynamodb.*", self._count)
        events.register("after-call.dynamodb.*", self._add)

    def reset(self) -> tuple[int, float, float]:
        """Return requests, write and read units since the last call."""
        told = (sum(self.operations.values()), self.written, self.read)
        self.operations.clear()
        self.written = self.read = 0.0
        return told

    def _ask(self, params: dict[str, Any], model: Any, **_: Any) -> dict[str, Any]:
        if "ReturnConsumedCapacity" not in model.input_shape.members:
            return params
        return {**params, "ReturnConsumedCapacity": "INDEXES"}

    def _count(self, event_name: str, **_: Any) -> None:
        self.operations[event_name.rpartition(".")[2]] += 1

    def _add(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        consumed = parsed.get("ConsumedCapacity") or []
        for one in consumed if isinstance(consumed, list) else [consumed]:
            if model.name in {"PutItem", "DeleteItem", "TransactWriteItems", "UpdateItem"}:
                self.written += one["CapacityUnits"]
            else:
                self.read += one["CapacityUnits"]


class World:
    """A deployment over a table, whose requests, units and messages are counted."""

    def __init__(self, client: Any, meter: Meter) -> None:
        self.table = f"costs-{next(_names)}"
        create_table(client, self.table)
        clock = FakeClock(auto=True)
        held = MemoryQueue(clock)
        self.meter = meter
        self.store = CountingStore(DynamoDBStore(self.table, client=client), pause=lambda _: None)
        self.queue = CountingQueue(held)
        self.deployment = MemoryDeployment(workflows(), store=self.store, queue=self.queue, clock=clock)
        self.deployment.queue = held
        meter.reset()

    def cost(self) -> Cost:
        requests, written, read = self.meter.reset()
        messages = self.queue.executes + self.queue.pokes
        self.queue.executes = self.queue.pokes = 0
        return Cost(requests=requests, written=written, read=read, messages=messages)

    def start(self, function: str, *args: Any) -> Cost:
        self.deployment.start(function, *args)
        return self.cost()

    def deliver(self) -> Cost:
        self.deployment.deliver_due()
        return self.cost()

    def wait(self) -> None:
        self.deployment.clock.advance_to(self.deployment.queue.next_instant() or 0)


@pytest.fixture(scope="module")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    found_or_skip()
    with running(tmp_path_factory.mktemp("ministack")) as emulator:
        yield emulator


@pytest.fixture
def world(ministack: Emulator) -> World:
    client = ministack.client("dynamodb")
    return World(client, Meter(client))


def test_a_start_is_one_read_and_one_write_that_enters_the_due_index(world: World) -> None:
    assert world.start("nothing") == Cost(requests=2, written=1 + 1, read=1, messages=1)


def test_an_activation_of_nothing_is_four_requests(world: World) -> None:
    """The task and the first page, the claim, the end; each write moves the task in the due index or out of it."""
    world.start("nothing")
    assert world.deliver() == Cost(requests=4, written=(1 + 2) + (1 + 1), read=1 + 1)
    assert world.deployment.result() == 0


def activation_of(world: World, function: str, *args: Any) -> Cost:
    world.start(function, *args)
    return world.deliver()


def test_an_activation_waits_for_three_answers(world: World) -> None:
    """The task and the first page are asked for at once, then the claim, then the end: design section 9."""
    world.start("nothing")
    world.store.reset()
    world.deliver()
    assert world.store.reset().latencies == 3


def test_a_replay_reads_a_page_of_a_thousand_records_in_one_request(world: World) -> None:
    """And writes none of them again; a sequential history is read by the megabyte."""
    world.start("wait_for_all", 300)
    world.deliver()
    world.deployment.client.settle("root:1", PromiseState.RESOLVED, 1)
    world.cost()
    cost = world.deliver()
    park = (2 + 2) + 2
    assert (cost.requests, cost.written) == (3 + 1, 3 + park)


def test_a_sequential_step_is_one_request_of_four_units_and_no_message(world: World) -> None:
    """The record and the check of the task, both in a transaction; no index."""
    nothing = Cost(requests=4, written=5, read=2)
    assert activation_of(world, "sequence", 10) == Cost(
        requests=nothing.requests + 10, written=nothing.written + 10 * 4, read=nothing.read
    )


def test_a_fan_out_of_a_hundred_steps_is_two_requests_of_two_units_a_step(world: World) -> None:
    assert activation_of(world, "fan_run", 100) == Cost(requests=4 + 2, written=5 + 2 * 2 + 100 * 2, read=2)
    assert world.store.reset().writes == 1 + 1 + 2 + 1, "the start; the claim, two commits, the end"


def test_a_fan_out_of_a_hundred_tasks(world: World) -> None:
    """Each child is recorded with its place in the due index, and sent one message; then its own activation."""
    world.start("fan_rpc", 100)
    before = world.queue.tens
    parent = world.deliver()
    assert world.queue.tens - before == 10, (
        "requests to SQS, ten messages each: two commits, 50 children each"
    )
    children, end = world.deliver(), world.deliver()
    commits, park = 2 * 2 + 100 * (2 + 1), (2 + 2) + 2
    assert parent == Cost(requests=3 + 2 + 1, written=3 + commits + park, read=2, messages=100)
    woken = 1
    assert children == Cost(
        requests=100 * 4 + 2 * woken,
        written=100 * 5 + 2 * 2 + woken * 4,
        read=100 * 2 + 1,
        messages=woken,
    )
    assert end == Cost(requests=4, written=5, read=2)
    assert world.deployment.result() == sum(range(100))


def test_a_sleep_is_one_poke_and_its_end_one_execute(world: World) -> None:
    world.start("sleeper", 60.0)
    timer, park = 2 + (2 + 1), (2 + 2) + 2
    assert world.deliver() == Cost(requests=5, written=3 + timer + park, read=2, messages=1)
    world.wait()
    assert world.deliver() == Cost(requests=4, written=8, read=2, messages=1)
    assert world.deliver() == Cost(requests=4, written=5, read=2)


def test_every_iteration_of_a_chain_of_tail_calls_costs_what_the_first_one_does(world: World) -> None:
    world.start("chain", 30)
    first, *others, last = [world.deliver() for _ in range(31)]
    step, successor = 4, 2 + 2 + (2 + 1)
    assert first == Cost(requests=6, written=5 + step + successor, read=2, messages=1)
    assert set(others) == {first}
    assert last == Cost(requests=5, written=5 + step, read=2)


def test_a_large_param_is_written_once(world: World) -> None:
    """50 KB beside the object: a later write of the object does not pay for them. A read brings both at once."""
    stored = promise_object("a", param=Value(data="x" * 50_000))
    known = put(world.store, stored).objects
    assert world.cost() == Cost(requests=2, written=2 * (1 + 49), read=1)
    world.store.transact(("a",), lambda _: done({"a": replace(stored, barren=1)}), known=known)
    assert world.cost() == Cost(requests=1, written=1, read=0)
    assert look_at(world.store, "a") == replace(stored, barren=1)
    assert world.cost().requests == 1


def test_what_was_read_is_known_to_be_kept_aside(world: World, ministack: Emulator) -> None:
    """Another process reads the object first; its write is as small."""
    stored = promise_object("a", param=Value(data="x" * 50_000))
    put(DynamoDBStore(world.table, client=ministack.client("dynamodb")), stored)
    world.store.transact(("a",), lambda _: done({"a": replace(stored, barren=1)}))
    cost = world.cost()
    assert (cost.requests, cost.written) == (2, 1)


def test_an_external_settlement_is_told_by_one_message(world: World) -> None:
    world.start("wait_for_all", 1)
    world.deliver()
    world.deployment.client.settle("root:1", PromiseState.RESOLVED, 7)
    settled = world.cost()
    assert (settled.requests, settled.messages) == (4, 1)
    world.deliver()
    assert world.deployment.result() == 7
