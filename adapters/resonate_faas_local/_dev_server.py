"""The dev server: the routes over HTTP on this machine, with workers in the same process."""

from __future__ import annotations

import logging
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, TextIO

import uvicorn
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from resonate_faas import Resonate
from resonate_faas._http import App, HttpRequest, HttpSettings, Right, problem_response
from resonate_faas._http_errors import AccessDeniedError
from resonate_faas_local import _sse
from resonate_faas_local._dev_access import DevAccess, callers
from resonate_faas_local._dev_settings import DevSettings
from resonate_faas_local._local_node import LocalNode
from resonate_faas_local._log import log_to
from resonate_faas_local._poll import Connections

HOST: Final = "127.0.0.1"
HOSTS: Final = ("127.0.0.1", "localhost", "::1")
REQUESTS_MAX: Final = 256
"""Requests answered at a time, long polls among them; more wait."""

GRACE_S: Final = 5
BACKLOG: Final = 1024


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket on this machine.

    Args:
        host: a loopback name: the server trusts whoever reaches it.
        port: 0: a free one.

    Raises:
        ValueError: the host is not this machine's own.
        OSError: the port is taken.
    """
    if host not in HOSTS:
        raise ValueError(
            f"the dev server has no authentication and binds to this machine only ({', '.join(HOSTS)}), not {host!r}"
        )
    family: Literal[socket.AddressFamily.AF_INET, socket.AddressFamily.AF_INET6]
    family = socket.AF_INET6 if host == "::1" else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named: else each answer waits 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST if host == "localhost" else host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise OSError(
            error.errno,
            f"port {port} is taken; choose another with --port, or 0 for a free one ({error.strerror})",
        ) from error
    return listening


def run(resonate: Resonate, listening: socket.socket, settings: DevSettings) -> None:
    """Serve on the socket until SIGINT or SIGTERM; then release the tasks and return.

    Args:
        resonate: the business code.
        listening: see :func:`listen`; closed at the end.
        settings: ``host``, ``port`` and ``reload`` are not looked at: the socket says where.
    """
    log_to(sys.stderr)
    port = int(listening.getsockname()[1])
    base_url = f"http://{'[::1]' if listening.family == socket.AF_INET6 else HOST}:{port}"
    token = settings.debug_token if settings.debug_token is not None else secrets.token_urlsafe(16)
    node = LocalNode(
        resonate,
        settings.db,
        workers=settings.workers,
        base_url=base_url,
        strict=settings.strict,
        debug=settings.debug,
        allow=settings.allow,
        push_token=settings.push_token,
    )
    app = App(
        node.node,
        DevAccess(
            port,
            debug_token=token,
            callers=callers(settings.token, settings.jwt_key),
            origins=settings.cors,
        ),
        settings=HttpSettings(base_url=base_url),
        debug=node.debug,
    )
    with node:
        _print_banner(sys.stdout, base_url, resonate, settings, token)
        _Server(node, _shared(asgi(app, node.connections), settings.cors)).run_until_told(listening)


def _print_banner(out: TextIO, base_url: str, resonate: Resonate, settings: DevSettings, token: str) -> None:
    """Print what a person and a script need, a line each, the URL first."""
    functions = ", ".join(f"{name} (version {version})" for name, version in resonate.registry.names())
    lines = [base_url, f"db: {Path(settings.db).resolve()}", f"functions: {functions or 'none registered'}"]
    if settings.token or settings.jwt_key:
        lines.append("callers need a bearer token")
    if settings.debug:
        lines.append(f"debug token: {token or '(none needed)'}")
    print(*lines, sep="\n", file=out, flush=True)


class _Server(uvicorn.Server):
    """uvicorn, told to end by signals that it does not pass on, and to let long polls go first."""

    def __init__(self, node: LocalNode, application: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                log_config=None,
                access_log=False,  # a link's token stands in its query
                server_header=False,
                ws="none",
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self._node = node

    def run_until_told(self, listening: socket.socket) -> None:
        """Serve until a signal comes. uvicorn raises what it caught again when it has ended: our handlers take that."""
        if threading.current_thread() is not threading.main_thread():
            self.run(sockets=[listening])
            return
        before = {name: signal.signal(name, self._told) for name in (signal.SIGINT, signal.SIGTERM)}
        try:
            self.run(sockets=[listening])
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)

    def _told(self, number: int, frame: object) -> None:
        del number, frame
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Release the tasks and answer the long polls first: connections end only when they are answered."""
        self._node.quiesce()
        await super().shutdown(sockets)


def asgi(app: App, connections: Connections | None = None) -> Router:
    """Return the routes as an ASGI application; each request runs in a thread, but for the connections held open.

    No route of starlette's own: its patterns would answer some ids in their own words.
    """
    return Router(default=_Bridge(app, connections), redirect_slashes=False)


def _shared(application: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """Return the application as pages of these origins may call it (protocol section 8.9); none by default."""
    if not origins:
        return application
    return CORSMiddleware(application, allow_origins=origins, allow_methods=["*"], allow_headers=["*"])


class _Bridge:
    """Translates ASGI's requests to ours and back."""

    def __init__(self, app: App, connections: Connections | None) -> None:
        self._app = app
        self._connections = connections
        self._limiter: CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            request = await self._read(Request(scope, receive))
        except ClientDisconnect:
            return
        stream = self._poll(request)
        if stream is not None:
            await stream(scope, receive, send)
            return
        if self._limiter is None:
            self._limiter = CapacityLimiter(REQUESTS_MAX)
        answer = await run_sync(self._app.handle, request, limiter=self._limiter)
        body = b"" if request.method == "HEAD" else answer.body
        await Response(body, status_code=answer.status, headers=dict(answer.headers))(scope, receive, send)

    def _poll(self, request: HttpRequest) -> Response | None:
        """Return the stream of a worker that connects; None: it is another request."""
        place = _sse.place(request.path) if request.method == "GET" else None
        if place is None or self._connections is None:
            return None
        try:
            self._app.access.check(request, Right.POLL)
        except AccessDeniedError as error:
            refusal = problem_response(error)
            return Response(refusal.body, status_code=refusal.status, headers=dict(refusal.headers))
        return _sse.answer(self._connections, *place)

    async def _read(self, request: Request) -> HttpRequest:
        """Read the request; of a body over the limit one byte too many, and no more."""
        body, limit = bytearray(), self._app.settings.body_bytes_max
        async for chunk in request.stream():
            body += chunk[: limit + 1 - len(body)]
            if len(body) > limit:
                break
        raw_path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
        query: bytes = request.scope.get("query_string") or b""
        return HttpRequest(
            method=request.method.upper(),
            path=raw_path.decode("latin-1"),
            query=query.decode("latin-1"),
            headers=dict(request.headers.items()),
            body=bytes(body),
        )


logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
