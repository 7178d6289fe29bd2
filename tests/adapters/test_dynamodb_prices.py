"""The counts that ``resonate-faas cost`` multiplies with prices are those of the store: counted anew, exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.adapters.test_dynamodb_costs import Cost, Meter, World
from tests.emulators.ministack import Emulator, found_or_skip, running

from resonate_faas import PromiseState
from resonate_faas_cli._costs import SHAPES, SWEEP_READS


@pytest.fixture(scope="module")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    found_or_skip()
    with running(tmp_path_factory.mktemp("ministack")) as emulator:
        yield emulator


@pytest.fixture
def world(ministack: Emulator) -> World:
    client = ministack.client("dynamodb")
    return World(client, Meter(client))


def deliveries(world: World, count: int) -> list[Cost]:
    """Deliver what is due so often, each time at the next instant at which something is."""
    costs = []
    for _ in range(count):
        world.wait()
        costs.append(world.deliver())
    return costs


def plain(function: str, *args: Any, turns: int = 1) -> Callable[[World], list[Cost]]:
    return lambda world: [world.start(function, *args), *deliveries(world, turns)]


def approval(world: World) -> list[Cost]:
    costs = [world.start("wait_for_all", 1), *deliveries(world, 1)]
    world.deployment.client.settle("root:1", PromiseState.RESOLVED, 7)
    return [*costs, world.cost(), *deliveries(world, 1)]


RUNS: dict[str, Callable[[World], list[Cost]]] = {
    "10 steps": plain("sequence", 10),
    "fan-out of 100 steps": plain("fan_run", 100),
    "fan-out of 100 tasks": plain("fan_rpc", 100, turns=3),
    "a sleep": plain("sleeper", 60.0, turns=3),
    "an approval": approval,
}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_the_counts_are_those_of_the_store(world: World, shape: Any) -> None:
    costs = RUNS[shape.name](world)
    root = world.deployment.client.get("root")
    assert root is not None
    assert root.promise.state is PromiseState.RESOLVED
    counted = (
        sum(one.written for one in costs),
        sum(one.read for one in costs),
        sum(one.messages for one in costs),
    )
    assert counted == (shape.usage.writes, shape.usage.reads, shape.usage.messages)


def test_a_sweep_that_finds_nothing_reads_half_a_unit_a_shard(world: World) -> None:
    world.deployment.node.server.sweep()
    cost = world.cost()
    assert (cost.written, cost.read, cost.messages) == (0, SWEEP_READS, 0)
