"""A stage for sessions over our own server, whatever its store."""

from __future__ import annotations

from resonate_faas._embedded import EmbeddedSession
from resonate_faas._machine.objects import TARGET, Promise, PromiseState
from resonate_faas._machine.requests import PromiseCreate, PromiseSettle
from resonate_faas._ports import Store
from resonate_faas._server import Server
from resonate_faas.testing import EPOCH_MS, FakeClock, MemoryQueue

FAR_MS = EPOCH_MS + 365 * 86_400_000


class EmbeddedStage:
    """A server over a store, its clock moved by hand; messages wait for ever, so nothing runs by itself."""

    ttl_ms = 30_000

    def __init__(self, store: Store) -> None:
        self.clock = FakeClock()
        self.server = Server(store, MemoryQueue(self.clock), clock=self.clock)

    def now_ms(self) -> int:
        return self.clock.now_ms()

    def start(self, task_id: str) -> None:
        create = PromiseCreate(id=task_id, timeout_at=FAR_MS, tags={TARGET: "local://default"})
        assert self.server.ask(create).reply.ok

    def open(self, task_id: str, pid: str) -> EmbeddedSession:
        return EmbeddedSession(self.server, task_id, pid=pid, ttl_ms=self.ttl_ms)

    def settle(self, promise_id: str, state: PromiseState) -> None:
        assert self.server.ask(PromiseSettle(id=promise_id, state=state)).reply.ok

    def find(self, promise_id: str) -> Promise | None:
        found = self.server.observe((promise_id,)).get(promise_id)
        return None if found is None else found.promise

    def pass_time(self, duration_ms: int) -> None:
        self.clock.advance(duration_ms)
