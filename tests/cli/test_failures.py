"""What goes wrong between the command line and a server, and how the process tells."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.cli.terminal import Cli, serving

from resonate_faas_cli._api import exit_of
from resonate_faas_cli._exits import Exit, Failure
from resonate_faas_cli._waiting import RECONNECT_SECONDS, Patience, Time, wait

ASKING = [
    ["invoke", "f"],
    ["get", "x"],
    ["wait", "x"],
    ["resolve", "x"],
    ["reject", "x"],
    ["cancel", "x"],
    ["tree", "x"],
    ["tree", "x", "--follow"],
    ["promises", "list"],
    ["promises", "search", "--tag", "a=b"],
    ["tasks", "list"],
    ["tasks", "halt", "x"],
    ["tasks", "continue", "x"],
    ["schedules", "list"],
    ["schedules", "create", "x", "--cron", "* * * * *", "--function", "f"],
    ["schedules", "delete", "x"],
]


@dataclass
class Stub:
    """A server that always answers the same, and remembers what it was asked."""

    url: str
    status: int = 200
    content_type: str = "application/json"
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    hangs_up: bool = False

    def answers(self, status: int, body: object, content_type: str = "application/json") -> None:
        self.status, self.content_type = status, content_type
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()


@contextmanager
def stubbed() -> Iterator[Stub]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            made.asked.append((self.path, {key.lower(): text for key, text in self.headers.items()}, body))
            if made.hangs_up:
                return
            self.send_response(made.status)
            for name, text in {"content-type": made.content_type, **made.headers}.items():
                self.send_header(name, text)
            self.send_header("content-length", str(len(made.body)))
            self.end_headers()
            self.wfile.write(made.body)

        do_GET = do_POST = answer  # noqa: N815 - http.server's names

        def log_message(self, *args: object) -> None:
            del args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Stub(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield made
        server.shutdown()
        thread.join()


@pytest.fixture
def stub() -> Iterator[Stub]:
    with stubbed() as made:
        yield made


@pytest.fixture
def nowhere() -> Cli:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return Cli(f"http://127.0.0.1:{free.getsockname()[1]}")


@pytest.mark.parametrize("args", ASKING, ids=" ".join)
def test_an_unreachable_server_is_told_with_the_cure(nowhere: Cli, args: list[str]) -> None:
    ran = nowhere(*args)
    assert (ran.code, ran.out) == (5, "")
    assert nowhere.url in ran.err
    assert "resonate-faas dev FILE" in ran.err
    assert "RESONATE_FAAS_URL" in ran.err
    assert "Traceback" not in ran.err
    as_json = nowhere(*args, "--json")
    assert as_json.code == 5
    assert as_json.error["reason"] == "unreachable"


@pytest.mark.parametrize("args", ASKING, ids=" ".join)
def test_every_command_tells_a_server_of_another_kind(stub: Stub, args: list[str]) -> None:
    stub.answers(200, b"<html>hello</html>", "text/html")
    ran = Cli(stub.url)(*args)
    assert (ran.code, ran.out) == (5, ""), ran
    assert "does not answer as a resonate-faas server does" in ran.err


@pytest.mark.parametrize("args", [["get", "x"], ["invoke", "f"], ["tasks", "list"]], ids=" ".join)
@pytest.mark.parametrize(
    ("status", "body", "content_type"),
    [
        (200, b"<html>hello</html>", "text/html"),
        (404, b"<html>not here</html>", "text/html"),
        (200, b"[1]", "application/json"),
        (200, b"\xff\xfe", "application/json"),
        (404, b'{"error": "no"}', "application/json"),
        (307, b"", "text/plain"),
        (502, b"bad gateway", "text/plain"),
        (404, b'{"detail": "there is no route", "code": "route-not-found"}', "application/problem+json"),
    ],
)
def test_a_server_of_another_kind_is_told_from_ours(
    stub: Stub, args: list[str], status: int, body: bytes, content_type: str
) -> None:
    stub.answers(status, body, content_type)
    stub.headers = {"location": "http://127.0.0.1:1/"}
    ran = Cli(stub.url)(*args)
    assert (ran.code, ran.out) == (5, ""), ran
    assert "does not answer as a resonate-faas server does" in ran.err
    assert len(stub.asked) == 1, "nothing is asked again, no redirect is followed"


def test_a_connection_that_breaks_leaves_it_open_what_happened(stub: Stub) -> None:
    stub.hangs_up = True
    ran = Cli(stub.url)("invoke", "f")
    assert ran.code == 5
    assert "Whether it did what was asked is not known" in ran.err


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, 4),
        (401, 4),
        (403, 4),
        (404, 3),
        (409, 4),
        (413, 4),
        (415, 4),
        (422, 4),
        (429, 5),
        (500, 5),
        (503, 5),
    ],
)
def test_every_status_has_its_exit_code(stub: Stub, status: int, code: int) -> None:
    problem = {
        "type": "urn:x",
        "title": "T",
        "status": status,
        "detail": "it was no good",
        "code": "c-1",
        "field": "id",
    }
    stub.answers(status, problem, "application/problem+json")
    ran = Cli(stub.url)("get", "x")
    assert ran.code == code == exit_of(status)
    assert ran.err.splitlines()[0] == "Error: id: it was no good"
    error = Cli(stub.url)("get", "x", "--json").error
    assert (error["exit"], error["code"], error["message"]) == (code, "c-1", "id: it was no good")
    stub.answers(status, {"kind": "task.halt", "head": {"corrId": "x", "status": status}, "data": "no good"})
    ran = Cli(stub.url)("tasks", "halt", "x")
    assert (ran.code, ran.err.splitlines()[0]) == (code, "Error: no good")


def test_a_missing_token_is_told_with_the_cure(stub: Stub) -> None:
    stub.answers(401, {"title": "Access denied", "detail": "who is it?", "code": "access-denied"})
    assert "--token or RESONATE_FAAS_TOKEN" in Cli(stub.url)("get", "x").err


def test_an_answer_to_another_question_is_not_taken(stub: Stub) -> None:
    stub.answers(
        200, {"kind": "promise.search", "head": {"corrId": "other", "status": 200}, "data": {"promises": []}}
    )
    assert Cli(stub.url)("promises", "list").code == 5


def test_a_token_is_sent_in_the_header_and_the_head_and_not_without_being_asked(stub: Stub) -> None:
    stub.answers(404, {"title": "no", "detail": "no", "code": "x"})
    Cli(stub.url)("get", "x", "--token", "s3cret")
    Cli(stub.url, {"RESONATE_FAAS_TOKEN": "s3cret"})("tasks", "list")
    Cli(stub.url)("tasks", "list")
    (_, get, _), (_, envelope, body), (_, plain, plain_body) = stub.asked
    assert get["authorization"] == envelope["authorization"] == "Bearer s3cret"
    assert json.loads(body)["head"]["auth"] == "s3cret"
    assert "authorization" not in plain
    assert "auth" not in json.loads(plain_body)["head"]


def test_ids_and_functions_are_one_segment_of_the_path(stub: Stub) -> None:
    stub.answers(404, {"title": "no", "detail": "no", "code": "x"})
    cli = Cli(f"{stub.url}/base/")
    for promise_id in ("a/b", "..", ".", "a?b#c", "ü:1.2r", "%2F"):
        cli("get", promise_id)
    cli("invoke", "../x", "1")
    assert [path for path, _, _ in stub.asked] == [
        "/base/promises/a%2Fb",
        "/base/promises/%2E%2E",
        "/base/promises/%2E",
        "/base/promises/a%3Fb%23c",
        "/base/promises/%C3%BC%3A1.2r",
        "/base/promises/%252F",
        "/base/invoke/..%2Fx",
    ]


def test_a_proxy_is_not_asked_about_this_machine(stub: Stub) -> None:
    stub.answers(404, {"title": "no", "detail": "no", "code": "x"})
    cli = Cli(stub.url, {"HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": ""})
    assert cli("get", "x").code == 3


def test_a_result_that_the_server_can_not_read_is_no_success(stub: Stub) -> None:
    stub.answers(200, {"id": "x", "state": "resolved", "undecodable": "wrong key", "raw": {"data": "AA=="}})
    ran = Cli(stub.url)("wait", "x")
    assert (ran.code, ran.out) == (5, "")
    assert "wrong key" in ran.err
    assert Cli(stub.url)("wait", "x", "--json").json["raw"] == {"data": "AA=="}


def test_too_many_pages_are_an_error_not_a_part(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resonate_faas_cli._search.RECORDS_MAX", 3)
    monkeypatch.setattr("resonate_faas_cli._api.secrets.token_hex", lambda _: "1")
    pages = iter(range(10))
    head = {"corrId": "cli-1", "status": 200}

    def page(*_: object) -> Any:
        number = next(pages)
        return {"head": head, "data": {"tasks": [{"id": f"t{number}"}] * 2, "cursor": f"t{number}"}}

    monkeypatch.setattr("resonate_faas_cli._api.Api._json", page)
    ran = Cli(stub.url)("tasks", "list", "--all")
    assert (ran.code, ran.out) == (4, "")
    assert "more than 3 tasks" in ran.err
    assert "--cursor t1" in ran.err


class Clock:
    """A time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def time(self) -> Time:
        return Time(monotonic=lambda: self.now, sleep=self.sleep)


