"""Activations that record nothing new back off, and in the end the task is halted with a reason; never a hot loop."""

from __future__ import annotations

from itertools import pairwise

import pytest
from tests.worker.kit import LEASE_MS, StuckRunner, World, executes, garbage, start

from resonate_faas import Context, Resonate
from resonate_faas._engine.steps import Launch
from resonate_faas._machine.objects import Execute, PromiseState, TaskState
from resonate_faas._machine.requests import PromiseCreate, RegisterListener, TaskContinue
from resonate_faas._node import Node
from resonate_faas._runner import Done
from resonate_faas._worker import Ended, WorkerSettings
from resonate_faas.testing import EPOCH_MS
from resonate_faas.testing._deployment import InlineRunner

MINUTE = 60_000
HOUR = 60 * MINUTE
QUIET = WorkerSettings(lease_ms=10 * MINUTE, heartbeats=False)
ATTEMPTS = 10
"""How many activations without a new record a task gets."""


def halted_with(world: World) -> str:
    assert world.task().state is TaskState.HALTED
    return world.get().reason or ""


def stuck(world: World) -> tuple[Node, StuckRunner]:
    """Return a node whose one step never fits into an activation."""
    resonate, runner = Resonate(), StuckRunner()

    @resonate.register
    async def flow(ctx: Context) -> None:
        await ctx.run(abs, 1)
        await ctx.run(abs, 2)

    return world.node(resonate, worker=QUIET, runner=lambda: runner), runner


def halts_told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str | None]]:
    """Return id and reason of each halt in the log: what the alarms of a deployment count."""
    told = [vars(record) for record in caplog.records if record.message == "task halted"]
    return [(fields["promise_id"], fields["reason"]) for fields in told]


