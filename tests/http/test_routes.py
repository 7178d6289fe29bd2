"""Which routes there are, who may use them, and what is refused before anything is done."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from tests.http.site import JSON, Site, Visitor

from resonate_faas import StoreUnavailableError
from resonate_faas._http import App, HttpRequest, HttpSettings, Right
from resonate_faas._http.app import ROUTES
from resonate_faas.testing import Fault, FaultyStore, MemoryStore

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")

EXPECTED: dict[str, tuple[str, ...]] = {
    "/": ("POST",),
    "/health": ("GET", "HEAD"),
    "/openapi.json": ("GET", "HEAD"),
    "/tick": ("POST",),
    "/invoke/add": ("POST",),
    "/promises/root": ("GET", "HEAD"),
    "/promises/root/explain": ("GET", "HEAD"),
    "/promises/root/resolve": ("GET", "HEAD", "POST"),
    "/promises/root/reject": ("GET", "HEAD", "POST"),
    "/promises/root/cancel": ("GET", "HEAD", "POST"),
}

RIGHTS: list[tuple[str, str, str, list[Right]]] = [
    ("POST", "/", "", [Right.PROTOCOL, Right.DELIVER]),
    ("GET", "/health", "", [Right.PUBLIC]),
    ("GET", "/openapi.json", "", [Right.PUBLIC]),
    ("POST", "/tick", "", [Right.TICK]),
    ("POST", "/invoke/add", "", [Right.INVOKE]),
    ("GET", "/promises/root", "", [Right.READ]),
    ("GET", "/promises/root/explain", "", [Right.READ]),
    ("POST", "/promises/root/resolve", "", [Right.SETTLE]),
    ("POST", "/promises/root/resolve", "token=x", [Right.LINK]),
    ("GET", "/promises/root/cancel", "", [Right.SETTLE]),
    ("GET", "/promises/root/cancel", "token=x", [Right.LINK]),
]


def test_the_routes_of_these_tests_are_all_there_are() -> None:
    assert {(route.method, route.template) for route in ROUTES} == {
        ("POST", "/"),
        ("GET", "/health"),
        ("GET", "/openapi.json"),
        ("POST", "/tick"),
        ("POST", "/invoke/{function}"),
        ("GET", "/promises/{id}"),
        ("GET", "/promises/{id}/explain"),
        ("GET", "/promises/{id}/{action}"),
        ("POST", "/promises/{id}/{action}"),
    }


@pytest.mark.parametrize("path", EXPECTED)
@pytest.mark.parametrize("method", METHODS)
def test_a_wrong_method_is_405_and_names_the_right_ones(method: str, path: str) -> None:
    site = Site()
    answer = site.send(method, path, raw=b"{}")
    if method in EXPECTED[path]:
        assert answer.status != 405
    else:
        assert (answer.status, answer.code) == (405, "method-not-allowed")
        assert set(answer.response.headers["allow"].split(", ")) == set(EXPECTED[path])
        assert site.access.asked == []


@pytest.mark.parametrize(
    "path",
    [
        "/x",
        "/invoke",
        "/invoke/",
        "/promises",
        "/promises/",
        "//",
        "/tick/",
        "/health/x",
        "/promises/a/b",
        "/promises/a/b/resolve",
        "/invoke/a/b",
        "",
        "/%2F",
    ],
)
def test_an_unknown_route_is_404(path: str) -> None:
    answer = Site().send("GET", path)
    if path == "":
        assert answer.status == 405  # an empty path is the root
    else:
        assert (answer.status, answer.code) == (404, "route-not-found")


@pytest.mark.parametrize(("method", "path", "query", "rights"), RIGHTS)
def test_each_route_asks_for_its_right_before_the_body_is_looked_at(
    method: str, path: str, query: str, rights: list[Right]
) -> None:
    site = Site(access=Visitor(()))
    answer = site.send(method, path, raw=b"\xff not json", query=query)
    assert (answer.status, answer.code) == (403, "access-denied")
    assert site.access.asked == rights


@pytest.mark.parametrize(("method", "path", "query", "rights"), RIGHTS)
def test_no_other_right_opens_a_route(method: str, path: str, query: str, rights: list[Right]) -> None:
    site = Site(access=Visitor(set(Right) - set(rights)))
    assert site.send(method, path, raw=b"{}", query=query).status == 403


@pytest.mark.parametrize(("method", "path", "query", "rights"), RIGHTS)
def test_an_app_without_an_access_is_closed(method: str, path: str, query: str, rights: list[Right]) -> None:
    del rights
    app = App(Site().node)
    request = HttpRequest(method=method, path=path, query=query, headers=JSON, body=b"{}")
    assert app.handle(request).status == 403


def test_who_is_not_known_is_told_how_to_say_so() -> None:
    answer = Site(access=Visitor(token="secret")).send("GET", "/promises/root")
    assert (answer.status, answer.code) == (401, "access-denied")
    assert answer.response.headers["www-authenticate"] == "Bearer"


WITH_BODY = ["/", "/invoke/add", "/promises/root/resolve"]


@pytest.mark.parametrize("path", [*WITH_BODY, "/tick"])
def test_a_body_over_the_limit_is_413_and_stores_nothing(path: str) -> None:
    site = Site(settings=HttpSettings(body_bytes_max=1_000))
    site.invoke("approve")
    before = site.stored()
    padding = b" " * 1_000
    answer = site.send("POST", path, raw=b"{}" + padding)
    assert (answer.status, answer.code) == (413, "body-too-large")
    assert "1000" in answer.json["detail"]
    assert site.stored() == before
    assert site.send("POST", path, raw=b"{}" + padding[2:]).status != 413


@pytest.mark.parametrize("path", WITH_BODY)
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
def test_a_body_that_is_not_declared_as_json_is_415_and_stores_nothing(path: str, kind: str) -> None:
    site = Site()
    site.invoke("approve")
    before = site.stored()
    answer = site.send("POST", path, raw=b'{"id":"x","args":[1]}', headers={"content-type": kind})
    assert (answer.status, answer.code) == (415, "content-type")
    assert site.stored() == before


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_may_be_declared_with_parameters_and_in_any_case(kind: str) -> None:
    answer = Site().send("POST", "/invoke/add", {"args": [1]}, headers={"content-type": kind})
    assert answer.status == 202


@pytest.mark.parametrize("path", WITH_BODY[1:])
@pytest.mark.parametrize("raw", [b"{", b"\xff", b"NaN", b'{"a":1}x', b'"\\ud800"', b"[" * 5_000])
def test_a_malformed_body_is_400_and_stores_nothing(path: str, raw: bytes) -> None:
    site = Site()
    site.invoke("approve")
    before = site.stored()
    answer = site.send("POST", path, raw=raw)
    assert (answer.status, answer.code) == (400, "malformed-body")
    assert site.stored() == before


def test_health_and_head_need_no_more_than_the_process() -> None:
    site = Site()
    assert site.send("GET", "/health").json == {"status": "ok"}
    assert site.send("HEAD", "/health").status == 200


def test_a_tick_sweeps_and_says_what_it_did() -> None:
    site = Site()
    site.invoke("add", 1)
    site.queue.pop_due(site.clock.now_ms())  # every message is lost
    site.clock.advance(10_000)
    answer = site.send("POST", "/tick")
    assert (answer.status, answer.json) == (200, {"pokes": 1, "failures": 0, "complete": True})
    site.settle()
    assert site.send("GET", "/promises/root").json["value"] == 2


def test_no_answer_is_cached_or_sniffed() -> None:
    site = Site()
    for method, path in [("GET", "/health"), ("GET", "/promises/x"), ("GET", "/promises/x/resolve")]:
        headers = site.send(method, path).response.headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


def test_a_bug_is_a_bare_500_and_a_log_entry(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site()

    def broken(*_: Any) -> Any:
        raise KeyError("the secret of the house")

    monkeypatch.setattr(site.node.client, "get", broken)
    with caplog.at_level(logging.ERROR, logger="resonate_faas.http"):
        answer = site.send("GET", "/promises/root")
    assert (answer.status, answer.code) == (500, "internal")
    assert b"secret" not in answer.response.body
    assert b"Traceback" not in answer.response.body
    assert "the secret of the house" in caplog.text


def test_a_store_out_of_reach_is_503_and_tells_nothing_of_it() -> None:
    site = Site(store=FaultyStore(MemoryStore(), dict.fromkeys(range(1, 99), Fault.UNAVAILABLE)))
    answer = site.send("POST", "/invoke/add", {"args": [1]})
    assert (answer.status, answer.code) == (503, StoreUnavailableError.code)
    assert answer.response.headers["retry-after"] == "1"
    assert "write 1 was refused" not in answer.response.body.decode()