def test_patience_ends_after_a_minute_and_begins_anew_after_an_answer() -> None:
    clock, said = Clock(), list[str]()
    patience = Patience(said.append, clock.time)
    away = Failure(Exit.UNREACHABLE, "away")

    def fail() -> int:
        raise away

    def ask_until_it_ends() -> float:
        began = clock.now
        with pytest.raises(Failure):  # noqa: PT012 - the loop is what raises in the end
            while True:
                assert patience.ask(fail) is None
                patience.pause()
        return clock.now - began

    with pytest.raises(Failure):
        patience.ask(fail)
    assert patience.ask(lambda: 1) == 1
    assert RECONNECT_SECONDS < ask_until_it_ends() <= RECONNECT_SECONDS + 1
    assert said == ["away; trying again for 60 s"]
    assert patience.ask(lambda: 1) == 1
    assert RECONNECT_SECONDS < ask_until_it_ends() <= RECONNECT_SECONDS + 1


def test_patience_has_none_with_a_refusal() -> None:
    patience = Patience(lambda _: None, Clock().time)
    patience.ask(lambda: 1)

    def refused() -> int:
        raise Failure(Exit.NOT_FOUND, "gone")

    with pytest.raises(Failure, match="gone"):
        patience.ask(refused)


def test_a_server_that_does_not_hold_requests_is_not_stormed() -> None:
    clock, asked = Clock(), list[str]()

    class Hasty:
        def get(self, *path: str, params: dict[str, str]) -> dict[str, str]:
            asked.append(params["wait"])
            return {"id": path[1], "state": "pending"}

    with pytest.raises(Failure) as caught:
        wait(Hasty(), "x", timeout_ms=10_000, note=lambda _: None, clock=clock.time)  # type: ignore[arg-type]
    assert caught.value.exit_code is Exit.TIMED_OUT
    assert clock.now == 10.0
    assert len(asked) <= 22
    assert asked[:3] == ["0", "10", "10"]


