"""Whatever is sent, no route answers 5xx, none raises, and none hangs."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tests.http.site import JSON, VERSION, Site

from resonate_faas._http import HttpRequest
from resonate_faas._protocol import KINDS
from resonate_faas_local._dev_server import asgi

STATUSES = {200, 202, 300, 400, 401, 403, 404, 405, 409, 413, 415, 422}
PATHS = [
    "/",
    "/health",
    "/openapi.json",
    "/tick",
    "/invoke/add",
    "/invoke/fail",
    "/promises/known",
    "/promises/known/explain",
    "/promises/known/resolve",
    "/promises/known/cancel",
]


@cache
def site(*, debug: bool = False) -> Site:
    """Return a site that lives for the whole module: what one example leaves is met by the next."""
    made = Site(debug=debug)
    made.invoke("approve", id="known")
    made.settle(until_ms=made.clock.now_ms())
    return made


def check(answer: Any) -> None:
    """Fail unless the answer is one that the protocol or the problem table knows."""
    assert answer.status in STATUSES, answer
    json.loads(answer.body) if answer.headers["content-type"] != "text/html; charset=utf-8" else None


texts = st.text(max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_to_the_root(body: bytes) -> None:
    check(site().app.handle(HttpRequest(method="POST", path="/", headers=JSON, body=body)))


@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "BREW"]),
    st.sampled_from(PATHS) | texts.map(lambda text: f"/{text}") | texts.map(lambda text: f"/promises/{text}"),
    st.text(max_size=40) | st.sampled_from(["wait=0", "token=x", "value=1", "wait=%00", "value=%ff"]),
    st.sampled_from([JSON, {}, {"content-type": "text/plain"}, {"authorization": "Bearer \ud800"}]),
    st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()),
)
@settings(max_examples=400, deadline=None)
def test_any_request_to_any_route(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    request = HttpRequest(method=method, path=path, query=query, headers=headers, body=body)
    check(site().app.handle(request))


def mostly(good: st.SearchStrategy[Any], bad: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy that is good most of the time: a request has many fields, and one bad one hides the rest."""
    return st.integers(0, 19).flatmap(lambda number: bad if number == 19 else good)


ids = mostly(
    st.sampled_from(["known", "known:1", "a", "a.1", "b:1r"]),
    st.sampled_from(["", "x" * 300, "\x00"]) | texts,
)
instants = mostly(
    st.integers(1, 2**62) | st.sampled_from([0, 1_700_000_000_000, 1_900_000_000_000]),
    st.sampled_from([-1, 2**63 - 1, 2**63, 10**30]),
)
times = mostly(st.integers(0, 2_000_000_000_000), st.sampled_from([253_402_300_799_999, 2**60]))
addresses = mostly(st.sampled_from(["local://default", "http://localhost:8080"]), texts)
tags = st.fixed_dictionaries(
    {},
    optional={
        "resonate:target": addresses,
        "resonate:timer": st.just("true"),
        "resonate:external": st.just("true"),
        "resonate:branch": st.sampled_from(["b", "known"]),
        "any": texts,
    },
)
rare_tags = mostly(tags, st.dictionaries(texts | st.just("resonate:delay"), texts | st.just("1"), max_size=3))
values = mostly(
    st.fixed_dictionaries({}, optional={"headers": tags, "data": texts}),
    st.fixed_dictionaries({"data": json_values}),
)
plausible: dict[str, st.SearchStrategy[Any]] = {
    "id": ids,
    "awaited": ids,
    "awaiter": ids,
    "timeoutAt": instants,
    "param": values,
    "value": values,
    "tags": rare_tags,
    "state": st.sampled_from(["pending", "resolved", "rejected", "rejected_canceled", "halted"]),
    "address": addresses,
    "limit": mostly(st.integers(1, 1_000), st.integers(-1, 1_001)),
    "cursor": ids,
    "version": mostly(st.integers(0, 2), st.integers(-1, 3)),
    "pid": mostly(st.just("p"), texts),
    "ttl": mostly(st.integers(1, 60_000), instants),
    "tasks": st.lists(st.fixed_dictionaries({"id": ids, "version": st.integers(0, 3)}), max_size=3),
    "cron": mostly(
        st.sampled_from(["* * * * *", "0 0 30 2 *", "0 9 * * MON", "*/7 1-3 * jan,feb 7", "@daily"]), texts
    ),
    "zone": mostly(
        st.sampled_from(["UTC", "Europe/Zurich"]),
        st.sampled_from(["../etc/passwd", "/etc/localtime"]) | texts,
    ),
    "promiseId": mostly(st.sampled_from(["{{.id}}-{{.timestamp}}", "known", "a"]), texts),
    "promiseTimeout": instants,
    "promiseTags": rare_tags,
    "promiseParam": values,
    "time": times,
}


ACTIONS = {
    "task.create": "promise.create",
    "task.fulfill": "promise.settle",
    "task.suspend": "promise.register_callback",
}


def _fields(kind: str) -> st.SearchStrategy[Any]:
    """Return data with every field that any kind has; the others are ignored."""
    inner = st.fixed_dictionaries(dict(plausible))
    if not kind.startswith("task."):
        return inner
    wanted = (
        st.just(ACTIONS[kind]) if kind in ACTIONS else st.sampled_from(["promise.create", "promise.settle"])
    )
    kinds = mostly(wanted, st.sampled_from(sorted(KINDS)))
    action = st.fixed_dictionaries({"kind": kinds, "head": json_values, "data": inner})
    return st.fixed_dictionaries({**plausible, "action": action, "actions": st.lists(action, max_size=3)})


requests = st.sampled_from(sorted(KINDS.keys() - {"debug.reset"})).flatmap(
    lambda kind: st.tuples(st.just(kind), mostly(_fields(kind), json_values))
)


@pytest.mark.parametrize("debug", [False, True])
@given(
    asked=requests,
    head=st.fixed_dictionaries({}, optional={"auth": texts, "resonate:debug_time": times}),
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_data_of_every_kind(debug: bool, asked: tuple[str, Any], head: dict[str, Any]) -> None:
    kind, data = asked
    envelope = {"kind": kind, "head": {"corrId": "1", "version": VERSION, **head}, "data": data}
    body = json.dumps(envelope).encode()
    request = HttpRequest(method="POST", path="/", headers=JSON, body=body)
    check(site(debug=debug).app.handle(request))


schema = schemathesis.openapi.from_asgi("/openapi.json", asgi(Site().app))


@schema.parametrize()
@settings(max_examples=40, deadline=None)
def test_the_served_document_and_its_routes_agree(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(
        excluded_checks=[positive_data_acceptance]
    )  # no schema knows a signature or a cron
