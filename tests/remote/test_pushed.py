"""A function that works for an official server answers what is pushed to it as protocol section 9.1 says."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tests.remote.wire import URL, AppTransport, Everybody, server_at

from resonate_faas import Context, Invocation, Resonate
from resonate_faas._clock import SystemClock
from resonate_faas._http import App, HttpRequest
from resonate_faas._http.access import Right
from resonate_faas._http.bearer import BearerAccess, Credential, SharedSecret
from resonate_faas._machine.objects import PromiseState
from resonate_faas._pushed import encode_execute
from resonate_faas_remote import SERVERS_WORD, PushedApp, RemoteNode

FRONT = {"host": "fn.invalid", "x-forwarded-proto": "https"}
OWN = "https://fn.invalid/run"
SECRET = "the-token-of-the-server"

resonate = Resonate()


@resonate.register
async def double(ctx: Context, number: int) -> int:
    return await ctx.run(lambda: number * 2)


@resonate.register
async def parent(ctx: Context, number: int) -> int:
    first = await ctx.run(double, number)
    return await ctx.options(target="default").rpc(double, first)


@resonate.register
async def recursive(ctx: Context, depth: int) -> int:
    return 1 + await ctx.rpc(recursive, depth - 1) if depth else 0


@resonate.register
async def refuse(ctx: Context) -> None:
    await ctx.run(lambda: None)
    raise ValueError("not today")


class Site:
    """A server of ours behind the wire, and functions that it could push to."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.node = server_at(self.clock)
        self.wire: httpx.BaseTransport = AppTransport(App(self.node, Everybody()))
        self.asked: list[str] = []

    def connect(self, url: str, resolve_target: Callable[[str], str]) -> RemoteNode:
        self.asked.append(url)
        return RemoteNode(
            resonate,
            url,
            token=SECRET,
            target=resolve_target(""),
            resolve_target=resolve_target,
            heartbeats=False,
            clock=self.clock,
            transport=self.wire,
        )

    def app(self, url: str | None = URL, **settings: Any) -> PushedApp:
        return PushedApp(resonate, self.connect, url=url, **settings)

    def start(self, function: str, *args: Any) -> str:
        with self.connect(URL, lambda _: OWN) as node:
            return node.client.invoke(Invocation(function=function, args=list(args))).id

    def value(self, promise_id: str) -> Any:
        return json.loads(base64.b64decode(self.find(promise_id).value.data))

    def find(self, promise_id: str) -> Any:
        return self.node.server.observe((promise_id,))[promise_id].promise


def push(
    app: PushedApp,
    body: object,
    *,
    method: str = "POST",
    path: str = "/run",
    query: str = "",
    headers: dict[str, str] = FRONT,
) -> tuple[int, Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = app.handle(HttpRequest(method=method, path=path, query=query, headers=headers, body=raw))
    assert answer.headers["content-type"] == "application/json"
    return answer.status, json.loads(answer.body)


@pytest.fixture
def site() -> Site:
    return Site()


def test_an_execution_is_completed(site: Site) -> None:
    root = site.start("double", 4)
    assert push(site.app(), encode_execute(root, 0)) == (200, {"status": "completed"})
    assert site.value(root) == 8


def test_a_child_is_sent_to_the_function_itself_and_the_parent_suspends(site: Site) -> None:
    root, app = site.start("parent", 4), site.app()
    assert push(app, encode_execute(root, 0)) == (200, {"status": "suspended"})
    assert site.find(f"{root}:2r").tags["resonate:target"] == OWN
    assert push(app, encode_execute(f"{root}:2r", 0)) == (200, {"status": "completed"})
    assert push(app, encode_execute(root, 1)) == (200, {"status": "completed"})
    assert site.value(root) == 16


def test_a_child_without_a_target_is_sent_where_its_parent_was_sent(site: Site) -> None:
    root, app = site.start("recursive", 1), site.app(function_url="https://other.invalid")
    push(app, encode_execute(root, 0))
    assert site.find(f"{root}:1r").tags["resonate:target"] == OWN


def test_a_stale_delivery_is_no_failure(site: Site) -> None:
    root, app = site.start("double", 4), site.app()
    push(app, encode_execute(root, 0))
    assert push(app, encode_execute(root, 0)) == (200, {"status": "suspended"})
    assert push(app, encode_execute("unknown", 7)) == (200, {"status": "suspended"})


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE", "OPTIONS"])
def test_it_takes_post_only(site: Site, method: str) -> None:
    answer = push(site.app(), encode_execute("x", 0), method=method)
    assert answer == (405, {"error": "Method not allowed. Use POST."})


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "Request body missing."),
        (b"{", "Request body must be a valid execute message."),
        ({}, "Request body must be a valid execute message."),
        ({"kind": "unblock", "head": {}, "data": {}}, "Request body must be a valid execute message."),
        (
            {"kind": "execute", "head": {}, "data": {"task": {"id": 4}}},
            "Request body must be a valid execute message.",
        ),
    ],
)
def test_a_body_that_is_no_execute_message_is_refused(site: Site, body: object, error: str) -> None:
    assert push(site.app(), body) == (400, {"error": error})
    assert site.asked == []


