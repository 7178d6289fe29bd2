"""A function that works for an official server: execute messages pushed to it, answered as its adapters do (section 9).

It is what stands for the routes over a store of ours: every cloud's handler translates its requests the same way.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlunsplit

import httpx

from resonate_faas import Resonate
from resonate_faas._deployment import DeploymentSettings
from resonate_faas._errors import ConfigurationError
from resonate_faas._http import Access, HttpRequest, HttpResponse, Right
from resonate_faas._http_errors import AccessDeniedError
from resonate_faas._machine.objects import Execute
from resonate_faas._pushed import InvalidMessage, PushedExecute, decode_message
from resonate_faas._worker import Ended
from resonate_faas_remote._remote_node import RemoteNode, id_separator, server_url
from resonate_faas_remote._transport import Headers

log = logging.getLogger("resonate_faas_remote")

NODES_MAX: Final = 8
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
FUNCTION_URL_VARIABLE: Final = "RESONATE_FUNCTION_URL"
NOT_POST: Final = "Method not allowed. Use POST."
NO_SERVER: Final = "Cannot determine Resonate server URL: set RESONATE_URL or pass url=."
NO_OWN_URL: Final = (
    f"Cannot determine function URL: no host header. Set {FUNCTION_URL_VARIABLE} or pass public_url=."
)
SERVERS_WORD: Final = "message"
"""In place of a server's URL: whichever each message names. Whoever can reach the function chooses then what it runs."""

Connect = Callable[[str, Callable[[str], str]], RemoteNode]
"""Makes a node from the server's URL and what gives addresses of targets."""


def connecting(
    resonate: Resonate,
    settings: DeploymentSettings,
    lease_ms: int,
    *,
    token: str,
    headers: Headers | None = None,
    auth: Callable[[httpx.Request], httpx.Request] | None = None,
) -> Connect:
    """Return what makes the nodes of a deployment; a cloud's handler adds only how it shows who asks.

    Args:
        resonate: the business code.
        settings: the deployment's.
        lease_ms: of its activations.
        token: the bearer token; "": none.
        headers: as in :class:`RemoteNode`.
        auth: as in :class:`RemoteNode`.

    Raises:
        ConfigurationError: the id separator that the environment names is none.
    """
    separator = id_separator()

    def connect(server: str, resolve_target: Callable[[str], str]) -> RemoteNode:
        return RemoteNode(
            resonate,
            server,
            token=token,
            headers=headers,
            auth=auth,
            target=resolve_target(""),
            resolve_target=resolve_target,
            separator=separator,
            lease_ms=lease_ms,
            promises_max=settings.promises_max,
            guard=settings.guard,
        )

    return connect


class PushedApp:
    """Answers requests that carry an execute message. Thread-safe; nodes are kept for warm invocations.

    Args:
        resonate: the business code.
        connect: makes the node for a server; with :data:`SERVERS_WORD` it must show that server no token (D29).
        url: of the server, or :data:`SERVERS_WORD`; None: the business code's, else RESONATE_URL.
        function_url: our own, where children are sent that have no address; None: RESONATE_FUNCTION_URL, else the one
            that the request was sent to.
        access: who may deliver; None: everybody whom the platform lets in, since the server is asked for the task.
    """

    def __init__(
        self,
        resonate: Resonate,
        connect: Connect,
        *,
        url: str | None = None,
        function_url: str | None = None,
        access: Access | None = None,
    ) -> None:
        self._connect = connect
        self._url = server_url(resonate, url)
        self._function_url = function_url or os.environ.get(FUNCTION_URL_VARIABLE) or None
        self._access = access
        self._lock = threading.Lock()
        self._nodes: dict[tuple[str, str], RemoteNode] = {}

    def handle(self, request: HttpRequest, *, deadline_mono_ms: int | None = None) -> HttpResponse:
        """Answer a request; never raises. The order of the checks is that of protocol section 9.1."""
        try:
            return self._answer(request, deadline_mono_ms)
        except AccessDeniedError as error:
            return _failed(error.status, str(error))
        except Exception as error:
            log.exception("handler failed")
            return _failed(500, f"Handler failed: {type(error).__name__}: {error}")

    def stop(self) -> None:
        """Release the held tasks: the process is told to end."""
        with self._lock:
            nodes = list(self._nodes.values())
        for node in nodes:
            node.quiesce()

    def _answer(self, request: HttpRequest, deadline_mono_ms: int | None) -> HttpResponse:
        if self._access is not None:
            self._access.check(request, Right.DELIVER)
        if request.method != "POST":
            return _failed(405, NOT_POST)
        message = decode_message(request.body)
        if isinstance(message, InvalidMessage):
            return _failed(400, message.error)
        url = message.server_url if self._url == SERVERS_WORD else self._url
        if not url:
            return _failed(500, NO_SERVER)
        own = self._function_url or _own_url(request)
        if own is None:
            return _failed(500, NO_OWN_URL)
        return self._execute(self._node(url, own), message, deadline_mono_ms)

    def _execute(
        self, node: RemoteNode, message: PushedExecute, deadline_mono_ms: int | None
    ) -> HttpResponse:
        execute = Execute(id=message.id, version=message.version, target="")
        ended = node.execute(execute, deadline_mono_ms=deadline_mono_ms)
        return _answered(200, {"status": "completed" if ended is Ended.DONE else "suspended"})

    def _node(self, url: str, own: str) -> RemoteNode:
        """Return the node for a server, and for our own URL, which tells children where to go."""
        with self._lock:
            node = self._nodes.get((url, own))
            if node is None:
                if len(self._nodes) >= NODES_MAX:
                    raise ConfigurationError(
                        "the server's URL", f"changes with every message: {NODES_MAX} are known"
                    )
                node = self._connect(url, lambda name: name if "://" in name else own)
                self._nodes[url, own] = node
            return node


def _own_url(request: HttpRequest) -> str | None:
    """Return the URL that the request was sent to, as its headers tell it; None: they do not.

    Anybody could write these headers where no front end sets them; configure the URL there.
    """
    scheme = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip() or "http"
    host = request.headers.get("host", "")
    if scheme not in {"http", "https"} or not _HOST.fullmatch(host):
        return None
    return urlunsplit((scheme, host, request.path or "/", request.query, ""))


def _failed(status: int, text: str) -> HttpResponse:
    return _answered(status, {"error": text})


def _answered(status: int, body: Mapping[str, Any]) -> HttpResponse:
    return HttpResponse(
        status=status, headers={"content-type": "application/json"}, body=json.dumps(body).encode()
    )
