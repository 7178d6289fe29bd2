"""POST /invoke/{function}: what starts, what is found again, and what is refused with nothing stored."""

from __future__ import annotations

from typing import Any

import pytest
from tests.http.site import BASE, Site

from resonate_faas._machine.objects import PromiseObject

YEAR_S = 365 * 86_400


def test_it_answers_202_with_the_id_and_where_to_look() -> None:
    site = Site()
    answer = site.send("POST", "/invoke/add", {"id": "sum", "args": [1], "kwargs": {"right": 4}})
    assert answer.status == 202
    assert answer.json == {
        "id": "sum",
        "state": "pending",
        "url": f"{BASE}/promises/sum",
        "links": {
            "self": f"{BASE}/promises/sum",
            "wait": f"{BASE}/promises/sum?wait=20",
            "cancel": f"{BASE}/promises/sum/cancel",
        },
    }
    assert answer.response.headers["location"] == f"{BASE}/promises/sum"
    site.settle()
    assert site.send("GET", "/promises/sum").json["value"] == 5


def test_without_an_id_each_call_is_an_execution_of_its_own() -> None:
    site = Site()
    first, second = (site.send("POST", "/invoke/add", {"args": [1]}).json["id"] for _ in range(2))
    assert first != second
    assert first.startswith("add-")


def test_an_id_with_reserved_characters_is_escaped_in_its_url() -> None:
    site = Site()
    answer = site.send("POST", "/invoke/add", {"id": "a/b?c#d %é", "args": [1]})
    path = answer.json["url"].removeprefix(BASE)
    assert path == "/promises/a%2Fb%3Fc%23d%20%25%C3%A9"
    assert site.send("GET", path).json["id"] == "a/b?c#d %é"
    assert site.send("POST", f"{path}/cancel").json["state"] == "rejected_canceled"


def test_a_known_id_with_the_same_call_answers_the_same_execution_even_when_it_is_over() -> None:
    site = Site()
    site.invoke("add", 1)
    site.settle()
    again = site.invoke("add", 1)
    assert (again.status, again.json["state"]) == (202, "resolved")


@pytest.mark.parametrize(
    ("function", "body"), [("add", {"args": [2]}), ("add", {"args": [1, 1]}), ("fail", {"args": ["x"]})]
)
def test_a_known_id_with_another_call_is_409_and_changes_nothing(function: str, body: Any) -> None:
    site = Site()
    site.invoke("add", 1)
    before = site.stored()
    answer = site.send("POST", f"/invoke/{function}", {"id": "root", **body})
    assert (answer.status, answer.code) == (409, "invocation-conflict")
    assert site.stored() == before


def test_an_id_that_is_no_execution_is_409() -> None:
    site = Site()
    site.ask("promise.create", {"id": "root", "timeoutAt": site.clock.now_ms() + 1_000})
    assert site.invoke("add", 1).status == 409


def test_delay_and_timeout_are_seconds() -> None:
    site = Site()
    site.send("POST", "/invoke/add", {"id": "late", "args": [1], "delay": 60, "timeout": 0.5})
    found = site.memory.search("promise")[0]
    assert isinstance(found, PromiseObject)
    assert found.promise.timeout_at == site.clock.now_ms() + 60_500
    site.settle(until_ms=site.clock.now_ms() + 59_999)
    assert site.send("GET", "/promises/late").json["state"] == "pending"
    site.settle()
    assert site.send("GET", "/promises/late").json["state"] == "resolved"


REFUSED: list[tuple[str, Any, int, str, str | None]] = [
    ("/invoke/nothing", {}, 404, "1103", None),
    ("/invoke/add", {"args": [1], "version": 9}, 404, "1103", None),
    ("/invoke/add%ff", {"args": [1]}, 404, "1103", None),
    ("/invoke/add", {}, 422, "arguments", "left"),
    ("/invoke/add", {"args": ["one"]}, 422, "arguments", "left"),
    ("/invoke/add", {"args": [True]}, 422, "arguments", "left"),
    ("/invoke/add", {"args": [1, "two"]}, 422, "arguments", "right"),
    ("/invoke/add", {"args": [1, 2, 3]}, 422, "arguments", None),
    ("/invoke/add", {"args": [1], "kwargs": {"wrong": 1}}, 422, "arguments", "wrong"),
    ("/invoke/add", {"args": [1], "kwargs": {"left": 1}}, 422, "arguments", "left"),
    ("/invoke/add", {"arg": [1]}, 422, "invalid-field", "arg"),
    ("/invoke/add", {"args": {"left": 1}}, 422, "invalid-field", "args"),
    ("/invoke/add", {"args": [1] * 1_001}, 422, "invalid-field", "args"),
    ("/invoke/add", {"args": [1], "kwargs": []}, 422, "invalid-field", "kwargs"),
    ("/invoke/add", {"args": [1], "timeout": 0}, 422, "invalid-field", "timeout"),
    ("/invoke/add", {"args": [1], "timeout": "1"}, 422, "invalid-field", "timeout"),
    ("/invoke/add", {"args": [1], "timeout": 11 * YEAR_S}, 422, "invalid-field", "timeout"),
    ("/invoke/add", {"args": [1], "delay": -1}, 422, "invalid-field", "delay"),
    ("/invoke/add", {"args": [1], "delay": 1e300}, 422, "invalid-field", "delay"),
    ("/invoke/add", {"args": [1], "version": -1}, 422, "invalid-field", "version"),
    ("/invoke/add", {"args": [1], "version": 10**30}, 422, "invalid-field", "version"),
    ("/invoke/add", {"args": [1], "id": ""}, 422, "invalid-field", "id"),
    ("/invoke/add", {"args": [1], "id": 7}, 422, "invalid-field", "id"),
    ("/invoke/add", {"args": [1], "id": "a:1"}, 422, "invalid-field", "id"),
    ("/invoke/add", {"args": [1], "id": "a\n"}, 422, "invalid-field", "id"),
    ("/invoke/add", {"args": [1], "id": "x" * 257}, 422, "invalid-field", "id"),
    ("/invoke/add", [1], 422, "invalid-field", "body"),
    ("/invoke/add", None, 400, "malformed-body", None),
    ("/invoke/fail", {"args": ["x" * 800_000]}, 202, "", None),
]


@pytest.mark.parametrize(("path", "body", "status", "code", "field"), REFUSED)
def test_what_does_not_fit_is_refused_by_name_and_nothing_is_stored(
    path: str, body: Any, status: int, code: str, field: str | None
) -> None:
    site = Site()
    answer = site.send("POST", path, body)
    assert answer.status == status
    if status >= 400:
        assert answer.code == code
        assert answer.json.get("field") == field
        assert site.stored() == [0]


def test_arguments_too_large_to_record_are_422_and_nothing_is_stored() -> None:
    site = Site()
    noise = "".join(chr(0x4E00 + (number * 7919) % 20_000) for number in range(150_000))
    answer = site.send("POST", "/invoke/fail", raw=('{"args":["' + noise + '"]}').encode())
    assert (answer.status, answer.code) == (422, "encoding")
    assert "300000" in answer.json["detail"]
    assert site.stored() == [0]
