"""The lease: extended by the commits themselves, by heartbeats only when there are none, given up in time."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping

import pytest
from tests.worker.kit import JOIN_S, LEASE_MS, Gate, World, activate, start

from resonate_faas import Context, Resonate, StoreUnavailableError
from resonate_faas._machine.objects import Object, PromiseState
from resonate_faas._worker import Ended

SECOND = 1_000


def with_gate(gate: Gate) -> Resonate:
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> str:
        return await ctx.run(gate.__call__)

    return resonate


def refuse_heartbeats(world: World) -> None:
    """From now on the store refuses writes of the task alone: the heartbeats."""

    def refuse(writes: Mapping[str, Object | None]) -> None:
        if set(writes) == {"root"}:
            raise StoreUnavailableError("write", "as the test wants it")

    world.store.before_write = refuse


def test_a_long_step_keeps_its_lease_by_heartbeats_of_their_own(world: World) -> None:
    """Without: any step longer than the lease would be run twice at a time."""
    gate = Gate()
    node = world.node(with_gate(gate))
    start(node, "flow")
    running = activate(node)
    gate.await_entered()
    for _ in range(100):
        world.clock.tick(SECOND, sleepers=2)
        expires_at = world.task().expires_at
        assert expires_at is not None
        assert expires_at > world.clock.now_ms()
    gate.opened.set()
    assert running.join() is Ended.DONE
    assert world.task().version == 1
    extensions = world.store.extensions()
    assert all(alone for _, alone in extensions)
    assert 100 // 17 <= len(extensions) <= 100 // 15, "about two heartbeats a lease, no more"


def test_commits_extend_the_lease_in_the_same_write_and_no_heartbeat_goes_out(world: World) -> None:
    """Without: every activation that commits steadily would pay one more write every few seconds."""
    resonate, clock = Resonate(), world.clock

    def work() -> None:
        clock.wait(threading.Event(), 4 * SECOND)

    @resonate.register
    async def flow(ctx: Context) -> None:
        for _ in range(20):
            await ctx.run(work)

    node = world.node(resonate)
    start(node, "flow")
    running = activate(node)
    for _ in range(78):
        clock.tick(SECOND, sleepers=3)
    clock.advance(2 * SECOND)
    assert running.join() is Ended.DONE
    extensions = world.store.extensions()
    assert not any(alone for _, alone in extensions)
    assert len(extensions) == 6, "one commit in three is later than a third of the lease"


def test_a_commit_soon_after_the_last_extension_does_not_write_the_task(world: World) -> None:
    """Without: each step would rewrite the lease item next to its record."""
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> None:
        for number in range(5):
            await ctx.run(abs, number)

    node = world.node(resonate)
    start(node, "flow")
    world.store.written.clear()
    assert activate(node).join() is Ended.DONE
    tasks_written = [("root" in writes) for writes in world.store.written]
    assert tasks_written == [True, True, False, False, False, False, True], (
        "claim, first record (resets the patience), four records, the end"
    )


def test_a_failed_heartbeat_is_repeated_before_the_lease_ends(world: World) -> None:
    """Without: one refused write in a long step would cost the whole step."""
    gate = Gate()
    node = world.node(with_gate(gate))
    start(node, "flow")
    running = activate(node)
    gate.await_entered()
    refuse_heartbeats(world)
    for _ in range(24):
        world.clock.tick(SECOND, sleepers=2)
    world.store.before_write = lambda _: None
    for _ in range(16):
        world.clock.tick(SECOND, sleepers=2)
    gate.opened.set()
    assert running.join() is Ended.DONE


def test_an_unconfirmed_lease_is_given_up_two_seconds_before_its_end(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Without: with clocks a second apart, the next holder would start while our steps still run."""
    resonate, gate = Resonate(), Gate()
    began, cancelled = threading.Event(), threading.Event()

    async def ask() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    @resonate.register
    async def flow(ctx: Context) -> None:
        await ctx.gather(ctx.run(ask), ctx.run(gate.__call__))

    node = world.node(resonate)
    start(node, "flow")
    running = activate(node)
    gate.await_entered()
    assert began.wait(JOIN_S)
    refuse_heartbeats(world)
    for _ in range(27):
        world.clock.tick(SECOND, sleepers=2)
    assert not running.ended
    caplog.set_level(logging.WARNING, "resonate_faas.worker")
    records = dict(world.history())
    world.clock.advance(SECOND)
    assert running.join() is Ended.LOST
    assert cancelled.wait(JOIN_S), "the coroutine was not cancelled"
    gate.opened.set()
    assert gate.left.wait(JOIN_S)
    assert world.history() == records, "the result of the abandoned thread is dropped"
    (lost,) = [record for record in caplog.records if record.message == "task not acquired"]
    fields = vars(lost)
    assert (fields["code"], fields["promise_id"], fields["lease_ms"]) == ("1199", "root", LEASE_MS)
    assert fields["replay_ms"] == 0
    assert fields["promises"] == 0


def test_a_store_that_hangs_does_not_keep_steps_running_beyond_the_lease(world: World) -> None:
    """Without: the driver would wait for the answer of a heartbeat while another activation already runs."""
    gate, release = Gate(), threading.Event()
    node = world.node(with_gate(gate))
    start(node, "flow")
    running = activate(node)
    gate.await_entered()

    def hang(writes: Mapping[str, Object | None]) -> None:
        if set(writes) == {"root"}:
            assert release.wait(JOIN_S)

    world.store.before_write = hang
    for _ in range(15):
        world.clock.tick(SECOND, sleepers=2)
    for _ in range(12):
        world.clock.tick(SECOND, sleepers=1)  # the heartbeat hangs from here on
    assert not running.ended
    world.clock.advance(SECOND)
    assert running.join() is Ended.LOST
    release.set()
    gate.opened.set()


def test_no_step_starts_once_the_replay_has_outlived_the_lease(world: World) -> None:
    """Without: a replay longer than the lease would start side effects that another activation starts too."""
    resonate, gate = Resonate(), Gate()

    @resonate.register
    async def flow(ctx: Context) -> None:
        refuse_heartbeats(world)
        world.clock.advance(LEASE_MS)
        await ctx.run(gate.__call__)

    node = world.node(resonate)
    start(node, "flow")
    assert activate(node).join() is Ended.LOST
    assert gate.count == 0
    assert world.get().promise.state is PromiseState.PENDING
