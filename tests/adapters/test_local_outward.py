"""Foreign workers over real HTTP: held connections, pushed messages, listeners that hear at least once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import httpx
import pytest
from tests.adapters.dev_server import PATIENCE_S, DevServer, dev_server

from resonate_faas._protocol.envelope import PROTOCOL_VERSION


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    with dev_server(tmp_path_factory.mktemp("outward"), "--allow", "http://127.0.0.1:*") as running:
        yield running


def ask(server: DevServer, kind: str, **data: Any) -> dict[str, Any]:
    head = {"corrId": "1", "version": PROTOCOL_VERSION}
    answer = server.http.post("/", json={"kind": kind, "head": head, "data": data})
    found: dict[str, Any] = answer.json()
    return found


def create(server: DevServer, promise_id: str, target: str | None = None) -> None:
    tags = {"resonate:external": "true"} if target is None else {"resonate:target": target}
    deadline = int(time.time() * 1000) + 600_000
    answer = ask(server, "promise.create", id=promise_id, timeoutAt=deadline, param={}, tags=tags)
    assert answer["head"]["status"] == 200, answer


def listen(server: DevServer, promise_id: str, address: str) -> int:
    status: int = ask(server, "promise.register_listener", awaited=promise_id, address=address)["head"][
        "status"
    ]
    return status


def resolve(server: DevServer, promise_id: str) -> None:
    answer = ask(
        server, "promise.settle", id=promise_id, state="resolved", value={"headers": {}, "data": "MQ=="}
    )
    assert answer["head"]["status"] == 200, answer


class Stream:
    """A worker's connection: its events, read in a thread."""

    def __init__(self, server: DevServer, group: str, name: str) -> None:
        self.events: Queue[dict[str, Any] | None] = Queue()
        self.ready = threading.Event()
        self._client = httpx.Client(base_url=server.url, timeout=PATIENCE_S)
        self._thread = threading.Thread(target=self._read, args=(f"/poll/{group}/{name}",), daemon=True)
        self._thread.start()
        assert self.ready.wait(PATIENCE_S)

    def _read(self, path: str) -> None:
        try:
            with self._client.stream("GET", path) as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                for line in answer.iter_lines():
                    self.ready.set()
                    if line.startswith("data: "):
                        self.events.put(json.loads(line.removeprefix("data: ")))
        except (httpx.HTTPError, httpx.StreamError):
            pass
        finally:
            self._client.close()
            self.events.put(None)

    def next(self) -> dict[str, Any] | None:
        """Return the next event; None: the stream has ended."""
        try:
            return self.events.get(timeout=PATIENCE_S)
        except Empty:
            raise AssertionError("no event") from None


def test_a_connected_worker_is_told_of_its_task_and_of_a_settlement(server: DevServer) -> None:
    worker = Stream(server, "told", "1")
    create(server, "told-task", "poll://any@told")
    assert worker.next() == {
        "kind": "execute",
        "head": {"serverUrl": server.url},
        "data": {"task": {"id": "told-task", "version": 0}},
    }
    create(server, "told-promise")
    assert listen(server, "told-promise", "poll://uni@told/1") == 200
    resolve(server, "told-promise")
    told = worker.next()
    assert told is not None
    assert told["kind"] == "unblock"
    assert told["data"]["promise"]["id"] == "told-promise"
    assert told["data"]["promise"]["state"] == "resolved"


def test_a_worker_that_comes_later_finds_its_task_waiting(server: DevServer) -> None:
    create(server, "later-task", "poll://any@later")
    event = Stream(server, "later", "1").next()
    assert event is not None
    assert event["data"]["task"]["id"] == "later-task"


def test_a_listener_that_comes_later_is_told_all_the_same(server: DevServer) -> None:
    create(server, "late-promise")
    assert listen(server, "late-promise", "poll://uni@late/1") == 200
    resolve(server, "late-promise")
    event = Stream(server, "late", "1").next()
    assert event is not None
    assert event["data"]["promise"]["id"] == "late-promise"


def test_a_second_connection_of_the_same_name_ends_the_first_and_hears_what_it_may_have_missed(
    server: DevServer,
) -> None:
    first = Stream(server, "twice", "1")
    create(server, "twice-task", "poll://uni@twice/1")
    assert first.next() is not None
    second = Stream(server, "twice", "1")
    assert first.next() is None
    event = second.next()
    assert event is not None
    assert event["data"]["task"]["id"] == "twice-task"


def test_a_foreign_page_may_not_connect(server: DevServer) -> None:
    answer = server.http.get("/poll/g/1", headers={"origin": "https://evil.example"})
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_stopped_server_ends_the_streams(tmp_path: Path) -> None:
    with dev_server(tmp_path) as server:
        worker = Stream(server, "stopped", "1")
        assert server.end() == 0
        assert worker.next() is None


@contextmanager
def receiver(*statuses: int) -> Iterator[tuple[str, Queue[dict[str, Any]]]]:
    """A listener's own server: answers these statuses in turn, the last one from then on."""
    bodies: Queue[dict[str, Any]] = Queue()
    left = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            bodies.put(json.loads(body))
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_address[1]}/hook", bodies
        finally:
            listening.shutdown()
            thread.join()


def test_an_execute_is_pushed_again_until_the_task_is_claimed(server: DevServer) -> None:
    with receiver(500, 200) as (address, bodies):
        create(server, "pushed-task", address)
        first, second = (bodies.get(timeout=PATIENCE_S) for _ in range(2))
    assert first["kind"] == second["kind"] == "execute"
    assert first["data"]["task"] == second["data"]["task"] == {"id": "pushed-task", "version": 0}
    assert first["head"] == {"serverUrl": server.url}


def test_an_unblock_is_pushed_until_the_listener_has_answered(server: DevServer) -> None:
    with receiver(503, 200) as (address, bodies):
        create(server, "pushed-promise")
        assert listen(server, "pushed-promise", address) == 200
        resolve(server, "pushed-promise")
        told = [bodies.get(timeout=PATIENCE_S) for _ in range(2)]
    assert [one["data"]["promise"]["id"] for one in told] == ["pushed-promise"] * 2


def test_an_address_that_is_not_allowed_is_not_even_stored(server: DevServer) -> None:
    create(server, "kept-in")
    assert listen(server, "kept-in", "http://192.0.2.1/hook") == 400
