"""Requests over more promises than one transaction holds: the server does them in several, each guarded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.server.kit import FAR_MS, resolve, server, task
from tests.worker.kit import World

from resonate_faas._embedded import EmbeddedSession
from resonate_faas._machine.objects import EXTERNAL, TIMER, PromiseObject, PromiseState, Task, TaskState
from resonate_faas._machine.requests import TaskAcquire, TaskHeartbeat, TaskRef, TaskSuspend
from resonate_faas._server import Server
from resonate_faas.testing import EPOCH_MS
from resonate_faas.testing._kit import look, promise_object, put_all, task_object

MANY = [f"root:{number}" for number in range(1, 151)]
TTL_MS = 30_000


def holding(world: World, awaited: Sequence[str]) -> Server:
    """Return a server on which the task ``root`` is held, at version 1, beside these external promises."""
    owner = server(world)
    owner.ask(task("root"))
    owner.ask(TaskAcquire(id="root", version=0, pid="pid", ttl=TTL_MS))
    given(world, awaited)
    return owner


def given(world: World, promise_ids: Sequence[str], *, timeout_at: int = FAR_MS, tag: str = EXTERNAL) -> None:
    """Store external promises, a hundred at a time."""
    pending = PromiseState.PENDING
    made = [
        promise_object(each, state=pending, tags={tag: "true"}, timeout_at=timeout_at) for each in promise_ids
    ]
    put_all(world.store, made, batch=100)


def test_a_foreign_worker_suspends_on_more_promises_than_a_transaction_holds(world: World) -> None:
    owner = holding(world, MANY)
    assert owner.ask(TaskSuspend(id="root", version=1, awaited=tuple(MANY))).reply.status == 200
    assert world.task("root").state is TaskState.SUSPENDED
    assert {found.promise.callbacks for found in owner.observe(MANY).values()} == {("root",)}
    owner.ask(resolve(MANY[0]))
    assert world.task("root").resumes == (MANY[0],)


@pytest.mark.parametrize("place", [0, 97, 98, 149])
def test_a_settled_one_anywhere_among_them_redirects(world: World, place: int) -> None:
    owner = holding(world, MANY)
    owner.ask(resolve(MANY[place]))
    reply = owner.ask(TaskSuspend(id="root", version=1, awaited=tuple(MANY))).reply
    assert reply.status == 300
    assert list(reply.records or {}) == [MANY[place]]
    assert world.task("root").state is TaskState.ACQUIRED


@pytest.mark.parametrize("place", [0, 149])
def test_an_unknown_one_among_them_is_refused_and_the_lease_kept(world: World, place: int) -> None:
    owner = holding(world, MANY)
    awaited = [*MANY[:place], "root:nobody", *MANY[place + 1 :]]
    assert owner.ask(TaskSuspend(id="root", version=1, awaited=tuple(awaited))).reply.status == 422
    assert world.task("root").state is TaskState.ACQUIRED


@pytest.mark.parametrize(("awaited", "status"), [((*MANY, MANY[0]), 400), ((*MANY, "root"), 400)])
def test_what_is_malformed_in_a_later_part_is_refused_too(
    world: World, awaited: tuple[str, ...], status: int
) -> None:
    owner = holding(world, MANY)
    assert owner.ask(TaskSuspend(id="root", version=1, awaited=awaited)).reply.status == status
    assert world.task("root").state is TaskState.ACQUIRED


def test_a_settlement_between_two_parts_is_not_missed(world: World) -> None:
    """It is drained into the held task, so its callback is gone: suspending then would wait for ever."""
    owner = holding(world, MANY)
    parts = 0

    def settle_between(_: object) -> None:
        nonlocal parts
        parts += 1
        if parts == 2:
            world.store.before_write = lambda _: None
            for promise_id in MANY[:3]:
                owner.ask(resolve(promise_id))

    world.store.before_write = settle_between
    reply = owner.ask(TaskSuspend(id="root", version=1, awaited=tuple(MANY))).reply
    assert reply.status == 300
    assert set(reply.records or {}) <= set(MANY[:3])
    assert world.task("root").state is TaskState.ACQUIRED


def test_a_heartbeat_extends_any_number_of_leases(world: World) -> None:
    owner = server(world)
    names = [f"task-{number}" for number in range(150)]
    held = Task(state=TaskState.ACQUIRED, version=1, ttl=TTL_MS, pid="pid", expires_at=EPOCH_MS + TTL_MS)
    put_all(world.store, [replace(task_object(name), task=held) for name in names], batch=100)
    world.clock.advance(1_000)
    beat = TaskHeartbeat(pid="pid", tasks=tuple(TaskRef(id=name, version=1) for name in names))
    assert owner.ask(beat).reply.status == 200
    ends = {found.task.expires_at for found in owner.observe(names).values() if found.task is not None}
    assert ends == {EPOCH_MS + 1_000 + TTL_MS}


def test_any_number_of_promises_is_observed_and_what_deadlines_decided_is_stored(world: World) -> None:
    owner = server(world)
    names = [f"timer-{number}" for number in range(150)]
    given(world, names, timeout_at=EPOCH_MS + 1_000, tag=TIMER)
    world.clock.advance(1_000)
    found = owner.observe([*names, "nobody"])
    assert list(found) == names
    stored = [
        held.object for start in (0, 100) for held in look(world.store, *names[start : start + 100]).values()
    ]
    assert {found.promise.state for found in stored if isinstance(found, PromiseObject)} == {
        PromiseState.RESOLVED
    }


def test_our_own_session_suspends_on_any_number_and_keeps_the_lease_when_redirected(world: World) -> None:
    owner = server(world)
    owner.ask(task("root"))
    given(world, MANY)
    session = EmbeddedSession(owner, "root", pid="pid", ttl_ms=TTL_MS)
    assert session.acquire() is not None
    owner.ask(resolve(MANY[120]))
    assert list(session.suspend(MANY)) == [MANY[120]]
    assert session.left_ms() > 0
    assert session.suspend([each for each in MANY if each != MANY[120]]) == {}
    assert world.task("root").state is TaskState.SUSPENDED
