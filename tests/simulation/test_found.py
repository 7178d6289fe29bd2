"""What seeds have found, each as a test of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from resonate_faas import OutcomeUnknownError
from resonate_faas._machine.objects import Object, PromiseState
from resonate_faas._machine.requests import PromiseCreate, PromiseSettle, ScheduleCreate
from resonate_faas._server import Server
from resonate_faas.testing import FakeClock, MemoryQueue, MemoryStore, PrimitiveStore, WrappedStore

DEADLINE_MS = 60_000


class SlowStore(WrappedStore):
    """One of its writes is given up by the sender, and may reach the store just before the next try.

    Args:
        inner: the store that keeps the objects.
        clock: moves on while the sender waits in vain.
        slow: the number of that write.
        lands: it reaches the store.
    """

    def __init__(self, inner: PrimitiveStore, clock: FakeClock, *, slow: int, lands: bool = True) -> None:
        super().__init__(inner, pause=lambda _: None)
        self._clock, self._slow, self._lands = clock, slow, lands
        self._late: list[tuple[Any, ...]] = []
        self.writes = 0

    def write(
        self, expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
    ) -> Mapping[str, int]:
        self.writes += 1
        if self.writes == self._slow:
            self._late += [(expected, writes, nonce)] * self._lands
            self._clock.advance(2 * DEADLINE_MS)
            raise OutcomeUnknownError(tuple(writes), "no answer within the client's patience")
        for late in self._late:
            self.inner.write(*late)
        self._late.clear()
        return self.inner.write(expected, writes, nonce)


def test_a_write_given_up_that_lands_before_its_retry_is_told_as_it_was_decided() -> None:
    """Seed 22: the answer told a settlement that was decided by the retry and is stored nowhere."""
    clock = FakeClock()
    store = SlowStore(MemoryStore(), clock, slow=2)
    server = Server(store, MemoryQueue(clock), clock=clock)
    server.ask(PromiseCreate(id="p", timeout_at=clock.now_ms() + DEADLINE_MS))
    reply = server.ask(PromiseSettle(id="p", state=PromiseState.RESOLVED)).reply
    (stored,) = store.search("promise")
    assert store.writes == 3
    assert reply.promise == stored
    assert reply.promise.promise.state is PromiseState.RESOLVED


def test_a_schedule_created_at_the_second_try_runs_after_its_creation() -> None:
    """Seed 626: its first instant was computed before the first try, and lay before its creation."""
    clock = FakeClock()
    server = Server(SlowStore(MemoryStore(), clock, slow=1, lands=False), MemoryQueue(clock), clock=clock)
    create = ScheduleCreate(
        id="s", cron="* * * * *", promise_id="{{.timestamp}}", promise_timeout=1_000, next_run_at=0
    )
    schedule = server.create_schedule(create).reply.schedule
    assert schedule is not None
    assert schedule.created_at < schedule.next_run_at
