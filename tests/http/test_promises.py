"""GET /promises/{id}: what is told of a promise, and when."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from tests.http.site import Site

from resonate_faas import StoreUnavailableError


def test_a_resolved_execution_shows_its_value_and_times() -> None:
    site = Site()
    start = site.clock.now_ms()
    site.invoke("add", 1)
    site.settle()
    assert site.send("GET", "/promises/root").json == {
        "id": "root",
        "state": "resolved",
        "value": 2,
        "tags": {
            "resonate:scope": "global",
            "resonate:target": "local://default",
            "resonate:origin": "root",
            "resonate:branch": "root",
            "resonate:parent": "root",
        },
        "createdAt": start,
        "timeoutAt": start + 86_400_000,
        "settledAt": start,
        "task": {"state": "fulfilled", "version": 1},
    }


def test_a_pending_execution_shows_what_its_task_does() -> None:
    site = Site()
    site.invoke("approve")
    task = site.send("GET", "/promises/root").json["task"]
    assert task == {"state": "pending", "version": 0, "nextDispatchAt": site.clock.now_ms() + 5_000}
    site.settle(until_ms=site.clock.now_ms())
    found = site.send("GET", "/promises/root").json
    assert found["task"] == {"state": "suspended", "version": 1}
    assert "value" not in found
    assert "error" not in found


def test_a_failed_execution_shows_the_error_by_name_and_message() -> None:
    site = Site()
    site.invoke("fail", "out of stock")
    site.settle()
    found = site.send("GET", "/promises/root").json
    assert found["state"] == "rejected"
    assert found["error"] == {"code": "application", "name": "OrderError", "message": "out of stock"}


def test_a_deadline_and_a_cancellation_have_codes_of_their_own() -> None:
    site = Site()
    site.send("POST", "/invoke/approve", {"id": "late", "timeout": 1})
    site.clock.advance(1_000)
    found = site.send("GET", "/promises/late").json
    assert (found["state"], found["error"]["code"]) == ("rejected_timedout", "timeout")
    site.invoke("approve")
    site.send("POST", "/promises/root/cancel")
    found = site.send("GET", "/promises/root").json
    assert (found["state"], found["error"]["code"]) == ("rejected_canceled", "canceled")


def test_a_halted_task_shows_its_reason() -> None:
    site = Site()
    data = base64.b64encode(b'{"func":"gone"}').decode()
    create = {
        "id": "root",
        "timeoutAt": site.clock.now_ms() + 10**9,
        "param": {"data": data},
        "tags": {"resonate:target": "local://default"},
    }
    site.ask("promise.create", create)
    site.settle()
    found = site.send("GET", "/promises/root").json
    assert found["task"]["state"] == "halted"
    assert "function 'gone' (version 1) is not registered" in found["reason"]


@pytest.mark.parametrize("data", ["not base64!", base64.b64encode(b"{").decode()])
@pytest.mark.parametrize("state", ["resolved", "rejected"])
def test_a_record_that_cannot_be_read_is_shown_as_it_is(data: str, state: str) -> None:
    site = Site()
    site.ask("promise.create", {"id": "root", "timeoutAt": site.clock.now_ms() + 1_000})
    site.ask("promise.settle", {"id": "root", "state": state, "value": {"data": data}})
    answer = site.send("GET", "/promises/root")
    assert answer.status == 200
    assert answer.json["raw"] == {"data": data}
    assert answer.json["undecodable"]


def test_an_infinity_is_valid_json_all_the_same() -> None:
    site = Site()
    site.invoke("infinite")
    site.settle()

    def refuse(text: str) -> Any:
        raise AssertionError(f"{text} is no JSON")

    body = site.send("GET", "/promises/root").response.body
    assert json.loads(body, parse_constant=refuse)["value"] == "Infinity"


@pytest.mark.parametrize(
    "path", ["/promises/root", "/promises/%ff", "/promises/%00", "/promises/" + "x" * 901]
)
def test_an_unknown_id_is_404(path: str) -> None:
    answer = Site().send("GET", path)
    assert (answer.status, answer.code) == (404, "promise-not-found")


@pytest.mark.parametrize(
    "wait", ["", "x", "-1", "21", "20.001", "1e2", "nan", "inf", "\u0661", "1_0", "100000000"]
)
def test_a_wait_that_is_no_number_from_0_to_20_is_422(wait: str) -> None:
    answer = Site().send("GET", "/promises/root", query=f"wait={wait}")
    assert (answer.status, answer.code, answer.json["field"]) == (422, "invalid-field", "wait")


@pytest.mark.parametrize("query", ["&".join(f"a{number}=1" for number in range(17)), "a=%ff"])
def test_a_query_that_is_too_long_or_not_utf8_is_422(query: str) -> None:
    answer = Site().send("GET", "/promises/root", query=query)
    assert (answer.status, answer.json["field"]) == (422, "query")


@pytest.mark.parametrize(
    ("wait", "passes_ms"), [("0", 0), ("20", 20_000), ("1.5", 1_500), ("2.00049", 2_000), ("5e-1", 500)]
)
def test_a_wait_ends_after_its_seconds_with_the_promise_as_it_stands(wait: str, passes_ms: int) -> None:
    site = Site()
    site.invoke("approve")
    before = site.clock.monotonic_ms()
    answer = site.send("GET", "/promises/root", query=f"wait={wait}")
    assert answer.json["state"] == "pending"
    assert passes_ms <= site.clock.monotonic_ms() - before < passes_ms + 250


def test_a_wait_for_a_settled_promise_or_an_unknown_one_does_not_wait() -> None:
    site = Site()
    site.invoke("add", 1)
    site.settle()
    before = site.clock.monotonic_ms()
    assert site.send("GET", "/promises/root", query="wait=20").json["state"] == "resolved"
    assert site.send("GET", "/promises/other", query="wait=20").status == 404
    assert site.clock.monotonic_ms() == before


def test_a_process_that_ends_lets_the_waiting_go() -> None:
    site = Site()
    site.invoke("approve")
    site.node.server.quiesce()
    before = site.clock.monotonic_ms()
    assert site.send("GET", "/promises/root", query="wait=20").json["state"] == "pending"
    assert site.clock.monotonic_ms() == before


def test_a_read_that_meets_a_broken_store_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()

    def broken(*_: object, **__: object) -> Any:
        raise StoreUnavailableError("read", "the disk is on fire")

    monkeypatch.setattr(site.memory, "read", broken)
    answer = site.send("GET", "/promises/root")
    assert (answer.status, answer.code) == (503, "store-unavailable")
    assert "fire" not in answer.response.body.decode()
