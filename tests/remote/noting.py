"""A Resonate server without a single promise, over a real socket: it notes who asked and how they proved it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, as it arrived."""

    headers: dict[str, str]
    body: bytes

    @property
    def head(self) -> dict[str, Any]:
        """The head of its envelope."""
        head: dict[str, Any] = json.loads(self.body)["head"]
        return head


class NotingServer:
    """A listening server.

    Attributes:
        url: of it.
        asked: all requests.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        notes = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                notes.append(
                    Asked(headers={name.lower(): text for name, text in self.headers.items()}, body=body)
                )
                asked = json.loads(body)
                answer = {
                    "kind": asked["kind"],
                    "head": {**asked["head"], "status": 404},
                    "data": "no such task",
                }
                raw = json.dumps(answer).encode()
                self.send_response(404)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"


@contextmanager
def noting() -> Iterator[NotingServer]:
    """Run one."""
    server = NotingServer()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()
