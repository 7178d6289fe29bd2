"""What stands before a function's instances: one address, each connection is handed to one of them."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

CHUNK_BYTES = 65_536


class Front:
    """A TCP proxy; a context manager.

    Args:
        choose: gives the ports of the instances, the first choice first; asked for each connection.
    """

    def __init__(self, choose: Callable[[], Sequence[int]]) -> None:
        self._choose = choose
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._serving: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept_always, daemon=True)

    def _accept_always(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return  # closed
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._serving.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        """Carry bytes both ways until either side ends; an instance that died ends the connection."""
        instance = self._connected()
        with client, contextlib.closing(instance or client):
            if instance is None:
                return
            upward = threading.Thread(target=_carry, args=(client, instance), daemon=True)
            upward.start()
            _carry(instance, client)
            upward.join()

    def _connected(self) -> socket.socket | None:
        for port in self._choose():
            with contextlib.suppress(OSError):
                return socket.create_connection(("127.0.0.1", port))
        return None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()
        for thread in self._serving:
            thread.join()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK_BYTES):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
