"""A long-lived worker: it holds a connection to the server and runs the tasks that it is told of (protocol 8.4)."""

from __future__ import annotations

import contextlib
import logging
import random
import secrets
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import quote

import httpx
from httpx_sse import SSEError, connect_sse

from resonate_faas._errors import ResonateFaasError
from resonate_faas._machine.objects import Execute
from resonate_faas._pushed import PushedExecute, decode_message
from resonate_faas_remote._remote_node import RemoteNode

log = logging.getLogger("resonate_faas_remote.worker")

WORKERS: Final = 16
BACK_OFF_S: Final = 0.25
BACK_OFF_MAX_S: Final = 30.0
CONNECT_S: Final = 10.0

_KEEP_ALIVE: Final = (
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 30),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 10),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
)
"""Seconds, seconds, probes. Official servers are silent while there is nothing to tell, so that no read timeout can say
whether the other end is still there; the operating system's probes do, within a minute."""


class PollWorker:
    """Connects as one worker of the node's group, and again whenever the connection breaks.

    Messages for ``poll://any@group`` may come here, those for ``poll://uni@group/id`` do.

    Args:
        node: does the work.
        name: the worker's id, unlike every other's; made up by default.
        workers: activations at a time.
        tell: called with the worker's address whenever it has connected.
    """

    def __init__(
        self,
        node: RemoteNode,
        *,
        name: str | None = None,
        workers: int = WORKERS,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.name = name or secrets.token_hex(16)
        self._node = node
        self._tell = tell
        self._room = threading.Semaphore(workers)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="resonate-worker")
        self._ending = threading.Event()
        self._running: dict[str, PushedExecute | None] = {}
        self._lock = threading.Lock()
        self._stream: httpx.Response | None = None
        self._was_connected = False

    @property
    def address(self) -> str:
        """The unicast address of this worker."""
        return f"poll://uni@{self._node.group}/{self.name}"

    def run(self) -> None:
        """Work until :meth:`stop`; a broken connection is made again, after a quarter of a second at first and 30 s at most."""
        back_off = BACK_OFF_S
        path = f"poll/{quote(self._node.group, safe='')}/{quote(self.name, safe='')}"
        try:
            with httpx.Client(timeout=httpx.Timeout(None, connect=CONNECT_S)) as client:
                while not self._ending.is_set():
                    try:
                        self._listen(client, self._node.transport.url + path)
                        back_off = BACK_OFF_S
                    except (httpx.HTTPError, httpx.StreamError, SSEError) as error:
                        if self._ending.is_set():
                            break
                        if self._was_connected:
                            back_off = BACK_OFF_S
                        log.warning(
                            "connection lost", extra={"reason": f"{type(error).__name__}: {error}"[:200]}
                        )
                    self._was_connected = False
                    self._ending.wait(back_off * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
                    back_off = min(back_off * 2, BACK_OFF_MAX_S)
        finally:
            self._ending.set()
            self._pool.shutdown(wait=True)

    def stop(self) -> None:
        """End, from any thread or signal handler: release the held tasks, and end the connection. :meth:`run` returns then.

        A thread that waits for a socket is not woken when another closes it, but when the connection is shut down.
        """
        self._ending.set()
        self._node.quiesce()
        stream = self._stream
        if stream is not None:
            with contextlib.suppress(OSError):  # not connected any more
                _socket(stream).shutdown(socket.SHUT_RDWR)

    def _listen(self, client: httpx.Client, url: str) -> None:
        headers = self._node.transport.request_headers()
        with connect_sse(client, "GET", url, headers=headers) as source:
            source.response.raise_for_status()
            _probe(_socket(source.response))
            self._stream = source.response
            self._was_connected = True
            try:
                if self._ending.is_set():
                    return
                self._tell(self.address)
                for event in source.iter_sse():
                    if self._ending.is_set():
                        return
                    self._take(event.data)
            finally:
                self._stream = None

    def _take(self, text: str) -> None:
        """Begin the activation that a message asks for.

        While the task runs here, the last message of it is kept: it may have been resumed when this activation had
        suspended it and not yet ended. A message that was merely repeated finds nothing to do.
        """
        message: Any = decode_message(text)
        if not isinstance(message, PushedExecute):
            return  # an unblock: those who wait look by themselves
        with self._lock:
            if message.id in self._running:
                self._running[message.id] = message
                return
            self._running[message.id] = None
        self._room.acquire()
        self._pool.submit(self._work, message)

    def _work(self, message: PushedExecute) -> None:
        current: PushedExecute | None = message
        while current is not None:
            self._execute(current)
            with self._lock:
                current = None if self._ending.is_set() else self._running[message.id]
                if current is None:
                    del self._running[message.id]
                else:
                    self._running[message.id] = None
        self._room.release()

    def _execute(self, message: PushedExecute) -> None:
        try:
            self._node.execute(Execute(id=message.id, version=message.version, target=""))
        except ResonateFaasError as error:
            log.warning("activation failed", extra={"promise_id": message.id, "code": error.code})
        except BaseException:
            log.exception("activation failed", extra={"promise_id": message.id})


def _socket(stream: httpx.Response) -> socket.socket:
    found: socket.socket = stream.extensions["network_stream"].get_extra_info("socket")
    return found


def _probe(connection: socket.socket) -> None:
    """Have the operating system probe a silent connection, as far as it can."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for level, name, value in _KEEP_ALIVE:
        if hasattr(socket, name):
            connection.setsockopt(level, getattr(socket, name), value)
