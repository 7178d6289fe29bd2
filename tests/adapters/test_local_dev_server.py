"""The dev server as its users meet it: a process, real HTTP, signals, two on one file."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from tests.adapters.dev_server import APP, DevServer, dev_server, until

VERSION = "2026-04-01"


def envelope(kind: str, data: Any, **head: Any) -> dict[str, Any]:
    return {"kind": kind, "head": {"corrId": "1", "version": VERSION, **head}, "data": data}


def raw(url: str, request: str) -> str:
    """Send bytes that no client library would; return what comes back."""
    place = urlsplit(url)
    assert place.hostname is not None
    with socket.create_connection((place.hostname, place.port or 80), timeout=10) as connection:
        connection.sendall(request.encode("latin-1"))
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    return answer.decode("latin-1")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    with dev_server(tmp_path_factory.mktemp("one"), "--workers", "4") as server:
        yield server
        assert server.end() == 0


class TestOneServer:
    """What one server answers; started once for all of these."""

    def test_it_prints_the_url_then_the_file_then_the_functions(self, server: DevServer) -> None:
        db, functions = server.banner(2)
        assert db == f"db: {server.folder / 'db'}"
        assert functions.startswith("functions: approve (version 1), count (version 1), ")

    def test_a_workflow_runs_over_http(self, server: DevServer) -> None:
        answer = server.invoke("count", "plain", 3, id="plain")
        assert answer.status_code == 202
        assert answer.json()["url"] == f"{server.url}/promises/plain"
        assert server.result("plain") == 3
        assert [step for step in server.steps() if step.startswith("plain-")] == [
            "plain-0",
            "plain-1",
            "plain-2",
        ]

    def test_children_run_in_several_threads(self, server: DevServer) -> None:
        server.invoke("fan", "f", 10, id="fan")
        assert server.result("fan") == 20
        assert Counter(server.steps())["f.3-1"] == 1

    def test_a_long_poll_is_answered_when_the_promise_settles(self, server: DevServer) -> None:
        server.invoke("slow", 0.7, id="slow")
        before = time.monotonic()
        assert server.get("slow", wait=20)["value"] == "done"
        assert time.monotonic() - before < 10

    def test_a_long_poll_is_answered_when_its_seconds_are_over(self, server: DevServer) -> None:
        server.invoke("approve", id="polled")
        before = time.monotonic()
        assert server.get("polled", wait=0.5)["state"] == "pending"
        assert time.monotonic() - before >= 0.5

    def test_many_long_polls_leave_room_for_other_requests(self, server: DevServer) -> None:
        server.invoke("approve", id="crowd")
        threads = [
            threading.Thread(target=server.get, args=("crowd",), kwargs={"wait": 3}) for _ in range(60)
        ]
        for thread in threads:
            thread.start()
        before = time.monotonic()
        assert httpx.get(f"{server.url}/health").json() == {"status": "ok"}
        assert time.monotonic() - before < 2.5
        httpx.post(f"{server.url}/promises/crowd/cancel", json={})
        for thread in threads:
            thread.join(10)

    def test_a_person_answers_by_the_link_of_a_promise(self, server: DevServer) -> None:
        server.invoke("approve", id="asked")
        link = until(lambda: next((step for step in server.steps() if "/promises/asked%3A" in step), None))
        assert link.startswith(server.url)
        page = httpx.get(link)
        assert page.headers["content-type"].startswith("text/html")
        assert server.get("asked")["state"] == "pending"
        assert httpx.post(link, json={"value": "yes"}).json()["state"] == "resolved"
        assert server.result("asked") == "answered yes"

    def test_a_slash_in_an_id_survives(self, server: DevServer) -> None:
        url = server.invoke("count", "slashed", 1, id="a/b?c%2F").json()["url"]
        assert httpx.get(url, params={"wait": 20}).json()["id"] == "a/b?c%2F"

    def test_an_answer_does_not_wait_for_the_networks_acknowledgement(self, server: DevServer) -> None:
        server.http.get("/health")
        times = []
        for _ in range(20):
            before = time.monotonic()
            server.http.get("/health")
            times.append(time.monotonic() - before)
        assert min(times) < 0.03  # Nagle's algorithm would make every single one 40 ms

    def test_head_has_no_body(self, server: DevServer) -> None:
        answer = httpx.head(f"{server.url}/health")
        assert (answer.status_code, answer.content) == (200, b"")

    @pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:80", "127.0.0.1", ""])
    def test_a_rebound_name_is_refused(self, server: DevServer, host: str) -> None:
        for method, path in [("GET", "/promises/plain"), ("POST", "/invoke/count"), ("GET", "/health")]:
            answer = server.http.request(method, path, json={}, headers={"host": host})
            assert answer.status_code == 403, path

    @pytest.mark.parametrize("origin", ["https://evil.example", "null"])
    def test_a_foreign_page_is_refused_and_stores_nothing(self, server: DevServer, origin: str) -> None:
        body = {"id": "planted", "args": ["planted", 1]}
        answer = server.http.post("/invoke/count", json=body, headers={"origin": origin})
        assert (answer.status_code, answer.json()["code"]) == (403, "access-denied")
        assert "access-control-allow-origin" not in answer.headers
        assert server.http.get("/promises/planted").status_code == 404

    def test_our_own_page_is_let_in(self, server: DevServer) -> None:
        answer = server.http.post("/tick", json={}, headers={"origin": server.url})
        assert answer.status_code == 200

    def test_a_preflight_is_refused(self, server: DevServer) -> None:
        headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
        answer = server.http.options("/invoke/count", headers=headers)
        assert answer.status_code == 405
        assert not any(name.startswith("access-control") for name in answer.headers)

    @pytest.mark.parametrize("path", ["/invoke/count", "/tick", "/", "/promises/plain/cancel"])
    def test_a_form_is_refused(self, server: DevServer, path: str) -> None:
        assert server.http.post(path, data={"a": "b"}).status_code == 415
        assert (
            server.http.post(path, content=b"{}", headers={"content-type": "text/plain"}).status_code == 415
        )

    def test_a_body_over_the_limit_is_413_whether_declared_or_streamed(self, server: DevServer) -> None:
        headers = {"content-type": "application/json"}
        long = b" " * 1_048_577
        assert server.http.post("/invoke/count", content=long, headers=headers).status_code == 413
        chunks = (b" " * 65_536 for _ in range(17))
        assert server.http.post("/invoke/count", content=chunks, headers=headers).status_code == 413

    def test_a_path_that_is_no_utf8_and_one_with_a_newline_are_answered_in_our_words(
        self, server: DevServer
    ) -> None:
        host = urlsplit(server.url).netloc
        for path, status in [("/promises/%FF", 404), ("/promises/a%0Ab", 404), ("/%0A", 404)]:
            answer = raw(server.url, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
            assert f"HTTP/1.1 {status}" in answer, path
            assert '"code":' in answer

    def test_two_hosts_or_none_are_refused(self, server: DevServer) -> None:
        host = urlsplit(server.url).netloc
        for headers in ["", f"Host: {host}\r\nHost: evil.example\r\n"]:
            answer = raw(server.url, f"GET /health HTTP/1.1\r\n{headers}Connection: close\r\n\r\n")
            assert answer.startswith(("HTTP/1.1 400", "HTTP/1.1 403")), answer

    def test_debug_operations_are_disabled(self, server: DevServer) -> None:
        answer = server.http.post("/", json=envelope("debug.reset", {}))
        assert (answer.status_code, answer.json()["data"]) == (403, "Debug operations are disabled")

    def test_a_timer_with_a_target_is_accepted(self, server: DevServer) -> None:
        assert server.http.post("/", json=envelope("promise.create", TIMER)).status_code == 200

    def test_a_schedule_is_stored(self, server: DevServer) -> None:
        data = {
            "id": "hourly",
            "cron": "0 * * * *",
            "zone": "Europe/Zurich",
            "promiseId": "{{.id}}-{{.timestamp}}",
            "promiseTimeout": 1_000,
            "promiseTags": {"resonate:target": "local://default"},
        }
        answer = server.http.post("/", json=envelope("schedule.create", data))
        assert answer.json()["data"]["schedule"]["nextRunAt"] > time.time() * 1_000


TIMER = {
    "id": "timer",
    "timeoutAt": 10**15,
    "tags": {"resonate:timer": "true", "resonate:target": "local://default"},
}


def test_killed_and_started_again_it_goes_on_where_it_was(tmp_path: Path) -> None:
    with dev_server(tmp_path) as server:
        server.invoke("count", "k", 3, 2.5, id="k")
        until(lambda: "k-1" in server.steps())
        server.end(signal.SIGKILL)
    with dev_server(tmp_path) as server:
        assert server.result("k") == 3
        counts = Counter(server.steps())
        assert counts["k-0"] == 1  # recorded: never again
        assert counts["k-2"] == 1
        assert counts["k-1"] <= 2  # may have been killed between the step and its record


@pytest.mark.slow
def test_killed_in_the_middle_of_a_step_it_goes_on_after_the_lease(tmp_path: Path) -> None:
    with dev_server(tmp_path) as server:
        server.invoke("slow", 1.0, id="s")
        until(lambda: "holding" in server.steps())
        server.end(signal.SIGKILL)
    with dev_server(tmp_path) as server:
        before = time.monotonic()
        assert server.result("s") == "done"
        assert time.monotonic() - before < 10 + 4  # the lease, a sweep, the step


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_end_it_releases_its_tasks_and_exits_0(tmp_path: Path, number: int) -> None:
    with dev_server(tmp_path) as server:
        server.invoke("slow", 20.0, id="s")
        server.invoke("approve", id="a")
        until(lambda: "holding" in server.steps())
        polls = [threading.Thread(target=_poll, args=(server.url,)) for _ in range(3)]
        for poll in polls:
            poll.start()
        before = time.monotonic()
        assert server.end(number) == 0
        assert time.monotonic() - before < 10
        for poll in polls:
            poll.join(10)
            assert not poll.is_alive()
        assert "Traceback" not in server.errors.read_text()
    with dev_server(tmp_path) as server:
        until(
            lambda: server.steps().count("holding") == 2, within_s=4.0
        )  # sooner than a lease or a re-dispatch


def _poll(url: str) -> None:
    with suppress(httpx.TransportError):  # it may have come too late to be answered
        httpx.get(f"{url}/promises/a", params={"wait": 20}, timeout=30)


def test_two_servers_on_one_file_share_the_work_and_double_none(tmp_path: Path) -> None:
    with dev_server(tmp_path) as first, dev_server(tmp_path) as second:
        for number in range(10):
            server = (first, second)[number % 2]
            assert server.invoke("count", f"two{number}", 4, 0.05, id=f"two{number}").status_code == 202
        for number in range(10):
            server = (second, first)[number % 2]  # each asks for what the other started
            assert server.result(f"two{number}") == 4
        expected = Counter(f"two{number}-{step}" for number in range(10) for step in range(4))
        assert Counter(first.steps()) == expected
        first.invoke("count", "late", 2, 2.5, id="late")
        until(lambda: "late-0" in first.steps())
        first.end(signal.SIGKILL)
        assert second.result("late") == 2


def test_debug_mode_needs_the_printed_token(tmp_path: Path) -> None:
    with dev_server(tmp_path, "--debug") as server:
        token = server.banner(3)[2].removeprefix("debug token: ")
        assert len(token) >= 20
        assert server.http.post("/", json=envelope("debug.reset", {})).status_code == 401
        assert server.http.post("/", json=envelope("debug.reset", {}, auth="wrong")).status_code == 401
        assert server.http.post("/", json=envelope("debug.reset", {}, auth=token)).status_code == 200
        headers = {"authorization": f"Bearer {token}"}
        assert server.http.post("/", json=envelope("debug.snap", {}), headers=headers).status_code == 200


def test_in_debug_mode_time_stands_still_until_told(tmp_path: Path) -> None:
    with dev_server(tmp_path, "--debug", "--debug-token", "", "--strict") as server:
        assert server.banner(3)[2] == "debug token: (none needed)"
        server.http.post("/", json=envelope("debug.start", {}))
        server.invoke("count", "d", 1, id="d")
        snap = server.http.post("/", json=envelope("debug.snap", {})).json()["data"]
        assert [message["message"]["kind"] for message in snap["messages"]] == ["execute"]
        assert server.get("d", wait=1)["state"] == "pending"
        server.http.post("/", json=envelope("debug.stop", {}))
        assert server.result("d") == 1
        answer = server.http.post("/", json=envelope("promise.create", TIMER))
        assert (answer.status_code, answer.json()["data"]) == (
            400,
            "A timer must not have a resonate:target tag",
        )


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "resonate_faas_local", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nowhere.py"], "there is no file"),
        ([str(APP), "--host", "0.0.0.0"], "binds to this machine only"),
        ([str(APP), "--workers", "0", "--port", "0"], "workers must be at least 1"),
        ([str(APP), "--allow", "nonsense", "--port", "0"], "no address pattern"),
        ([str(APP), "--db", "no/such/folder/db", "--port", "0"], "the folder must exist"),
    ],
)
def test_what_cannot_start_says_why_in_a_line_and_exits_1(
    tmp_path: Path, arguments: list[str], reason: str
) -> None:
    ended = command(*arguments, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert reason in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = command(str(APP), "--port", str(taken.getsockname()[1]), cwd=tmp_path)
    assert ended.returncode == 1
    assert "is taken; choose another with --port, or 0 for a free one" in ended.stderr
