"""One process that works for a Resonate server elsewhere: its sessions, its worker, a client of executions."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

import httpx

from resonate_faas import Guard, Resonate
from resonate_faas._client import Client
from resonate_faas._clock import SystemClock
from resonate_faas._engine.execution import PROMISES_MAX
from resonate_faas._errors import ConfigurationError
from resonate_faas._machine.objects import Execute
from resonate_faas._node import engine_settings
from resonate_faas._ports import Clock
from resonate_faas._worker import Ended, Worker, WorkerSettings
from resonate_faas_remote._remote_server import RemoteServer
from resonate_faas_remote._session import RemoteSession
from resonate_faas_remote._transport import TIMEOUT_S, Headers, Transport
from resonate_faas_remote._wire import Names

LEASE_MS: Final = 60_000
GROUP: Final = "default"
URL_VARIABLE: Final = "RESONATE_URL"
TOKEN_VARIABLE: Final = "RESONATE_TOKEN"  # noqa: S105 - its name
SEPARATOR_VARIABLE: Final = "RESONATE_ID_SEPARATOR"


def server_url(
    resonate: Resonate, url: str | None = None, environment: Mapping[str, str] | None = None
) -> str | None:
    """Return the URL of the server to work for: as given, else the business code's, else RESONATE_URL; None: none."""
    found = os.environ if environment is None else environment
    return url or resonate.url or found.get(URL_VARIABLE) or None


def id_separator() -> str:
    """Return what the server wants between the ids of a root and its children, by RESONATE_ID_SEPARATOR; ``:`` by default.

    Raises:
        ConfigurationError: it is neither ``:`` nor ``.``.
    """
    found = os.environ.get(SEPARATOR_VARIABLE) or ":"
    if found not in {":", "."}:
        raise ConfigurationError(SEPARATOR_VARIABLE, f"must be ':' or '.', not {found[:40]!r}")
    return found


class RemoteNode:
    """Runs and starts the functions of a :class:`Resonate` on an official server; a context manager.

    Args:
        resonate: the business code.
        url: of the server; None: as :func:`server_url` finds it.
        token: the bearer token; None: RESONATE_TOKEN, if set and nothing else tells who asks; "": none. Sent to this
            server only.
        headers: gives further headers of each request, from the server's URL.
        auth: signs requests.
        target: where the tasks of started executions are delivered; the anycast address of ``group`` by default.
        resolve_target: gives the address of a group name; an anycast poll address by default.
        group: whose tasks they are.
        separator: what the server wants between the ids of a root and its children: ``:`` or ``.``.
        lease_ms: of a task; a function that sends no heartbeats must end within it.
        heartbeats: extend leases from a thread.
        timeout_s: of one try of a request.
        guard: replaces the guard that the business code asks for.
        clock: the time.
        transport: how requests travel; None: over the network.

    Raises:
        ConfigurationError: no URL, or none that can be used.

    Example:
        ``with RemoteNode(resonate, "http://localhost:8001") as node: node.client.invoke(Invocation(function="hello"))``
    """

    def __init__(
        self,
        resonate: Resonate,
        url: str | None = None,
        *,
        token: str | None = None,
        headers: Headers | None = None,
        auth: httpx.Auth | Callable[[httpx.Request], httpx.Request] | None = None,
        target: str | None = None,
        resolve_target: Callable[[str], str] | None = None,
        group: str = GROUP,
        separator: str = ":",
        lease_ms: int = LEASE_MS,
        heartbeats: bool = True,
        timeout_s: float = TIMEOUT_S,
        promises_max: int = PROMISES_MAX,
        guard: Guard | None = None,
        clock: Clock | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        found = server_url(resonate, url)
        if found is None:
            raise ConfigurationError(URL_VARIABLE, "is not set, and no url was given")
        self.resonate = resonate
        self.clock = clock or SystemClock()
        self.group = group
        self.transport = Transport(
            found,
            clock=self.clock,
            token=_token(token, is_known_otherwise=headers is not None or auth is not None),
            headers=headers,
            auth=auth,
            timeout_s=timeout_s,
            transport=transport,
        )
        own = target or anycast(group)
        self.server = RemoteServer(self.transport, clock=self.clock, names=Names(separator), timer_target=own)
        self.worker = Worker(
            lambda task_id, pid: RemoteSession(self.server, task_id, pid=pid, ttl_ms=lease_ms),
            resonate.registry,
            resonate.codec,
            clock=self.clock,
            settings=WorkerSettings(lease_ms=lease_ms, heartbeats=heartbeats),
            engine=engine_settings(
                resonate,
                promises_max=promises_max,
                resolve_target=resolve_target or anycast,
                guard=guard,
                creates_first=True,
            ),
        )
        self.client = Client(self.server, resonate.registry, resonate.codec, target=own)

    def execute(self, message: Execute, *, deadline_mono_ms: int | None = None) -> Ended:
        """Run one activation of the task that a message names, at the message's version.

        Raises:
            StoreError: the server did not answer; its lease runs out, and the task is dispatched again.
            RequestRefusedError: the server refuses us.
        """
        task_id = self.server.names.ours(message.id)
        return self.worker.activate(task_id, version=message.version, deadline_mono_ms=deadline_mono_ms)

    def quiesce(self) -> None:
        """Begin to end: held tasks are released."""
        self.server.quiesce()
        self.worker.stop()

    def close(self) -> None:
        """Release the held tasks and end the connections. Idempotent."""
        self.quiesce()
        self.worker.close()
        self.server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _token(token: str | None, *, is_known_otherwise: bool) -> str | None:
    """Return the bearer token; one that merely lies in the environment must not compete with another kind of proof."""
    if token is not None:
        return token or None
    return None if is_known_otherwise else os.environ.get(TOKEN_VARIABLE) or None


def anycast(name: str) -> str:
    """Return the address of any worker of a group; an address stays as it is."""
    return name if "://" in name else f"poll://any@{name}"
