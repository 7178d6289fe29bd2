"""A server of ours behind a client's transport: real requests and answers, virtual time, no sockets."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from resonate_faas import Resonate
from resonate_faas._http import App, HttpRequest, Right
from resonate_faas._machine.objects import Rules
from resonate_faas._node import Node
from resonate_faas._ports import Clock
from resonate_faas._server import ServerSettings
from resonate_faas.testing import FakeClock, MemoryQueue, MemoryStore

URL = "http://server.invalid"


class AppTransport(httpx.BaseTransport):
    """Hands requests to the routes.

    Args:
        app: the routes.
        loses: True for the number of a request whose answer does not arrive.
    """

    def __init__(self, app: App, loses: Callable[[int], bool] = lambda _: False) -> None:
        self.app = app
        self.requests: list[httpx.Request] = []
        self._loses = loses

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.app.handle(
            HttpRequest(
                method=request.method,
                path=request.url.raw_path.decode(),
                headers={name.lower(): value for name, value in request.headers.items()},
                body=request.content,
            )
        )
        if self._loses(len(self.requests)):
            raise httpx.ReadError("the answer was lost", request=request)
        return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body)


class Everybody:
    """Refuses nobody."""

    def check(self, request: HttpRequest, right: Right) -> None:
        """Let it pass."""


def server(*, strict: bool = False) -> tuple[Node, FakeClock]:
    """Return a deployment in memory that runs nothing itself; time passes by hand."""
    clock = FakeClock(auto=True)
    return server_at(clock, strict=strict), clock


def server_at(clock: Clock, *, strict: bool = False) -> Node:
    """Return a deployment in memory that runs nothing itself."""
    return Node(
        Resonate(),
        MemoryStore(),
        MemoryQueue(clock),
        clock=clock,
        target="local://default",
        server=ServerSettings(rules=Rules(strict=strict)),
    )
