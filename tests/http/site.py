"""A deployment in memory with the routes over it, and a visitor whose rights a test chooses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from resonate_faas import Context, PromiseTimeoutError, Resonate
from resonate_faas._addresses import AddressPolicy
from resonate_faas._http import App, HttpRequest, HttpResponse, HttpSettings, Right
from resonate_faas._http.debug import Debug, DebugQueue
from resonate_faas._http_errors import AccessDeniedError
from resonate_faas._links import Links
from resonate_faas._node import Node
from resonate_faas._ports import Store
from resonate_faas._server import ServerSettings
from resonate_faas._worker import WorkerSettings
from resonate_faas.testing import FakeClock, MemoryQueue, MemoryStore
from resonate_faas.testing._deployment import InlineRunner

VERSION: Final = "2026-04-01"
BASE: Final = "http://test.invalid"
TARGET: Final = "local://default"
JSON: Final = {"content-type": "application/json"}
LINKS: Final = Links(BASE, b"0123456789abcdef")


class OrderError(Exception):
    """An error that stands next to a workflow."""


def business() -> Resonate:
    """Return functions of every kind that the routes need."""
    resonate = Resonate()

    def double(number: int) -> int:
        return number * 2

    @resonate.register
    async def add(ctx: Context, left: int, right: int = 1) -> int:
        return await ctx.run(double, left) // 2 + right

    @resonate.register
    async def approve(ctx: Context) -> str:
        answer = ctx.promise(str, timeout=3600)
        await ctx.run(double, 1)
        try:
            return f"answered {await answer}"
        except PromiseTimeoutError:
            return "nobody answered"

    @resonate.register
    async def fail(ctx: Context, message: str) -> None:
        await ctx.run(double, 1)
        raise OrderError(message)

    @resonate.register
    async def infinite(ctx: Context) -> float:
        return await ctx.run(double, 1) * float("inf")

    return resonate


class Visitor:
    """An Access that grants what it was given, and remembers what it was asked."""

    def __init__(self, rights: Iterable[Right] = tuple(Right), *, token: str | None = None) -> None:
        self.rights = set(rights)
        self.token = token
        self.asked: list[Right] = []

    def check(self, request: HttpRequest, right: Right) -> None:
        self.asked.append(right)
        if self.token is not None and request.bearer != self.token:
            raise AccessDeniedError(401, "who is it?")
        if right not in self.rights:
            raise AccessDeniedError(403, "not you")


@dataclass(frozen=True)
class Answer:
    """A response, its JSON at hand."""

    response: HttpResponse

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def json(self) -> Any:
        return json.loads(self.response.body)

    @property
    def code(self) -> str:
        """The problem's; fails if the answer is no problem document."""
        assert self.response.headers["content-type"] == "application/problem+json", self.response
        body = self.json
        assert body["status"] == self.status
        assert body["type"] == f"urn:resonate-faas:problem:{body['code']}"
        assert body["title"]
        assert body["detail"]
        return str(body["code"])


class Site:
    """One node over memory, one app over it, time by hand."""

    def __init__(
        self,
        *,
        access: Visitor | None = None,
        debug: bool = False,
        settings: HttpSettings | None = None,
        store: Store | None = None,
        allow: Iterable[str] = ("local://*", "http://localhost:8080"),
    ) -> None:
        self.clock = FakeClock(auto=True)
        self.memory = MemoryStore()
        self.queue = MemoryQueue(self.clock, delay_max_ms=30 * 24 * 3_600_000)
        self.held = DebugQueue(self.queue)
        self.access = access or Visitor()
        resonate = business()
        self.node = Node(
            resonate,
            store if store is not None else self.memory,
            self.held if debug else self.queue,
            clock=self.clock,
            target=TARGET,
            server=ServerSettings(permits=AddressPolicy(allow).permits),
            worker=WorkerSettings(heartbeats=False),
            links=LINKS,
            runner=lambda: InlineRunner(resonate.dependencies),
        )
        self.app = App(
            self.node,
            self.access,
            settings=settings or HttpSettings(base_url=BASE),
            debug=Debug(self.node.server, self.held) if debug else None,
        )

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        query: str = "",
        headers: Mapping[str, str] = JSON,
    ) -> Answer:
        """Send a request; ``body`` as JSON, or ``raw`` as it is."""
        encoded = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        request = HttpRequest(method=method, path=path, query=query, headers=headers, body=encoded)
        return Answer(self.app.handle(request))

    def ask(self, kind: str, data: Mapping[str, Any], **head: Any) -> Any:
        """Send a protocol request; return the answer's envelope."""
        envelope = {"kind": kind, "head": {"corrId": "7", "version": VERSION, **head}, "data": data}
        answer = self.send("POST", "/", envelope)
        found = answer.json
        assert found["head"]["status"] == answer.status, found
        return found

    def invoke(self, function: str, *args: Any, id: str = "root") -> Answer:  # noqa: A002 - the wire's name
        return self.send("POST", f"/invoke/{function}", {"id": id, "args": list(args)})

    def settle(self, *, until_ms: int | None = None) -> None:
        """Deliver messages, letting time pass, until none is left."""
        while True:
            for message in self.queue.pop_due(self.clock.now_ms()):
                self.node.deliver(message)
            instant = self.queue.next_instant()
            if instant is None or (until_ms is not None and instant > until_ms):
                return
            self.clock.advance_to(instant)

    def stored(self) -> list[Any]:
        """Return everything in the store: what a refused request must leave as it was."""
        return [
            *self.memory.search("promise", limit=1000),
            *self.memory.search("schedule", limit=1000),
            len(self.queue),
        ]
