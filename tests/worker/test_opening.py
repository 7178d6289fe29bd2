"""A task and its history are read at once: what happens between the two reads must not be missed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.server.kit import external, resolve, suspended, task
from tests.worker.kit import LEASE_MS, World

from resonate_faas._embedded import EmbeddedSession
from resonate_faas._machine.objects import PromiseState
from resonate_faas._ports import Versioned
from resonate_faas._server import Server
from resonate_faas.testing import MemoryStore
from resonate_faas.testing._kit import external as recorded


class HistoryFirst(MemoryStore):
    """A store that opens a task with a history as old as it may be: read whole, then things happen, then the task."""

    def __init__(self) -> None:
        super().__init__(pause=lambda _: None)
        self.meanwhile: Callable[[], None] = lambda: None
        self.histories = 0

    def open(self, task_id: str) -> tuple[Versioned, Iterator[list[Versioned]]]:
        pages = list(self.history(task_id))
        self.meanwhile()
        found = self.read((task_id,))[task_id]
        return Versioned(found.object, found.revision), iter(pages)

    def history(self, task_id: str, after: str | None = None) -> Iterator[list[Versioned]]:
        self.histories += 1
        yield from super().history(task_id, after)


@pytest.fixture
def store() -> HistoryFirst:
    return HistoryFirst()


@pytest.fixture
def owner(store: HistoryFirst) -> Server:
    world = World(None)
    return Server(store, world.queue, clock=world.clock)


def session(owner: Server, pid: str) -> EmbeddedSession:
    return EmbeddedSession(owner, "root", pid=pid, ttl_ms=LEASE_MS)


def test_what_another_holder_recorded_between_the_reads_is_replayed(
    store: HistoryFirst, owner: Server
) -> None:
    """Without: a step that is on record would run again."""
    owner.ask(task("root"))

    def take_record_and_release() -> None:
        store.meanwhile = lambda: None
        other = session(owner, "other")
        assert other.acquire(0) is not None
        other.commit((recorded("root:1"),))
        other.release()

    store.meanwhile = take_record_and_release
    lease = session(owner, "mine").acquire(0)
    assert lease is not None
    assert lease.root.task is not None
    assert lease.root.task.version == 2
    assert list(lease.history) == ["root:1"]


def test_a_task_still_at_the_messages_version_needs_no_second_history(
    store: HistoryFirst, owner: Server
) -> None:
    owner.ask(task("root"))
    assert session(owner, "mine").acquire(0) is not None
    assert store.histories == 1


def test_a_promise_that_resumed_the_task_between_the_reads_is_delivered_settled(
    store: HistoryFirst, owner: Server
) -> None:
    """Without: the workflow would wait for what has woken it."""
    owner.ask(task("root"))
    owner.ask(external("root:1"))
    suspended(owner, "root", "root:1")
    version = 1

    def settle() -> None:
        store.meanwhile = lambda: None
        owner.ask(resolve("root:1"))

    store.meanwhile = settle
    lease = session(owner, "mine").acquire(version)
    assert lease is not None
    assert lease.woken_by == ("root:1",)
    assert lease.history["root:1"].state is PromiseState.RESOLVED
