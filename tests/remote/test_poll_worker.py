"""The long-lived worker: what it listens to, how it ends, and what it makes of messages that come at awkward moments."""

from __future__ import annotations

import json
import queue
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.remote.wire import Everybody, server_at

from resonate_faas import Context, Invocation, Resonate
from resonate_faas._clock import SystemClock
from resonate_faas._http import App, HttpRequest
from resonate_faas._machine.objects import Execute, PromiseState
from resonate_faas._pushed import encode_execute
from resonate_faas._worker import Ended
from resonate_faas_remote import PollWorker, RemoteNode

PATIENCE_S = 20.0


class Server:
    """A server of ours on a real socket whose streams say what a test has them say."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.node = server_at(self.clock)
        self.connected: queue.Queue[str] = queue.Queue()
        self.letters: queue.Queue[str | None] = queue.Queue()
        app, outer = App(self.node, Everybody()), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): text for name, text in self.headers.items()}
                answer = app.handle(HttpRequest(method="POST", path=self.path, headers=headers, body=body))
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                outer.connected.put(self.path)
                while (letter := outer.letters.get()) is not None:
                    self.wfile.write(f"data: {letter}\n\n".encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def tell(self, task_id: str, version: int = 0) -> None:
        self.letters.put(json.dumps(encode_execute(task_id, version)))


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    thread = threading.Thread(target=found.http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield found
    found.letters.put(None)
    found.http.shutdown()
    found.http.server_close()
    thread.join()


class Running:
    """A worker in a thread."""

    def __init__(self, node: RemoteNode, **settings: Any) -> None:
        self.node = node
        self.told: queue.Queue[str] = queue.Queue()
        self.poll = PollWorker(self.node, tell=self.told.put, **settings)
        self.thread = threading.Thread(target=self.poll.run, daemon=True)
        self.thread.start()

    def end(self) -> None:
        self.poll.stop()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()
        self.node.close()


def test_an_idle_worker_ends_when_it_is_told_to(server: Server) -> None:
    running = Running(RemoteNode(Resonate(), server.url), name="one/1")
    assert running.told.get(timeout=PATIENCE_S) == "poll://uni@default/one/1"
    assert server.connected.get(timeout=PATIENCE_S) == "/poll/default/one%2F1"
    running.end()


def test_it_ends_before_it_has_begun(server: Server) -> None:
    node = RemoteNode(Resonate(), server.url)
    poll = PollWorker(node)
    poll.stop()
    poll.run()
    assert server.connected.empty()
    node.close()


def test_the_silence_of_a_connection_is_probed(server: Server) -> None:
    """An official server says nothing while there is nothing to say."""
    running = Running(RemoteNode(Resonate(), server.url))
    running.told.get(timeout=PATIENCE_S)
    assert running.poll._stream is not None
    connection: socket.socket = running.poll._stream.extensions["network_stream"].get_extra_info("socket")
    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    running.end()


def test_a_broken_connection_is_made_again(server: Server) -> None:
    running = Running(RemoteNode(Resonate(), server.url))
    running.told.get(timeout=PATIENCE_S)
    server.letters.put(None)  # the stream ends
    running.told.get(timeout=PATIENCE_S)
    assert server.connected.get(timeout=PATIENCE_S) == server.connected.get(timeout=PATIENCE_S)
    running.end()


class LingeringNode(RemoteNode):
    """After its first activation it takes a moment to come back, with the task given up long since."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.begun: queue.Queue[str] = queue.Queue()
        self.ended, self.go_on = threading.Event(), threading.Event()

    def execute(self, message: Execute, *, deadline_mono_ms: int | None = None) -> Ended:
        self.begun.put(message.id)
        ended = super().execute(message, deadline_mono_ms=deadline_mono_ms)
        self.ended.set()
        assert self.go_on.wait(PATIENCE_S)
        return ended


def test_a_task_resumed_before_its_activation_has_come_back_is_looked_at_then(server: Server) -> None:
    resonate = Resonate()

    @resonate.register
    async def approval(ctx: Context) -> Any:
        return await ctx.promise()

    node = LingeringNode(resonate, server.url)
    running = Running(node)
    running.told.get(timeout=PATIENCE_S)
    root = node.client.invoke(Invocation(function="approval")).id
    server.tell(root)
    assert node.ended.wait(PATIENCE_S)  # suspended
    node.client.settle(f"{root}:1", PromiseState.RESOLVED, "yes")
    server.tell(root, 1)
    server.tell("none")
    assert [node.begun.get(timeout=PATIENCE_S) for _ in range(2)] == [root, "none"]  # the second one is taken
    node.go_on.set()
    found = node.client.wait(root, int(PATIENCE_S * 1000))
    assert found is not None
    assert found.promise.state is PromiseState.RESOLVED
    running.end()
