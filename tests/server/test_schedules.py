"""Schedules fire each occurrence once, whoever looks, and catch up after a pause in bounded batches."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pytest
from tests.server.kit import run_due, server
from tests.worker.kit import ADDRESS, DAY_MS, SkewedClock, World

from resonate_faas import Context, Resonate
from resonate_faas._cron import CronError
from resonate_faas._machine.objects import (
    ORIGIN,
    SCHEDULE,
    TARGET,
    Execute,
    Object,
    PromiseObject,
    PromiseState,
    ScheduleObject,
    Value,
    schedule_key,
)
from resonate_faas._machine.requests import ScheduleCreate, ScheduleDelete
from resonate_faas._server import Server
from resonate_faas.testing import EPOCH_MS
from resonate_faas.testing._deployment import InlineRunner

MINUTE = 60_000
KEY = schedule_key("s")


def schedule(cron: str = "* * * * *", *, zone: str = "UTC", param: Value | None = None) -> ScheduleCreate:
    return ScheduleCreate(
        id="s",
        cron=cron,
        promise_id="{{.id}}-{{.timestamp}}",
        promise_timeout=DAY_MS,
        next_run_at=0,
        promise_param=param or Value(),
        promise_tags={TARGET: ADDRESS},
        zone=zone,
    )


def fired(world: World) -> list[int]:
    """Return the instants of the occurrences on record."""
    found = world.store.search("promise", limit=1_000)
    return sorted(int(one.id.partition("-")[2]) for one in found)


def stored(world: World) -> ScheduleObject:
    found = world.store.read((KEY,))[KEY].object
    assert isinstance(found, ScheduleObject)
    return found


def expected(world: World, first: int) -> list[int]:
    return list(range(first, world.clock.now_ms() + 1, MINUTE))


def first_run(owner: Server) -> int:
    created = owner.create_schedule(schedule()).reply.schedule
    assert created is not None
    return created.next_run_at


def test_each_occurrence_fires_once_at_its_instant(world: World) -> None:
    """Without: a nightly job would run twice, or at the sweep's convenience."""
    owner = server(world)
    first = first_run(owner)
    assert EPOCH_MS < first <= EPOCH_MS + MINUTE
    for _ in range(20):
        instant = world.queue.next_instant()
        assert instant is not None
        world.clock.advance_to(instant)
        run_due(world, owner)
        assert fired(world) == expected(world, first)
    assert stored(world).schedule.last_run_at == fired(world)[-1]


def test_a_fired_promise_is_a_root_born_at_its_instant(world: World) -> None:
    owner = server(world)
    first = first_run(owner)
    world.clock.advance_to(first + 7)
    owner.advance(KEY)
    found = world.get(f"s-{first}")
    assert (found.promise.created_at, found.promise.timeout_at) == (first, first + DAY_MS)
    assert found.promise.tags[SCHEDULE] == "s"
    assert found.promise.tags[ORIGIN] == found.id
    assert found.birth, "its history is told from that of an earlier execution of the id"
    assert [message.id for message in world.take() if isinstance(message, Execute)] == [found.id]


@pytest.mark.parametrize("offset_ms", [-1_000, 0, 1_000])
def test_two_processes_that_fire_at_once_fire_each_occurrence_once(world: World, offset_ms: int) -> None:
    """Without the guard on the next run: the second would fire again, or skip one."""
    owner = server(world)
    other = Server(world.store, world.queue, clock=SkewedClock(world.clock, offset_ms))
    first = first_run(owner)
    world.clock.advance_to(first + 3 * MINUTE - 500)  # the clock ahead sees one occurrence more
    overtaken: list[bool] = []

    def overtake(writes: Mapping[str, Object | None]) -> None:
        del writes
        if not overtaken:
            overtaken.append(True)
            other.advance(KEY)

    world.store.before_write = overtake
    owner.advance(KEY)
    world.store.before_write = lambda _: None
    world.clock.advance(1_000)
    owner.advance(KEY)
    other.advance(KEY)
    assert fired(world) == expected(world, first)
    nexts = [
        one.schedule.next_run_at
        for writes in world.store.written
        for one in writes.values()
        if isinstance(one, ScheduleObject)
    ]
    assert nexts == sorted(nexts), "a schedule never goes back"
    births = [key for writes in world.store.written for key in writes if key != KEY]
    assert sorted(births) == sorted(set(births))


def test_after_a_pause_missed_occurrences_are_caught_up_in_bounded_batches(world: World) -> None:
    """Without the bound: one transaction of 1,000 promises, which no cloud store takes."""
    owner = server(world)
    first = first_run(owner)
    world.queue.pop_due(first + DAY_MS)
    world.clock.advance_to(first + 250 * MINUTE)
    world.store.written.clear()
    owner.advance(KEY)
    for _ in range(5):
        run_due(world, owner)
    assert fired(world) == expected(world, first)
    sizes = [len(writes) for writes in world.store.written if KEY in writes]
    assert sizes == [100, 100, 54]
    assert stored(world).schedule.next_run_at == first + 251 * MINUTE


def test_a_batch_holds_no_more_bytes_than_a_transaction_takes(world: World) -> None:
    """Without: a schedule with a large param could never catch up on a cloud store."""
    owner = server(world)
    data = base64.b64encode(b"x" * 220_000).decode()
    created = owner.create_schedule(schedule(param=Value(data=data))).reply.schedule
    assert created is not None
    world.clock.advance_to(created.next_run_at + 30 * MINUTE)
    world.store.written.clear()
    owner.advance(KEY)
    assert 2 <= len(world.store.written[0]) <= 3_500_000 // len(data) + 1


def test_a_fired_workflow_runs(skipping: World) -> None:
    resonate, ran = Resonate(), list[str]()

    @resonate.register
    async def job(ctx: Context) -> None:
        ran.append(ctx.info.id)
        await ctx.run(abs, 1)

    node = skipping.node(resonate, runner=lambda: InlineRunner({}))
    param = Value(data=base64.b64encode(b'{"func": "job"}').decode())
    node.server.create_schedule(schedule("0 * * * *", param=param))
    skipping.settle(node, until_ms=EPOCH_MS + 5 * 60 * MINUTE, sweep=True)
    assert len(ran) == 5
    roots = [
        one
        for one in skipping.store.search("promise", tags={SCHEDULE: "s"})
        if isinstance(one, PromiseObject)
    ]
    assert [root.promise.state for root in roots] == [PromiseState.RESOLVED] * 5


def test_a_wrong_expression_or_zone_stores_nothing(world: World) -> None:
    owner = server(world)
    for wrong in (schedule("* * * *"), schedule("0 0 L * *"), schedule(zone="Mars/Olympus")):
        with pytest.raises(CronError):
            owner.create_schedule(wrong)
    assert world.store.search("schedule") == []


def test_a_second_create_finds_the_first_and_a_deleted_one_fires_no_more(world: World) -> None:
    owner = server(world)
    first = first_run(owner)
    again = owner.create_schedule(schedule("0 0 1 1 *")).reply.schedule
    assert again is not None
    assert (again.cron, again.next_run_at) == ("* * * * *", first)
    assert owner.ask(ScheduleDelete(id="s")).reply.ok
    world.clock.advance_to(first + MINUTE)
    run_due(world, owner)
    owner.advance(KEY)
    assert fired(world) == []


def test_the_zone_of_a_schedule_is_its_own(world: World) -> None:
    owner = server(world)
    created = owner.create_schedule(schedule("0 9 * * *", zone="Asia/Tokyo")).reply.schedule
    assert created is not None
    assert created.next_run_at % DAY_MS == 0, "9 in Tokyo is midnight UTC"