def test_a_step_that_never_fits_is_halted_after_ten_activations(
    skipping: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Without: a step longer than the function's limit would be started, and paid for, for ever."""
    node, runner = stuck(skipping)
    start(node, "flow")
    skipping.settle(node, until_ms=EPOCH_MS + 3 * HOUR, sweep=True, limit_ms=MINUTE)
    assert runner.started == ["root:1"] * ATTEMPTS
    assert skipping.ended == [Ended.RELEASED] * ATTEMPTS
    assert halted_with(skipping) == "the deadline of the activation was near; running: abs"
    assert halts_told(caplog) == [("root", halted_with(skipping))]


def test_the_pause_between_barren_activations_grows(skipping: World) -> None:
    """Without: ten attempts would be used up within a minute; an outage of a dependency lasts longer."""
    node, runner = stuck(skipping)
    start(node, "flow")
    instants: list[int] = []
    while skipping.task().state is not TaskState.HALTED:
        before = len(runner.started)
        skipping.deliver(node, limit_ms=MINUTE)
        if len(runner.started) > before:
            instants.append(skipping.clock.now_ms() - EPOCH_MS)
        instant = skipping.queue.next_instant()
        if instant is not None:
            skipping.clock.advance_to(instant)
    gaps = [round((after - before - 59_000) / 1_000) for before, after in pairwise(instants)]
    assert gaps == [0, 0, 20, 40, 80, 160, 320, 640, 900]


def test_activations_that_crash_each_time_are_halted_too(
    skipping: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Without: a step that runs out of memory would be run every lease, for ever."""
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> None:
        await ctx.run(abs, 1)

    node = skipping.node(resonate)
    start(node, "flow")
    crashes = 0
    while skipping.clock.now_ms() < EPOCH_MS + 3 * HOUR:
        for message in skipping.take():
            if isinstance(message, Execute):
                crashes += node.worker.open_session("root", f"pid {crashes}").acquire() is not None
            else:
                node.deliver(message)
        node.server.sweep()
        skipping.clock.advance(MINUTE // 6)
    assert crashes == ATTEMPTS
    assert halted_with(skipping) == f"{ATTEMPTS} activations in a row recorded nothing new"
    assert halts_told(caplog) == [("root", halted_with(skipping))]


@pytest.mark.parametrize(
    ("settings", "limit_ms", "reason"),
    [
        (QUIET, MINUTE, "the deadline of the activation was near; next: abs"),
        (
            WorkerSettings(lease_ms=LEASE_MS, heartbeats=False),
            10 * MINUTE,
            f"{ATTEMPTS} activations in a row recorded nothing new",
        ),
    ],
    ids=["longer than the deadline", "longer than the lease"],
)
def test_a_replay_longer_than_the_limit_is_halted(
    skipping: World, settings: WorkerSettings, limit_ms: int, reason: str
) -> None:
    """Without: a history that has outgrown its limit would be replayed for ever and never move on."""
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> None:
        skipping.clock.advance(MINUTE)
        await ctx.run(abs, 1)

    node = skipping.node(resonate, worker=settings, runner=lambda: InlineRunner({}))
    start(node, "flow")
    skipping.settle(node, until_ms=EPOCH_MS + 3 * HOUR, sweep=True, limit_ms=limit_ms)
    assert len([ended for ended in skipping.ended if ended is not Ended.NOTHING]) == ATTEMPTS
    assert skipping.history() == {}
    assert halted_with(skipping) == reason


@pytest.mark.parametrize(
    ("param", "reason"),
    [
        ("!!!", "can't be read"),
        ("bm90IGpzb24=", "can't be read"),
        ("W10=", "its param names no function"),
        ("eyJmdW5jIjogIm5vYm9keSJ9", "function 'nobody' (version 1) is not registered"),
        ("eyJmdW5jIjogImZsb3ciLCAiYXJncyI6IFsiYSIsICJiIl19", "the arguments do not fit flow"),
        ("eyJmdW5jIjogImZsb3ciLCAidmVyc2lvbiI6IDl9", "function 'flow' (version 9) is not registered"),
    ],
)
def test_a_root_that_can_not_run_here_backs_off_and_is_halted(
    skipping: World, param: str, reason: str
) -> None:
    """Without: a message nobody can serve would circle between queue and worker as fast as they go."""
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context, text: str = "") -> str:
        return await ctx.run(str, text)

    node = skipping.node(resonate, worker=QUIET)
    node.server.ask(garbage(data=param))
    skipping.settle(node, until_ms=EPOCH_MS + 60_000, sweep=True)
    assert len(skipping.ended) <= 4, "backs off from the first time: another version may know better"
    assert reason in (skipping.get().reason or "")
    skipping.settle(node, until_ms=EPOCH_MS + 3 * HOUR, sweep=True)
    assert skipping.ended == [Ended.RELEASED] * ATTEMPTS
    assert reason in halted_with(skipping)
    assert skipping.get().promise.state is PromiseState.PENDING


def test_a_suspend_refused_for_too_many_waiters_halts_with_that_reason(skipping: World) -> None:
    """Without: it would look like a lost lease, time after time, and nobody could read why."""
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> str:
        return await ctx.promise(str)

    node = skipping.node(resonate, worker=QUIET)
    start(node, "flow")
    filled = False

    def fill(writes: object) -> None:
        nonlocal filled
        if not filled and isinstance(writes, dict) and "root:1" in writes:
            filled = True
            promise = writes["root:1"].promise
            create = PromiseCreate(
                id="root:1", timeout_at=promise.timeout_at, param=promise.param, tags=promise.tags
            )
            node.server.ask(create)
            for number in range(1_000):
                listener = RegisterListener(awaited="root:1", address=f"poll://any@{number}")
                assert node.server.ask(listener).reply.ok

    skipping.store.before_write = fill
    skipping.settle(node, until_ms=EPOCH_MS + 3 * HOUR, sweep=True)
    assert filled
    assert (
        halted_with(skipping) == "Promise 'root:1' already has 1000 waiters (or 300000 bytes of their names)"
    )
    assert skipping.ended == [Ended.RELEASED] * ATTEMPTS


def test_one_new_record_restores_the_patience(skipping: World) -> None:
    """Without: a long workflow of slow steps, one to an activation, would be halted at its tenth."""
    resonate, tries = Resonate(), list[int]()

    def work(number: int) -> None:
        tries.append(number)
        if tries.count(number) == 3:
            return
        raise KeyboardInterrupt

    class Flaky(InlineRunner):
        """A step's first two tries never end; its third does."""

        def start(self, launch: Launch, done: Done) -> None:
            def tell(step_id: str, value: object, error: BaseException | None) -> None:
                if error is None:
                    done(step_id, value, None)

            super().start(launch, tell)

    @resonate.register
    async def flow(ctx: Context) -> int:
        for number in range(15):
            await ctx.run(work, number)
        return 15

    node = skipping.node(resonate, worker=QUIET, runner=lambda: Flaky({}))
    start(node, "flow")
    skipping.settle(node, until_ms=EPOCH_MS + HOUR, sweep=True, limit_ms=MINUTE)
    assert node.client.result(skipping.get().promise) == 15
    assert skipping.ended.count(Ended.RELEASED) == 30
    assert skipping.get().reason is None


def test_continue_revives_a_halted_task_with_its_patience_restored(skipping: World) -> None:
    """Without: a fixed deployment could never take up what an unfixed one gave up."""
    node, _ = stuck(skipping)
    start(node, "flow")
    skipping.settle(node, until_ms=EPOCH_MS + 3 * HOUR, sweep=True, limit_ms=MINUTE)
    assert skipping.task().state is TaskState.HALTED
    assert skipping.take() == []
    assert node.server.ask(TaskContinue(id="root")).reply.ok
    assert executes(skipping.queue.held()) != [], "dispatched at once"
    found = skipping.get()
    assert (found.barren, found.not_before, found.reason) == (0, 0, None)
    fixed = skipping.node(node.resonate, runner=lambda: InlineRunner({}))
    skipping.settle(fixed)
    assert skipping.get().promise.state is PromiseState.RESOLVED


def test_a_fan_in_that_wakes_a_hundred_times_is_never_barren(skipping: World) -> None:
    """Without: the slowest kind of progress, one awaited promise at a time, would be halted as no progress."""
    resonate, count = Resonate(), 100

    @resonate.register
    async def flow(ctx: Context) -> list[int]:
        promises = [ctx.promise(int) for _ in range(count)]
        return await ctx.gather(*promises)

    node = skipping.node(resonate, worker=WorkerSettings(heartbeats=False))
    start(node, "flow")
    skipping.settle(node, until_ms=EPOCH_MS + MINUTE)
    for number in range(1, count + 1):
        node.client.settle(f"root:{number}", PromiseState.RESOLVED, number)
        skipping.settle(node, until_ms=skipping.clock.now_ms() + 1)
        assert skipping.get().barren == (number == count), "each suspension counts as progress"
        assert skipping.get().not_before == 0
    assert node.client.result(skipping.get().promise) == list(range(1, count + 1))
    assert skipping.ended == [Ended.SUSPENDED] * count + [Ended.DONE]
    assert skipping.task().version == count + 1
