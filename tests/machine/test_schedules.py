"""R7: a schedule fires each occurrence once, at its own instant, whoever comes and however late (protocol section 4.2)."""

from __future__ import annotations

import pytest
from tests.machine.world import Internal, World, pending, schedule_create

from resonate_faas._machine import internal
from resonate_faas._machine.objects import (
    BRANCH,
    ORIGIN,
    PARENT,
    SCHEDULE,
    TARGET,
    PromiseState,
    TaskState,
    schedule_key,
)


def test_a_schedule_fires_every_occurrence_once_and_each_is_born_at_its_instant() -> None:
    world = World()
    world.ask(schedule_create("c", "every 100", 50), 50)
    world.fire(Internal("R7", "c"), 99)
    assert len(world.objects) == 1
    for _ in range(2):
        world.fire(Internal("R7", "c"), 320)
        assert {key for key in world.objects if "." in key} == {"c.100", "c.200", "c.300"}
    fired = world.promise("c.200")
    assert (fired.created_at, fired.timeout_at) == (200, 1_200)
    assert fired.tags == {TARGET: "U", SCHEDULE: "c", ORIGIN: "c.200", BRANCH: "c.200", PARENT: "c.200"}
    assert world.task("c.200") == pending(0, retry_at=320)


def test_a_late_occurrence_is_born_live_and_then_expires_by_its_own_deadline() -> None:
    world = World()
    world.ask(schedule_create("c", "every 100", 50, promise_timeout=10), 50)
    world.fire(Internal("R7", "c"), 300)
    assert world.promise("c.100").state is PromiseState.PENDING
    world.fire(Internal("advance", "c.100"), 300)
    assert (world.promise("c.100").state, world.promise("c.100").settled_at) == (PromiseState.TIMEDOUT, 110)
    assert world.outbox == {}


def test_of_occurrences_with_one_id_the_first_is_born() -> None:
    world = World()
    world.ask(schedule_create("c", "every 100", 50, promise_id="x"), 50)
    world.fire(Internal("R7", "c"), 320)
    assert world.promise("x").created_at == 100


def test_a_schedule_without_time_to_live_fires_dead_promises() -> None:
    world = World()
    world.ask(schedule_create("c", "every 100", 50, promise_timeout=0), 50)
    world.fire(Internal("R7", "c"), 100)
    assert world.promise("c.100").settled_at == world.promise("c.100").created_at == 100
    assert world.task("c.100").state is TaskState.FULFILLED


@pytest.mark.parametrize(
    ("occurrences", "next_run_at"),
    [((), 100), ((200,), 300), ((100, 500), 600), ((100, 200), 200), ((50, 100), 200)],
    ids=["none", "not from next_run_at", "in the future", "next not after the last", "before next_run_at"],
)
def test_a_schedule_refuses_occurrences_that_do_not_follow_on(
    occurrences: tuple[int, ...], next_run_at: int
) -> None:
    """Two instances may compute the same occurrences; the slower one finds the schedule moved and does nothing."""
    world = World()
    world.ask(schedule_create("c", "every 100", 50), 50)
    before = dict(world.objects)
    cause = Internal("R7", "c")
    world.run(
        cause,
        lambda turn: internal.schedule_fire(turn, "c", occurrences, next_run_at),
        (schedule_key("c"),),
        400,
    )
    assert world.objects == before
