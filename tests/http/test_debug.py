"""The debug surface: time and delivery by hand, only in debug mode, only by right."""

from __future__ import annotations

from typing import Any

import pytest
from tests.http.site import VERSION, Site, Visitor

from resonate_faas._http import Right

KINDS = ["debug.start", "debug.stop", "debug.reset", "debug.tick", "debug.snap"]
TARGET = {"resonate:target": "local://default"}


def _data(kind: str) -> dict[str, Any]:
    return {"time": 0} if kind == "debug.tick" else {}


@pytest.mark.parametrize("kind", KINDS)
def test_outside_debug_mode_every_operation_is_403(kind: str) -> None:
    site = Site()
    answer = site.ask(kind, _data(kind))
    assert (answer["head"]["status"], answer["data"]) == (403, "Debug operations are disabled")


@pytest.mark.parametrize("kind", KINDS)
def test_debug_mode_does_not_replace_the_right(kind: str) -> None:
    site = Site(debug=True, access=Visitor(set(Right) - {Right.DEBUG}))
    site.invoke("add", 1)
    before = site.stored()
    assert site.ask(kind, _data(kind))["head"]["status"] == 403
    assert site.stored() == before


def test_another_time_needs_the_right_too() -> None:
    site = Site(debug=True, access=Visitor(set(Right) - {Right.DEBUG}))
    head = {"resonate:debug_time": 5}
    assert site.ask("promise.get", {"id": "x"}, **head)["head"]["status"] == 403


@pytest.mark.parametrize(("debug", "created_at"), [(True, 5), (False, 1_700_000_000_000)])
def test_another_time_is_honoured_in_debug_mode_alone(debug: bool, created_at: int) -> None:
    site = Site(debug=debug)
    data = {"id": "x", "timeoutAt": 10**13}
    found = site.ask("promise.create", data, **{"resonate:debug_time": 5})
    assert found["data"]["promise"]["createdAt"] == created_at
    listed = site.ask("promise.search", {}, **{"resonate:debug_time": 10**13})["data"]["promises"]
    assert listed[0]["state"] == ("rejected_timedout" if debug else "pending")


def test_while_held_messages_collect_in_the_outbox_and_nothing_is_delivered() -> None:
    site = Site(debug=True)
    site.ask("debug.start", {})
    site.invoke("add", 1)
    site.settle()
    snap = site.ask("debug.snap", {})["data"]
    execute = {"kind": "execute", "head": {}, "data": {"task": {"id": "root", "version": 0}}}
    assert snap["messages"] == [{"address": "local://default", "message": execute}]
    assert snap["tasks"][0]["state"] == "pending"
    assert site.ask("debug.stop", {})["data"] == {}
    site.settle()
    assert site.send("GET", "/promises/root").json["value"] == 2
    assert site.ask("debug.snap", {})["data"]["messages"] == []


def test_a_message_on_its_way_when_the_holding_begins_is_kept_and_comes_later() -> None:
    site = Site(debug=True)
    site.invoke("add", 1)
    (message,) = [message for message in site.queue.pop_due(site.clock.now_ms()) if message]
    site.ask("debug.start", {})
    assert site.held.keep(message)
    site.ask("debug.stop", {})
    assert message in site.queue.held()


def test_a_tick_runs_every_step_that_is_due_at_its_instant_and_no_other() -> None:
    site = Site(debug=True)
    site.ask("debug.start", {})
    at = {"resonate:debug_time": 1_000}
    site.ask("promise.create", {"id": "waits", "timeoutAt": 10**6, "tags": TARGET}, **at)
    site.ask(
        "promise.create", {"id": "ends", "timeoutAt": 2_000, "tags": {"resonate:external": "true"}}, **at
    )
    site.ask("task.acquire", {"id": "waits", "version": 0, "pid": "p", "ttl": 5_000}, **at)
    register = {
        "kind": "promise.register_callback",
        "head": {},
        "data": {"awaited": "ends", "awaiter": "waits"},
    }
    site.ask("task.suspend", {"id": "waits", "version": 1, "actions": [register]}, **at)
    assert site.ask("debug.tick", {"time": 1_999})["data"] == []
    assert site.ask("debug.snap", {})["data"]["promiseTimeouts"][0] == {"id": "ends", "timeout": 2_000}
    site.ask("debug.tick", {"time": 2_000})
    snap = site.ask("debug.snap", {})["data"]
    states = {promise["id"]: promise["state"] for promise in snap["promises"]}
    assert states == {"ends": "rejected_timedout", "waits": "pending"}
    assert snap["callbacks"] == []
    assert (snap["tasks"][0]["state"], snap["tasks"][0]["resumes"]) == ("pending", 1)
    assert snap["messages"][0]["message"]["data"] == {"task": {"id": "waits", "version": 1}}


