"""The counts that ``resonate-faas cost --gcp`` multiplies with prices are those of the store: counted anew, exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.adapters.test_firestore_bill import Deployment

from resonate_faas import PromiseState
from resonate_faas_cli._costs import SHAPES, SHARDS


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    made = Deployment()
    yield made
    made.close()


def approval(deployment: Deployment) -> int:
    deployment.inner.start("wait_for_all", 1)
    deployment.deliver()
    deployment.inner.client.settle("root:1", PromiseState.RESOLVED, 7)
    return 2


def plain(function: str, *args: Any) -> Callable[[Deployment], int]:
    def start(deployment: Deployment) -> int:
        deployment.inner.start(function, *args)
        return 1

    return start


RUNS: dict[str, Callable[[Deployment], int]] = {
    "10 steps": plain("sequence", 10),
    "fan-out of 100 steps": plain("fan_run", 100),
    "fan-out of 100 tasks": plain("fan_rpc", 100),
    "a sleep": plain("sleeper", 60.0),
    "an approval": approval,
}
"""Each starts an execution and returns how many requests from outside that took."""


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_the_counts_are_those_of_the_store(deployment: Deployment, shape: Any) -> None:
    used = shape.on_google
    calls = RUNS[shape.name](deployment)
    deployment.deliver()
    assert deployment.taken(called=calls) == [used.reads, used.writes, 2 * used.messages, used.invocations]
    root = deployment.inner.client.get("root")
    assert root is not None
    assert root.promise.state is PromiseState.RESOLVED


def test_a_sweep_that_finds_nothing_reads_a_document_a_shard(deployment: Deployment) -> None:
    assert deployment.tick() == [SHARDS, 0, 0, 1]