@pytest.mark.parametrize(
    ("headers", "query", "own"),
    [
        (FRONT, "", OWN),
        ({"host": "fn.invalid"}, "", "http://fn.invalid/run"),
        (FRONT, "key=1&x=%20", f"{OWN}?key=1&x=%20"),
        ({**FRONT, "x-forwarded-proto": "https, http"}, "", OWN),
        ({**FRONT, "host": "[::1]:8080"}, "", "https://[::1]:8080/run"),
    ],
)
def test_its_own_url_is_the_one_that_it_was_asked_at(
    site: Site, headers: dict[str, str], query: str, own: str
) -> None:
    root = site.start("parent", 4)
    push(site.app(), encode_execute(root, 0), headers=headers, query=query)
    assert site.find(f"{root}:2r").tags["resonate:target"] == own


@pytest.mark.parametrize(
    "headers", [{}, {**FRONT, "x-forwarded-proto": "gopher"}, {**FRONT, "host": "a/b@c"}]
)
def test_without_its_own_url_nothing_is_begun(site: Site, headers: dict[str, str]) -> None:
    status, body = push(site.app(), encode_execute("x", 0), headers=headers)
    assert status == 500
    assert body["error"].startswith("Cannot determine function URL: ")
    assert site.asked == []


def test_a_configured_own_url_wins_over_headers_and_the_argument_over_the_variable(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESONATE_FUNCTION_URL", "https://variable.invalid/f")
    for app, own in [
        (site.app(), "https://variable.invalid/f"),
        (site.app(function_url="https://argument.invalid/f"), "https://argument.invalid/f"),
    ]:
        root = site.start("parent", 4)
        push(app, encode_execute(root, 0))
        assert site.find(f"{root}:2r").tags["resonate:target"] == own


@pytest.mark.parametrize(
    ("configured", "variable", "asked"),
    [
        ("http://argument.invalid", "http://variable.invalid", "http://argument.invalid"),
        (None, "http://variable.invalid", "http://variable.invalid"),
        (None, SERVERS_WORD, "http://word.invalid"),
        (SERVERS_WORD, "http://variable.invalid", "http://word.invalid"),
    ],
)
def test_a_configured_server_wins_over_the_message_s(
    site: Site, monkeypatch: pytest.MonkeyPatch, configured: str | None, variable: str, asked: str
) -> None:
    monkeypatch.setenv("RESONATE_URL", variable)
    push(site.app(configured), encode_execute("x", 0, "http://word.invalid"))
    assert site.asked == [asked]


@pytest.mark.parametrize(
    ("configured", "word"), [(None, "http://word.invalid"), (SERVERS_WORD, None), (SERVERS_WORD, "")]
)
def test_no_server_is_an_error(site: Site, configured: str | None, word: str | None) -> None:
    status, body = push(site.app(configured), encode_execute("x", 0, word))
    assert (status, body) == (
        500,
        {"error": "Cannot determine Resonate server URL: set RESONATE_URL or pass url=."},
    )
    assert site.asked == []


def test_messages_can_t_make_it_connect_to_ever_more_servers(site: Site) -> None:
    app = site.app(SERVERS_WORD)
    statuses = [push(app, encode_execute("x", 0, f"http://{n}.invalid"))[0] for n in range(10)]
    assert statuses == [200] * 8 + [500] * 2


def test_warm_invocations_keep_the_connection(site: Site) -> None:
    app = site.app()
    for _ in range(3):
        push(app, encode_execute("x", 0))
    assert site.asked == [URL]


def _down(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused", request=request)


@pytest.mark.parametrize(
    ("wire", "error"),
    [
        (_down, "Handler failed: StoreUnavailableError: "),
        (lambda _: httpx.Response(503), "Handler failed: "),
        (
            lambda _: httpx.Response(401, json={"detail": "who are you?"}),
            "Handler failed: RequestRefusedError: ",
        ),
    ],
)
def test_an_exception_is_a_failure_that_tells_no_secret(
    site: Site, wire: Callable[[httpx.Request], httpx.Response], error: str
) -> None:
    site.wire = httpx.MockTransport(wire)
    status, body = push(site.app(), encode_execute("x", 0))
    assert status == 500
    assert body["error"].startswith(error)
    assert SECRET not in body["error"]


def test_a_failing_function_is_no_failure_of_the_handler(site: Site) -> None:
    root = site.start("refuse")
    assert push(site.app(), encode_execute(root, 0))[0] == 200
    assert site.find(root).state is PromiseState.REJECTED


def test_where_deliveries_need_a_token_they_need_it(site: Site) -> None:
    access = BearerAccess(
        [Credential(accepts=SharedSecret("pass").accepts, rights=frozenset({Right.DELIVER}))]
    )
    app = site.app(access=access)
    assert push(app, encode_execute("x", 0))[0] == 401
    assert push(app, encode_execute("x", 0), headers={**FRONT, "authorization": "Bearer pass"})[0] == 200
