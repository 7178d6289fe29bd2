"""A Resonate server somewhere else, asked as our own is: what the client of executions needs, and the sessions."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from resonate_faas._errors import RequestRefusedError
from resonate_faas._machine.objects import Promise, PromiseObject, PromiseState
from resonate_faas._machine.requests import (
    REDIRECT,
    Outcome,
    PromiseCreate,
    PromiseGet,
    PromiseSettle,
    RegisterListener,
    Reply,
    Request,
    TaskFence,
    TaskGet,
    TaskHeartbeat,
)
from resonate_faas._ports import Clock, Result
from resonate_faas_remote._transport import Answer, Transport
from resonate_faas_remote._wire import Json, Names, promise_of, request_data

POLL_MS: Final = 50
POLL_MAX_MS: Final = 1_000
"""Between two looks at a promise that somebody waits for: soon at first, then ever more rarely."""

PAGE: Final = 1_000
DOES_NOT_SEARCH: Final = frozenset({400, 501})
NOT_FOUND: Final = 404

_REPEATABLE: Final = (
    PromiseGet,
    PromiseCreate,
    PromiseSettle,
    RegisterListener,
    TaskGet,
    TaskFence,
    TaskHeartbeat,
)
"""Requests that do the same however often they arrive: a create finds what the first has made, a settle too."""


class RemoteServer:
    """Asks over HTTP. Thread-safe.

    Args:
        transport: to the server.
        clock: the time.
        names: how the server spells ids.
        timer_target: the address that timers carry, for servers that arm only what has one.

    Attributes:
        timer_target: as above; None once the server has refused such a timer.
        can_search: False once the server has refused to.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        clock: Clock,
        names: Names | None = None,
        timer_target: str | None = None,
    ) -> None:
        self.clock = clock
        self.timer_target = timer_target
        self.names = names or Names()
        self._transport = transport
        self._ending = threading.Event()
        self.can_search = True

    def ask(self, request: Request) -> Result:
        """Ask for one thing and return the reply, in the shape in which our own server gives it.

        Raises:
            StoreUnavailableError: nothing was done.
            OutcomeUnknownError: it may have been done.
        """
        answer = self.send(request)
        return Result(outcome=Outcome(reply=self._reply(answer), writes={}), objects={})

    def send(self, request: Request) -> Answer:
        """Ask for one thing; see :meth:`ask`."""
        kind, data = request_data(request, self.names)
        return self._transport.ask(kind, data, repeats=isinstance(request, _REPEATABLE))

    def fence(self, request: TaskFence) -> Answer:
        """Ask for a fenced action; return the outer refusal, else the answer to the action itself."""
        answer = self.send(request)
        action = answer.data.get("action") if answer.ok and isinstance(answer.data, dict) else None
        if not isinstance(action, dict):
            return answer
        head = action.get("head")
        status = head.get("status") if isinstance(head, dict) else None
        return Answer(status=status if isinstance(status, int) else answer.status, data=action.get("data"))

    def observe(self, ids: Sequence[str]) -> Mapping[str, PromiseObject]:
        """Return the promises that exist, as the server projects them.

        Raises:
            RequestRefusedError: the server refuses to tell.
        """
        found = {}
        for promise_id in dict.fromkeys(ids):
            answer = self.send(PromiseGet(id=promise_id))
            if answer.ok:
                found[promise_id] = self._object(self.promise(answer))
            elif answer.status != NOT_FOUND:
                raise RequestRefusedError(answer.status, answer.reason)
        return found

    def wait(self, promise_id: str, timeout_ms: int) -> PromiseObject | None:
        """Return the promise once it is settled, or as it stands when the time is up; None: unknown."""
        deadline, pause = self.clock.monotonic_ms() + timeout_ms, POLL_MS
        while True:
            found = self.observe((promise_id,)).get(promise_id)
            left = deadline - self.clock.monotonic_ms()
            if found is None or found.promise.state is not PromiseState.PENDING or left <= 0:
                return found
            if self.clock.wait(self._ending, min(left, pause)):
                return found
            pause = min(pause * 2, POLL_MAX_MS)

    def search(self, tags: Mapping[str, str]) -> Iterator[Promise]:
        """Yield the promises with these tags, page by page; nothing where the server does not search."""
        cursor: str | None = None
        data: Json = {"tags": self.names.their_tags(tags), "limit": PAGE}
        while self.can_search:
            page = data if cursor is None else {**data, "cursor": cursor}
            answer = self._transport.ask("promise.search", page, repeats=True)
            if answer.status in DOES_NOT_SEARCH:
                self.can_search = False
                return
            if not answer.ok:
                raise RequestRefusedError(answer.status, answer.reason)
            for record in answer.data.get("promises") or ():
                yield promise_of(record, self.names)
            cursor = answer.data.get("cursor")
            if not cursor:
                return

    def promise(self, answer: Answer) -> Promise:
        """Return the promise of an answer that has one."""
        data: Any = answer.data
        return promise_of(data.get("promise") if isinstance(data, dict) else None, self.names)

    def quiesce(self) -> None:
        """Let the waiting go: this process is about to end."""
        self._ending.set()

    def close(self) -> None:
        """End the connections."""
        self._ending.set()
        self._transport.close()

    def _reply(self, answer: Answer) -> Reply:
        if not answer.ok:
            return Reply(status=answer.status, error=None if answer.status == REDIRECT else answer.reason)
        has_promise = isinstance(answer.data, dict) and "promise" in answer.data
        return Reply(status=200, promise=self._object(self.promise(answer)) if has_promise else None)

    def _object(self, promise: Promise) -> PromiseObject:
        return PromiseObject(promise=promise, at=self.clock.now_ms(), birth=birth_of(promise))


def birth_of(promise: Promise) -> str:
    """Return what tells one execution of an id from the next: such a server keeps no more than the instant."""
    return str(promise.created_at)