def test_a_tick_ends_a_lease_and_dispatches_again() -> None:
    site = Site(debug=True)
    site.ask("debug.start", {})
    at = {"resonate:debug_time": 0}
    site.ask("promise.create", {"id": "t", "timeoutAt": 10**6, "tags": TARGET}, **at)
    site.ask("task.acquire", {"id": "t", "version": 0, "pid": "p", "ttl": 1_000}, **at)
    assert site.ask("debug.snap", {})["data"]["taskTimeouts"] == [{"id": "t", "type": 1, "timeout": 1_000}]
    site.ask("debug.tick", {"time": 1_000})
    snap = site.ask("debug.snap", {})["data"]
    assert snap["taskTimeouts"] == [{"id": "t", "type": 0, "timeout": 6_000}]
    assert snap["messages"][0]["message"]["data"] == {"task": {"id": "t", "version": 1}}


def test_a_tick_fires_every_missed_occurrence_of_a_schedule() -> None:
    site = Site(debug=True)
    site.ask("debug.start", {})
    data = {
        "id": "s",
        "cron": "* * * * *",
        "promiseId": "{{.id}}-{{.timestamp}}",
        "promiseTimeout": 10**9,
        "promiseTags": TARGET,
    }
    site.ask("schedule.create", data, **{"resonate:debug_time": 0})
    site.ask("debug.tick", {"time": 150 * 60_000})
    assert len(site.memory.search("promise", limit=1_000)) == 150


def test_a_tick_outside_a_holding_delivers_what_came_of_it_afterwards() -> None:
    site = Site(debug=True)
    data = {"id": "t", "timeoutAt": 10**15, "tags": {**TARGET, "resonate:delay": "1700000005000"}}
    site.ask("promise.create", data)
    site.queue.pop_due(10**15)
    site.ask("debug.tick", {"time": 1_700_000_005_000})
    assert len(site.queue) == 1
    assert site.ask("debug.snap", {})["data"]["messages"] == []


def test_a_tick_whose_head_says_another_time_is_400() -> None:
    site = Site(debug=True)
    answer = site.ask("debug.tick", {"time": 5}, **{"resonate:debug_time": 6})
    assert (answer["head"]["status"], answer["data"]) == (400, "resonate:debug_time must equal data.time")


def test_a_reset_deletes_everything() -> None:
    site = Site(debug=True)
    site.ask("debug.start", {})
    for number in range(120):
        site.invoke("add", number, id=f"e{number}")
    data = {"id": "s", "cron": "* * * * *", "promiseId": "p", "promiseTimeout": 1, "promiseTags": TARGET}
    site.ask("schedule.create", data)
    site.ask("debug.reset", {})
    snap = site.ask("debug.snap", {})["data"]
    assert all(entries == [] for entries in snap.values())
    assert site.ask("schedule.get", {"id": "s"})["head"]["status"] == 404
    assert site.stored() == [0]


def test_a_listener_is_told_once_the_holding_ends() -> None:
    site = Site(debug=True)
    site.ask("debug.start", {})
    data = {"id": "x", "timeoutAt": 10**15, "tags": {"resonate:external": "true"}}
    site.ask("promise.create", data)
    site.ask("promise.register_listener", {"awaited": "x", "address": "http://localhost:8080"})
    site.ask("promise.settle", {"id": "x", "state": "resolved", "value": {}})
    (message,) = site.ask("debug.snap", {})["data"]["messages"]
    assert (message["address"], message["message"]["kind"]) == ("http://localhost:8080", "unblock")
    site.ask("debug.stop", {})
    assert [type(kept).__name__ for kept in site.queue.held()] == ["Unblock"]


def test_the_newest_execute_of_a_task_is_the_one_that_is_kept() -> None:
    site = Site(debug=True)
    site.ask("debug.start", {})
    site.ask("promise.create", {"id": "t", "timeoutAt": 10**15, "tags": TARGET})
    site.ask("task.acquire", {"id": "t", "version": 0, "pid": "p", "ttl": 1_000})
    site.ask("task.release", {"id": "t", "version": 1})
    (message,) = site.ask("debug.snap", {})["data"]["messages"]
    assert message["message"]["data"]["task"] == {"id": "t", "version": 1}
    assert site.ask("debug.snap", {})["head"]["version"] == VERSION
