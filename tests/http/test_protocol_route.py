"""POST /: the protocol over the routes, who may ask it, and messages pushed to this worker."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from tests.http.site import VERSION, Site, Visitor

from resonate_faas._http import Right, decode_queued, encode_queued
from resonate_faas._machine.objects import Execute, Poke, schedule_key
from resonate_faas.testing import Fault, FaultyStore, MemoryStore

LATER = 10**9
TAGS = {"resonate:target": "local://default", "resonate:branch": "b", "resonate:origin": "b"}


def envelope(kind: str, data: Any, **head: Any) -> dict[str, Any]:
    return {"kind": kind, "head": {"corrId": "c-1", "version": VERSION, **head}, "data": data}


def create(site: Site, promise_id: str, **tags: str) -> Any:
    data = {"id": promise_id, "timeoutAt": site.clock.now_ms() + LATER, "tags": tags}
    return site.ask("promise.create", data)


def test_an_answer_echoes_kind_and_corr_id_and_repeats_the_status_on_http() -> None:
    site = Site()
    answer = site.send("POST", "/", envelope("promise.get", {"id": "x"}))
    assert answer.status == 404
    assert answer.response.headers["content-type"] == "application/json"
    assert answer.json == {
        "kind": "promise.get",
        "head": {"corrId": "c-1", "status": 404, "version": VERSION},
        "data": "Promise not found",
    }


def test_a_worker_of_another_kind_runs_a_task_from_end_to_end() -> None:
    site = Site()
    create(site, "b", **TAGS)
    create(site, "b.1", **{"resonate:branch": "b"})
    taken = site.ask("task.acquire", {"id": "b", "version": 0, "pid": "p", "ttl": 60_000})["data"]
    assert taken["task"]["version"] == 1
    assert [promise["id"] for promise in taken["preload"]] == ["b.1"]
    action = {"kind": "promise.settle", "head": {}, "data": {"id": "b", "state": "resolved", "value": {}}}
    done = site.ask("task.fulfill", {"id": "b", "version": 1, "action": action})
    assert done["data"]["promise"]["state"] == "resolved"


def test_a_redirected_suspend_brings_the_siblings() -> None:
    site = Site()
    create(site, "b", **TAGS)
    create(site, "b.1", **{"resonate:branch": "b", "resonate:external": "true"})
    site.ask("task.acquire", {"id": "b", "version": 0, "pid": "p", "ttl": 60_000})
    site.ask("promise.settle", {"id": "b.1", "state": "resolved", "value": {}})
    register = {"kind": "promise.register_callback", "head": {}, "data": {"awaited": "b.1", "awaiter": "b"}}
    answer = site.send(
        "POST", "/", envelope("task.suspend", {"id": "b", "version": 1, "actions": [register]})
    )
    assert answer.status == 300
    assert [promise["id"] for promise in answer.json["data"]["preload"]] == ["b.1"]


def test_task_create_and_fence_answer_with_their_records() -> None:
    site = Site()
    inner = {"id": "b", "timeoutAt": site.clock.now_ms() + LATER, "tags": TAGS}
    action = {"kind": "promise.create", "head": {}, "data": inner}
    held = site.ask("task.create", {"pid": "p", "ttl": 60_000, "action": action})["data"]
    assert (held["task"]["state"], held["promise"]["id"], held["preload"]) == ("acquired", "b", [])
    child = {"kind": "promise.create", "head": {}, "data": {"id": "b.1", "timeoutAt": LATER * 10**4}}
    fenced = site.ask("task.fence", {"id": "b", "version": 1, "action": child})["data"]
    assert fenced["action"]["data"]["promise"]["id"] == "b.1"
    assert fenced["preload"] == []


@pytest.mark.parametrize("kind", ["promise", "task", "schedule"])
def test_a_search_is_paged_by_a_cursor_that_is_there_only_if_more_follows(kind: str) -> None:
    site = Site()
    for name in "abcd":
        if kind == "schedule":
            data = {
                "id": name,
                "cron": "0 9 * * *",
                "promiseId": "p",
                "promiseTimeout": 1,
                "promiseTags": TAGS,
            }
            site.ask("schedule.create", data)
        else:
            create(site, name, **TAGS)
    first = site.ask(f"{kind}.search", {"limit": 2})["data"]
    assert [found["id"] for found in first[f"{kind}s"]] == ["a", "b"]
    second = site.ask(f"{kind}.search", {"limit": 2, "cursor": first["cursor"]})["data"]
    assert [found["id"] for found in second[f"{kind}s"]] == ["c", "d"]
    assert "cursor" not in second
    assert "cursor" not in site.ask(f"{kind}.search", {"limit": 1_000})["data"]


def test_a_search_filters_by_stored_state_and_by_tags() -> None:
    site = Site()
    create(site, "a", colour="red")
    create(site, "b", colour="blue")
    site.ask("promise.settle", {"id": "b", "state": "resolved", "value": {}})
    assert [p["id"] for p in site.ask("promise.search", {"state": "resolved"})["data"]["promises"]] == ["b"]
    assert [p["id"] for p in site.ask("promise.search", {"tags": {"colour": "red"}})["data"]["promises"]] == [
        "a"
    ]
    create(site, "t", **TAGS)
    assert [t["id"] for t in site.ask("task.search", {"state": "pending"})["data"]["tasks"]] == ["t"]
    assert site.ask("task.search", {"state": "halted"})["data"]["tasks"] == []


def test_a_schedule_is_created_with_its_next_instant_in_its_zone_and_fires() -> None:
    site = Site()  # its clock starts on 2023-11-14 at 22:13:20 UTC
    data = {
        "id": "nightly",
        "cron": "30 6 * * *",
        "zone": "Asia/Tokyo",
        "promiseId": "{{.id}}-{{.timestamp}}",
        "promiseTimeout": LATER,
        "promiseTags": TAGS,
    }
    found = site.ask("schedule.create", data)["data"]["schedule"]
    assert found["nextRunAt"] == 1_700_083_800_000  # 2023-11-15 21:30 UTC, 06:30 the next day in Tokyo
    assert found["zone"] == "Asia/Tokyo"
    site.clock.advance_to(found["nextRunAt"])
    site.send("POST", "/tick")
    site.settle(until_ms=site.clock.now_ms())
    assert site.ask("promise.get", {"id": f"nightly-{found['nextRunAt']}"})["head"]["status"] == 200


@pytest.mark.parametrize(
    ("cron", "zone"),
    [
        ("* * *", "UTC"),
        ("61 * * * *", "UTC"),
        ("* * * * * *", "UTC"),
        ("* * * * *", "Mars/Base"),
        ("0 0 30 2 *", "UTC"),
    ],
)
def test_a_schedule_that_cannot_fire_is_400_and_not_stored(cron: str, zone: str) -> None:
    site = Site()
    data = {
        "id": "s",
        "cron": cron,
        "zone": zone,
        "promiseId": "p",
        "promiseTimeout": 1,
        "promiseTags": TAGS,
    }
    answer = site.send("POST", "/", envelope("schedule.create", data))
    assert answer.status == 400
    assert answer.json["data"].startswith("Invalid cron expression")
    assert site.stored() == [0]


@pytest.mark.parametrize("raw", [b"{", b"[]", b'"{}"', b"1", b"null", b"\xff", b""])
def test_what_is_no_envelope_is_400_in_an_envelope(raw: bytes) -> None:
    answer = Site().send("POST", "/", raw=raw)
    assert answer.status == 400
    assert answer.json["head"] == {"corrId": "0", "status": 400, "version": VERSION}
    assert answer.json["data"].startswith("Invalid request envelope")


@pytest.mark.parametrize("kind", [{}, [], 1, None, ""])
def test_a_kind_that_is_no_text_is_400(kind: Any) -> None:
    answer = Site().send("POST", "/", envelope(kind, {}))
    assert (answer.status, answer.json["kind"]) == (400, "unknown")


def test_a_foreign_address_is_refused() -> None:
    site = Site()
    data = {"id": "x", "timeoutAt": LATER * 10**4, "tags": {"resonate:target": "http://169.254.169.254/"}}
    answer = site.send("POST", "/", envelope("promise.create", data))
    assert (answer.status, answer.json["data"]) == (400, "Invalid resonate:target address")
    assert site.stored() == [0]


@pytest.mark.parametrize("place", ["header", "head"])
def test_the_token_is_taken_from_the_header_or_from_the_head(place: str) -> None:
    site = Site(access=Visitor(token="secret"))
    headers = {"content-type": "application/json"}
    head = {}
    if place == "header":
        headers["authorization"] = "Bearer secret"
    else:
        head = {"auth": "secret"}
    answer = site.send("POST", "/", envelope("promise.get", {"id": "x"}, **head), headers=headers)
    assert answer.json["data"] == "Promise not found"


@pytest.mark.parametrize("token", ["wrong", ""])
def test_a_wrong_token_in_the_head_is_401_and_nothing_is_done(token: str) -> None:
    site = Site(access=Visitor(token="secret"))
    data = {"id": "x", "timeoutAt": LATER * 10**4}
    answer = site.send("POST", "/", envelope("promise.create", data, auth=token))
    assert answer.status == 401
    if token:
        assert (answer.json["data"], answer.json["head"]["corrId"]) == ("Unauthorized", "c-1")
    assert site.stored() == [0]


def test_the_right_to_deliver_is_no_right_to_ask() -> None:
    site = Site(access=Visitor([Right.DELIVER]))
    answer = site.send("POST", "/", envelope("promise.create", {"id": "x", "timeoutAt": LATER * 10**4}))
    assert (answer.status, answer.json["data"]) == (403, "Forbidden")
    assert site.stored() == [0]


EXECUTE = {"kind": "execute", "head": {}, "data": {"task": {"id": "root", "version": 0}}}


def test_the_right_to_ask_is_no_right_to_deliver() -> None:
    site = Site(access=Visitor([Right.PROTOCOL, Right.INVOKE]))
    site.invoke("add", 1)
    answer = site.send("POST", "/", EXECUTE)
    assert (answer.status, answer.code) == (403, "access-denied")
    found = site.node.client.get("root")
    assert found is not None
    assert found.promise.state.value == "pending"


def test_a_pushed_execute_runs_an_activation() -> None:
    site = Site()
    site.invoke("add", 1)
    assert site.send("POST", "/", EXECUTE).json == {"status": "completed"}
    assert site.send("GET", "/promises/root").json["value"] == 2
    assert site.send("POST", "/", EXECUTE).json == {"status": "suspended"}  # a duplicate is acknowledged


def test_a_pushed_execute_that_waits_says_suspended() -> None:
    site = Site()
    site.invoke("approve")
    assert site.send("POST", "/", EXECUTE).json == {"status": "suspended"}


def test_a_pushed_execute_of_an_unknown_task_is_acknowledged() -> None:
    answer = Site().send("POST", "/", EXECUTE)
    assert (answer.status, answer.json) == (200, {"status": "suspended"})


def test_a_pushed_poke_fires_what_is_due() -> None:
    site = Site()
    site.invoke("approve")
    site.settle(until_ms=site.clock.now_ms())
    site.clock.advance(3_600_000)
    answer = site.send("POST", "/", encode_queued(Poke(id="root:1", not_before=0)))
    assert answer.status == 200
    found = site.memory.read(("root:1",))["root:1"].object
    assert found is not None
    assert found.promise.state.value == "rejected_timedout"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "execute"},
        {"kind": "execute", "head": {}, "data": {"task": {"id": "", "version": 0}}},
        {"kind": "execute", "head": {}, "data": {"task": {"id": "a", "version": "0"}}},
        {"kind": "poke"},
        {"kind": "poke", "data": {"id": "a\n"}},
        {"kind": "poke", "data": {"id": 1}},
        {"kind": "poke", "data": {"id": "a", "notBefore": -1}},
        {"kind": "poke", "data": {"id": "a", "notBefore": True}},
        {"kind": "poke", "data": {"id": "a", "notBefore": 2**63}},
    ],
)
def test_a_malformed_message_is_422(body: Any) -> None:
    answer = Site().send("POST", "/", body)
    assert (answer.status, answer.code) == (422, "invalid-field")


@pytest.mark.parametrize("key", ["a", "a:1r.2", schedule_key("nightly"), "x" * 256])
def test_messages_survive_their_travel(key: str) -> None:
    poke = Poke(id=key, not_before=1_700_000_000_000)
    assert decode_queued(encode_queued(poke)) == poke
    if key == "a":
        execute = Execute(id=key, version=3, target="")
        assert decode_queued(encode_queued(execute)) == execute


def test_an_activation_that_meets_a_broken_store_is_503_so_that_the_queue_sends_again() -> None:
    store = FaultyStore(MemoryStore(), dict.fromkeys(range(2, 99), Fault.UNAVAILABLE))
    site = Site(store=store)
    assert site.invoke("add", 1).status == 202
    answer = site.send("POST", "/", EXECUTE)
    assert (answer.status, answer.code) == (503, "store-unavailable")


def test_a_request_that_meets_a_broken_store_is_500_and_tells_its_code() -> None:
    site = Site(store=FaultyStore(MemoryStore(), dict.fromkeys(range(1, 99), Fault.UNAVAILABLE)))
    answer = site.send("POST", "/", envelope("promise.create", {"id": "x", "timeoutAt": LATER * 10**4}))
    assert (answer.status, answer.json["data"]) == (500, "Internal error: store-unavailable")
    assert answer.json["head"]["corrId"] == "c-1"


def test_a_bug_is_an_envelope_of_500_and_a_log_entry(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site()

    def broken(*_: Any, **__: Any) -> Any:
        raise KeyError("the secret of the house")

    monkeypatch.setattr(site.node.server, "ask", broken)
    with caplog.at_level(logging.ERROR, logger="resonate_faas.http"):
        answer = site.send("POST", "/", envelope("promise.get", {"id": "x"}))
    assert (answer.status, answer.json["data"]) == (500, "Internal error")
    assert "the secret of the house" in caplog.text
