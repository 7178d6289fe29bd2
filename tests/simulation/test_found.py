"""What seeds have found, each as a test of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from resonate_faas import OutcomeUnknownError
from resonate_faas._machine.objects import Object, PromiseState
from resonate_faas._machine.requests import PromiseCreate, PromiseSettle
from resonate_faas._server import Server
from resonate_faas.testing import FakeClock, MemoryQueue, MemoryStore, PrimitiveStore, WrappedStore

DEADLINE_MS = 60_000


class SlowStore(WrappedStore):
    """Its first settlement is given up by the sender, and reaches the store just before the next try."""

    def __init__(self, inner: PrimitiveStore, clock: FakeClock) -> None:
        super().__init__(inner, pause=lambda _: None)
        self._clock = clock
        self._late: list[tuple[Any, ...]] = []
        self.writes = 0

    def write(
        self, expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
    ) -> Mapping[str, int]:
        self.writes += 1
        if self.writes == 2:
            self._late.append((expected, writes, nonce))
            self._clock.advance(2 * DEADLINE_MS)
            raise OutcomeUnknownError(tuple(writes), "no answer within the client's patience")
        for late in self._late:
            self.inner.write(*late)
        self._late.clear()
        return self.inner.write(expected, writes, nonce)


def test_a_write_given_up_that_lands_before_its_retry_is_told_as_it_was_decided() -> None:
    """Seed 22: the answer told a settlement that was decided by the retry and is stored nowhere."""
    clock = FakeClock()
    store = SlowStore(MemoryStore(), clock)
    server = Server(store, MemoryQueue(clock), clock=clock)
    server.ask(PromiseCreate(id="p", timeout_at=clock.now_ms() + DEADLINE_MS))
    reply = server.ask(PromiseSettle(id="p", state=PromiseState.RESOLVED)).reply
    (stored,) = store.search("promise")
    assert store.writes == 3
    assert reply.promise == stored
    assert reply.promise.promise.state is PromiseState.RESOLVED
