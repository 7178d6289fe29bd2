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


ids = st.sampled_from(["known", "known:1", "a", "a.1", "b:1r", "", "x" * 300, "\x00"]) | texts
instants = st.sampled_from([-1, 0, 1, 1_700_000_000_000, 2**62, 2**63 - 1, 2**63, 10**30]) | st.integers()
tags = st.dictionaries(
    st.sampled_from(
        ["resonate:target", "resonate:timer", "resonate:external", "resonate:delay", "resonate:branch"]
    )
    | texts,
    st.sampled_from(["local://default", "true", "1", "0", "b", "http://localhost:8080"]) | texts,
    max_size=4,
)
values = st.fixed_dictionaries({}, optional={"headers": tags, "data": texts | json_values})
plausible: dict[str, st.SearchStrategy[Any]] = {
    "id": ids,
    "awaited": ids,
    "awaiter": ids,
    "timeoutAt": instants,
    "param": values,
    "value": values,
    "tags": tags,
    "state": st.sampled_from(["pending", "resolved", "rejected", "rejected_canceled", "halted"]),
    "address": st.sampled_from(["http://localhost:8080", "local://default"]) | texts,
    "limit": st.integers(-1, 1_001),
    "cursor": ids,
    "version": st.integers(-1, 3),
    "pid": texts,
    "ttl": instants,
    "tasks": st.lists(st.fixed_dictionaries({"id": ids, "version": st.integers(0, 3)}), max_size=3),
    "cron": st.sampled_from(["* * * * *", "0 0 30 2 *", "0 9 * * MON", "*/7 1-3 * jan,feb 7", "@daily"])
    | texts,
    "zone": st.sampled_from(["UTC", "Europe/Zurich", "../etc/passwd", "/etc/localtime"]) | texts,
    "promiseId": st.sampled_from(["{{.id}}-{{.timestamp}}", "known", "a"]) | texts,
    "promiseTimeout": instants,
    "promiseTags": tags,
    "promiseParam": values,
    "time": instants,
}


def _data(*, nested: bool) -> st.SearchStrategy[dict[str, Any]]:
    fields = dict(plausible)
    if nested:
        action = st.fixed_dictionaries(
            {
                "kind": st.sampled_from(["promise.create", "promise.settle", "promise.register_callback"]),
                "head": json_values,
                "data": _data(nested=False),
            }
        )
        fields |= {"action": action, "actions": st.lists(action, max_size=3)}
    return st.fixed_dictionaries({}, optional=dict(fields))


@pytest.mark.parametrize("debug", [False, True])
@given(
    kind=st.sampled_from(sorted(KINDS)),
    data=_data(nested=True) | json_values,
    head=st.fixed_dictionaries({}, optional={"auth": texts, "resonate:debug_time": instants}),
)
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_data_of_every_kind(debug: bool, kind: str, data: Any, head: dict[str, Any]) -> None:
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