@pytest.mark.parametrize(
    ("target", "options", "code", "said"),
    [
        ("absent.py", [], 2, "there is no file"),
        ("no_such_module", [], 2, "there is no module"),
        ("SHOP:nothing", [], 2, "'nothing' must be a Resonate instance"),
        ("SHOP", ["--host", "0.0.0.0"], 2, "binds to this machine only"),
        ("SHOP", ["--db", "/"], 5, "the store can't"),
    ],
)
def test_a_dev_server_that_can_not_start_says_why(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, target: str, options: list[str], code: int, said: str
) -> None:
    from tests.cli.terminal import SHOP, ended  # noqa: PLC0415 - next to its only use

    monkeypatch.chdir(tmp_path)
    named = target.replace("SHOP", str(SHOP))
    ran = ended(Cli("http://unused").process("dev", named, "--port", "0", *options))
    assert ran.code == code, ran
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_a_port_that_is_taken_is_told_with_the_cure(tmp_path: Any) -> None:
    from tests.cli.terminal import SHOP, ended  # noqa: PLC0415 - next to its only use

    with serving(tmp_path / "a.db", "--port", "0") as (_, url):
        port = url.rpartition(":")[2]
        ran = ended(Cli(url).process("dev", str(SHOP), "--port", port, "--db", str(tmp_path / "b.db")))
    assert ran.code == 4
    assert f"Port {port} of 127.0.0.1 is taken" in ran.err
    assert "--port" in ran.err.splitlines()[1]
