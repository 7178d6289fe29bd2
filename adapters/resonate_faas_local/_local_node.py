"""Everything of a deployment in one process over one SQLite file; several processes may share the file."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from resonate_faas import Resonate
from resonate_faas._addresses import AddressPolicy, parse_address
from resonate_faas._client import Client
from resonate_faas._clock import SystemClock
from resonate_faas._errors import ResonateFaasError
from resonate_faas._http.debug import Debug, DebugQueue
from resonate_faas._links import Links
from resonate_faas._machine.objects import Message, Rules
from resonate_faas._node import Node
from resonate_faas._ports import Clock, Queue
from resonate_faas._server import Server, ServerSettings
from resonate_faas._worker import WorkerSettings
from resonate_faas_local._local_queue import LocalQueue
from resonate_faas_local._outward_queue import OutwardQueue
from resonate_faas_local._poll import Connections
from resonate_faas_local._push import Pusher
from resonate_faas_local._sqlite_store import SqliteStore

log = logging.getLogger("resonate_faas_local")

TARGET: Final = "local://default"
WORKERS: Final = 8
SWEEP_MS: Final = 2_000
LEASE_MS: Final = 10_000
"""How long after a crash a task goes on. One machine has one clock, so this may be short."""

STOP_S: Final = 10.0
"""How long a clean end waits for what is being delivered."""

_LINK_KEY: Final = "link-key"


class LocalNode:
    """Runs the functions of a :class:`Resonate` on this machine; a context manager.

    Args:
        resonate: the business code.
        path: the SQLite file; created if absent. Restart on the same file to go on where things stood.
        workers: activations at a time.
        base_url: where this process serves the routes; None: it does not, so that promises have no links and
            nobody can be connected.
        strict: answer exactly as the specification where official SDKs deviate from it.
        debug: allow time and delivery to be held (``debug`` then holds the operations) and any address to be stored.
        lease_ms: a crash is repaired this long after it.
        sweep_interval_ms: how often the file is searched for what is due.
        allow: address patterns that may be stored as target or listener, next to ``local://`` and, if the routes
            are served, ``poll://``.
        push_token: the bearer token of messages pushed to allowed http and https addresses.
        clock: the time.

    Example:
        ``with LocalNode(resonate, "app.db") as node: node.client.invoke(Invocation(function="countdown", args=[3]))``

    Raises:
        StoreUnavailableError: the file can't be used.
    """

    def __init__(
        self,
        resonate: Resonate,
        path: str | Path,
        *,
        workers: int = WORKERS,
        base_url: str | None = None,
        strict: bool = False,
        debug: bool = False,
        lease_ms: int = LEASE_MS,
        sweep_interval_ms: int = SWEEP_MS,
        allow: Iterable[str] = (),
        push_token: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        if workers < 1:
            raise ValueError(f"workers must be at least 1, not {workers}")
        rules = Rules(strict=strict)
        self.store = SqliteStore(path, rules=rules)
        self._clock = clock or SystemClock()
        self._queue = LocalQueue(self._deliver, clock=self._clock, workers=workers)
        self.connections = None if base_url is None else Connections(self._clock)
        self._pusher = None if base_url is None else Pusher(self._clock, token=push_token)
        queue: Queue = self._queue
        if base_url is not None and self.connections is not None and self._pusher is not None:
            queue = OutwardQueue(queue, self.connections, self._pusher, server_url=base_url)
        self._held = DebugQueue(queue)
        self.node = Node(
            resonate,
            self.store,
            self._held if debug else queue,
            clock=self._clock,
            target=TARGET,
            resolve_target=address_of,
            server=ServerSettings(
                rules=rules,
                sweep_interval_ms=sweep_interval_ms,
                permits=_permits(allow, serves=base_url is not None, anything=debug),
            ),
            worker=WorkerSettings(lease_ms=lease_ms),
            links=None if base_url is None else Links(base_url, self._link_key()),
        )
        self.debug = Debug(self.node.server, self._held) if debug else None
        self._sweep_s = sweep_interval_ms / 1000
        self._ending = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep_always, name="resonate-sweep", daemon=True)
        self._is_open = False

    @property
    def client(self) -> Client:
        """Starts executions, reads and settles promises."""
        return self.node.client

    @property
    def server(self) -> Server:
        """Takes every request of the protocol."""
        return self.node.server

    def start(self) -> Self:
        """Begin to work: what is due in the file is taken up at once."""
        self._is_open = True
        self._queue.start()
        self._sweeper.start()
        return self

    def quiesce(self) -> None:
        """Begin to end: tasks are released, nothing new is begun, who waits is answered. The file stays open."""
        self._ending.set()
        self.node.server.quiesce()
        self.node.worker.stop()
        if self.connections is not None:
            self.connections.close()

    def close(self) -> None:
        """Release the held tasks, end the threads, close the file. The next start on the file goes on. Idempotent."""
        self.quiesce()
        if self._is_open:
            self._is_open = False
            self._sweeper.join(STOP_S)
            if not self._queue.stop(STOP_S):
                log.warning("an activation did not end in time; its lease will run out")
        self._queue.close()
        if self._pusher is not None:
            self._pusher.close()
        self.node.worker.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _deliver(self, message: Message) -> None:
        if not self._held.keep(message):
            self.node.deliver(message)

    def _sweep_always(self) -> None:
        """Sweep now and at every interval; a sweep that fails is repeated by the next."""
        while True:
            try:
                self.node.server.sweep()
            except ResonateFaasError as error:
                log.warning("sweep failed", extra={"code": error.code, "reason": str(error)})
            except Exception:
                log.exception("sweep failed")
            if self._ending.wait(self._sweep_s):
                return

    def _link_key(self) -> bytes:
        """Return the key of this file's links: made once, kept with the file, so that links outlive the process."""
        return bytes.fromhex(self.store.setting(_LINK_KEY, lambda: secrets.token_hex(32)))


def address_of(group: str) -> str:
    """Return the address of a group name; an address stays as it is."""
    return group if "://" in group else f"local://{group}"


def _permits(allow: Iterable[str], *, serves: bool, anything: bool) -> Callable[[str], bool]:
    """Return the allow-list: the own queue, who may connect, what the operator added; in debug mode any address."""
    if anything:
        return lambda address: parse_address(address) is not None
    own = ("local://*", "poll://*") if serves else ("local://*",)
    return AddressPolicy((*own, *allow)).permits
