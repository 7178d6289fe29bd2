"""Ten thousand games, one a minute, played in a week of simulated time."""

from __future__ import annotations

from types import ModuleType

import pytest

from resonate_faas._machine.objects import PromiseObject
from resonate_faas.testing import CountingStore, MemoryDeployment, MemoryStore

GAMES = 10_000


@pytest.mark.slow
def test_ten_thousand_games_at_a_flat_cost(workflows: ModuleType) -> None:
    store = CountingStore(MemoryStore())
    deployment = MemoryDeployment(workflows.resonate, store=store)
    began = deployment.clock.now_ms()
    deployment.start("play", 1, GAMES, 60.0)
    deployment.settle(until_ms=began + 100 * 60_000)
    first_hundred = store.reset().round_trips
    deployment.settle(until_ms=began + (GAMES - 100) * 60_000)
    store.reset()
    deployment.settle()

    assert store.counts.round_trips <= first_hundred * 1.05
    roots = [
        found.promise
        for found in store.search("promise", limit=1_000)
        if isinstance(found, PromiseObject) and ":" not in found.id
    ]
    assert max(len(root.id.encode()) for root in roots) <= 64 + 34
    assert deployment.clock.now_ms() - began >= (GAMES - 1) * 60_000


def test_each_game_is_its_own_root_with_a_bounded_history(workflows: ModuleType) -> None:
    deployment = MemoryDeployment(workflows.resonate)
    deployment.run("play", 1, 20, 60.0)
    objects = deployment.store.search("promise", limit=1_000)
    roots = [found.id for found in objects if ":" not in found.id]
    assert len(roots) == 20
    for root in roots:
        history = [record for page in deployment.store.history(root) for record in page]
        assert len(history) <= 3
