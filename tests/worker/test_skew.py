"""Processes whose clocks disagree by a second: nothing is lost, time per object never runs back, no lease is stolen."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from tests.worker.flows import RESULT, everything, shape
from tests.worker.kit import (
    LEASE_MS,
    Gate,
    SkewedClock,
    World,
    activate,
    start,
)

from resonate_faas import Context, Resonate, StoreUnavailableError
from resonate_faas._machine.objects import Execute, Object, PromiseObject, PromiseState, TaskState
from resonate_faas._node import Node
from resonate_faas._worker import Ended, WorkerSettings
from resonate_faas.testing import EPOCH_MS
from resonate_faas.testing._deployment import InlineRunner

SECOND = 1_000


def pair(world: World, calls: list[str], *, offset_ms: int) -> list[Node]:
    """Return two nodes, the second's wall clock off by so much."""
    return [
        world.node(
            everything(calls),
            clock=SkewedClock(world.clock, offset),
            worker=WorkerSettings(lease_ms=LEASE_MS, heartbeats=False),
            runner=lambda: InlineRunner({}),
        )
        for offset in (0, offset_ms)
    ]


def assert_time_never_runs_back(world: World) -> None:
    latest: dict[str, int] = {}
    for writes in world.store.written:
        for key, stored in writes.items():
            if stored is None:
                continue
            assert stored.at >= latest.get(key, 0), key
            latest[key] = stored.at
            if isinstance(stored, PromiseObject) and stored.promise.settled_at is not None:
                assert stored.promise.settled_at >= stored.promise.created_at


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("offset_ms", [-SECOND, SECOND])
def test_a_workflow_passed_to_and_fro_between_skewed_processes_loses_nothing(
    skipping: World, offset_ms: int, seed: int
) -> None:
    """Without ``now`` bounded by what is stored: a settlement could lie before its creation, a timer fire twice."""
    calls: list[str] = []
    nodes, draw = pair(skipping, calls, offset_ms=offset_ms), random.Random(seed)
    start(nodes[0], "flow")
    for _ in range(500):
        messages = skipping.take()
        for message in messages:
            draw.choice(nodes).deliver(message)
        if not messages:
            instant = skipping.queue.next_instant()
            if instant is None:
                break
            skipping.clock.advance_to(instant)
    assert nodes[0].client.result(skipping.get().promise) == RESULT
    assert all(state != "pending" for state, _, _ in shape(skipping).values())
    assert len(calls) == len(set(calls)) + 1, "no recorded step ran twice"
    assert_time_never_runs_back(skipping)


def test_a_process_behind_sees_the_instant_of_the_process_ahead(skipping: World) -> None:
    """Without: a promise settled by the clock ahead would, to the clock behind, be settled in its future."""
    behind, ahead = pair(skipping, [], offset_ms=SECOND)
    start(ahead, "flow")
    assert skipping.get().at == EPOCH_MS + SECOND
    behind.client.settle("root", PromiseState.RESOLVED, "early")
    assert skipping.get().promise.settled_at == EPOCH_MS + SECOND


def test_a_timer_that_comes_early_to_a_clock_behind_is_sent_again(skipping: World) -> None:
    """Without: the message of a sleep delivered by a queue ahead of us would be spent, and the sleep last a minute."""
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> str:
        await ctx.sleep(300)
        return "awake"

    ahead = skipping.node(resonate, runner=lambda: InlineRunner({}), worker=WorkerSettings(heartbeats=False))
    behind = skipping.node(
        resonate,
        clock=SkewedClock(skipping.clock, -SECOND),
        runner=lambda: InlineRunner({}),
        worker=WorkerSettings(heartbeats=False),
    )
    start(ahead, "flow")
    assert ahead.worker.activate("root") is Ended.SUSPENDED
    skipping.settle(behind)
    promise = skipping.get().promise
    assert promise.state is PromiseState.RESOLVED
    assert promise.settled_at is not None
    assert promise.settled_at <= EPOCH_MS + 301 * SECOND


def test_a_clock_a_second_ahead_takes_a_lease_only_after_its_holder_gave_up(world: World) -> None:
    """Without the holder's two seconds: both would run steps at the same time."""
    resonate, gate = Resonate(), Gate()

    @resonate.register
    async def flow(ctx: Context) -> str:
        return await ctx.run(gate.__call__)

    holder = world.node(resonate)
    thief = world.node(
        resonate,
        clock=SkewedClock(world.clock, SECOND),
        runner=lambda: InlineRunner({}),
        worker=WorkerSettings(heartbeats=False),
    )
    start(holder, "flow")
    running = activate(holder)
    gate.await_entered()

    def refuse(writes: Mapping[str, Object | None]) -> None:
        if set(writes) == {"root"}:
            raise StoreUnavailableError("write", "to the holder alone")

    message = Execute(id="root", version=0, target="anywhere")
    for _ in range(27):
        world.store.before_write = refuse
        world.clock.tick(SECOND, sleepers=2)
        world.store.before_write = lambda _: None
        assert thief.deliver(message) is Ended.NOTHING
    world.store.before_write = refuse
    world.clock.advance(SECOND)
    assert running.join() is Ended.LOST, "at 28 s"
    world.store.before_write = lambda _: None
    assert thief.deliver(message) is Ended.NOTHING
    assert (world.task().state, world.task().version) == (TaskState.ACQUIRED, 1)
    gate.opened.set()
    world.clock.advance(SECOND)
    assert thief.deliver(message) is Ended.DONE, "at 29 s, 30 by its own clock"
    assert gate.count == 2


def test_a_wall_clock_set_back_by_an_hour_keeps_the_holder_running(world: World) -> None:
    """Without the monotonic clock: a correction of the wall clock would end leases, or stretch them."""
    resonate, gate = Resonate(), Gate()

    @resonate.register
    async def flow(ctx: Context) -> str:
        return await ctx.run(gate.__call__)

    node = world.node(resonate)
    start(node, "flow")
    running = activate(node)
    gate.await_entered()
    world.clock.await_sleepers(2)
    world.clock.shift(-3_600 * SECOND)
    for _ in range(60):
        world.clock.tick(SECOND, sleepers=2)
    gate.opened.set()
    assert running.join() is Ended.DONE
    assert_time_never_runs_back(world)
