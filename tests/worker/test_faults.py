"""Every single answer of the store lost, and every single write refused, in turn: result and records stay the same."""

from __future__ import annotations

from functools import cache

import pytest
from tests.worker.flows import RESULT, everything, shape
from tests.worker.kit import DAY_MS, LEASE_MS, World

from resonate_faas import Invocation, StoreError
from resonate_faas._machine.objects import TaskState
from resonate_faas._node import Node
from resonate_faas._worker import Ended, WorkerSettings
from resonate_faas.testing import EPOCH_MS, Fault, FaultyStore, MemoryStore
from resonate_faas.testing._deployment import InlineRunner

DURATION_MS = 55_000
"""What the workflow takes without a fault, if nothing but due instants moves the clock."""
WRITES = 40
"""More than the workflow makes."""


def run(world: World, faults: dict[int, Fault], calls: list[str]) -> tuple[Node, FaultyStore]:
    """Run the workflow to its end with these faults, the way a queue and a sweep would."""
    store = FaultyStore(world.store, {}, pause=lambda _: None)
    node = world.node(
        everything(calls),
        store=store,
        worker=WorkerSettings(lease_ms=LEASE_MS, heartbeats=False),
        runner=lambda: InlineRunner({}),
    )
    node.client.invoke(Invocation(function="flow", id="root"))
    store._faults.update({number + store.writes: fault for number, fault in faults.items()})
    for _ in range(2_000):
        for message in world.take():
            try:
                world.ended.append(node.deliver(message))
            except StoreError:
                continue  # not redelivered: the sweep must do
        node.server.sweep()
        instant = world.store.next_due()
        if instant is None:
            break
        world.clock.advance_to(max(instant, world.clock.now_ms() + 1))
    return node, store


@cache
def fault_free() -> tuple[tuple[tuple[str, object], ...], tuple[str, ...], int]:
    """Return the records, the steps run, and the number of writes."""
    world, calls = World(MemoryStore(), auto=True), list[str]()
    node, store = run(world, {}, calls)
    assert node.client.result(world.get().promise) == RESULT
    assert world.get().promise.settled_at == EPOCH_MS + DURATION_MS
    world.close()
    return tuple(shape(world).items()), tuple(calls), store.writes


def test_the_workflow_is_worth_the_trouble() -> None:
    records, calls, writes = fault_free()
    assert len(records) >= 14
    assert len(calls) == len(set(calls)) + 1, "only the flaky step runs twice"
    assert 20 <= writes < WRITES


@pytest.mark.parametrize("number", range(1, WRITES))
@pytest.mark.parametrize("fault", [Fault.ANSWER_LOST, Fault.REQUEST_LOST, Fault.MOVED])
def test_a_write_whose_answer_is_lost_or_that_must_be_repeated_changes_nothing(
    fault: Fault, number: int
) -> None:
    """Without: a step would be run twice, a settlement lost, or a second history begun."""
    world, calls = World(MemoryStore(), auto=True), list[str]()
    node, _ = run(world, {number: fault}, calls)
    assert node.client.result(world.get().promise) == RESULT
    assert tuple(shape(world).items()) == fault_free()[0]
    assert tuple(calls) == fault_free()[1], "no step ran twice"
    assert Ended.LOST not in world.ended, "a lost answer is told from a lost lease"
    world.close()


@pytest.mark.parametrize("number", range(1, WRITES))
def test_a_write_that_fails_costs_at_most_one_more_run_of_a_step(number: int) -> None:
    """Without: a failed write would leave a task held by nobody, or a workflow that never ends."""
    world, calls = World(MemoryStore(), auto=True), list[str]()
    node, _ = run(world, {number: Fault.UNAVAILABLE}, calls)
    assert node.client.result(world.get().promise) == RESULT
    expected = dict(fault_free()[0])
    found = shape(world)
    assert found.items() <= expected.items()
    assert expected.keys() - found.keys() <= {"root:4.a1"}, "the first try may have been the one not recorded"
    assert set(calls) == set(fault_free()[1])
    assert len(calls) <= len(fault_free()[1]) + 2, "at most the round that was not recorded"
    assert world.task().state is TaskState.FULFILLED
    settled_at = world.get().promise.settled_at
    assert settled_at is not None
    assert settled_at < EPOCH_MS + DURATION_MS + 2 * LEASE_MS // 3, (
        "given back at once, not at the lease's end"
    )
    world.close()


@pytest.mark.parametrize("number", range(1, WRITES, 3))
@pytest.mark.parametrize("fault", list(Fault))
def test_the_same_over_the_file(skipping: World, fault: Fault, number: int) -> None:
    calls: list[str] = []
    node, _ = run(skipping, {number: fault}, calls)
    assert node.client.result(skipping.get().promise) == RESULT
    if fault is not Fault.UNAVAILABLE:
        assert tuple(calls) == fault_free()[1]
        assert shape(skipping) == dict(fault_free()[0])


@pytest.mark.parametrize("length", [3, 10])
@pytest.mark.parametrize("first", range(1, WRITES, 2))
def test_an_outage_of_the_store_ends_in_the_same_result(first: int, length: int) -> None:
    """Without: what must be given back while the store is down would stay held, or be forgotten."""
    world, calls = World(MemoryStore(), auto=True), list[str]()
    faults = dict.fromkeys(range(first, first + length), Fault.UNAVAILABLE)
    node, _ = run(world, faults, calls)
    assert node.client.result(world.get().promise) == RESULT
    assert world.clock.now_ms() < EPOCH_MS + DAY_MS
    world.close()
