"""Bounds, the rules between fields, and a fence whose action is refused on its own (D4, D9, D10, D11, D19)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.wire import DEBUG, TARGET_TAG, TinyServer, ask, envelope, refusal, resonate

from resonate_faas._machine import requests as machine
from resonate_faas._machine.objects import PromiseState
from resonate_faas._protocol import ActionEcho
from resonate_faas._requests import DebugTick

BAD_ADDRESSES = [
    "",
    "default",
    "http://evil.example/run",
    "http://localhost:8080",
    "nats://x",
    "poll://any@x",
]


def create(tags: Any = None, **fields: Any) -> dict[str, Any]:
    return {"id": "p", "timeoutAt": 100, "tags": tags or {}, **fields}


def fence(data: dict[str, Any], kind: str = "promise.create", **action: Any) -> dict[str, Any]:
    return {"id": "t", "version": 1, "action": {"kind": kind, "data": data, **action}}


def schedule(tags: dict[str, str], **fields: Any) -> dict[str, Any]:
    return {
        "id": "s",
        "cron": "* * * * *",
        "promiseId": "{{.id}}",
        "promiseTimeout": 1,
        "promiseTags": tags,
        **fields,
    }


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        ({"resonate:delay": "x"}, "resonate:delay must be a non-negative integer"),
        ({"resonate:delay": ""}, "resonate:delay must be a non-negative integer"),
        ({"resonate:delay": "-1"}, "resonate:delay must be a non-negative integer"),
        ({"resonate:delay": "+1"}, "resonate:delay must be a non-negative integer"),
        ({"resonate:delay": " 1"}, "resonate:delay must be a non-negative integer"),
        ({"resonate:delay": "1_0"}, "resonate:delay must be a non-negative integer"),
        ({"resonate:delay": "1.0"}, "resonate:delay must be a non-negative integer"),
        ({"resonate:delay": "\u0663"}, "resonate:delay must be a non-negative integer"),
        ({"resonate:delay": "1\n"}, "resonate:delay must be a non-negative integer"),
        ({"resonate:delay": str(2**63)}, "resonate:delay must be a non-negative integer"),
        ({"resonate:delay": "9" * 2_000}, "resonate:delay must be a non-negative integer"),
        ({"resonate:delay": "100"}, "resonate:delay must be less than timeoutAt"),
        ({"resonate:delay": "100", **TARGET_TAG}, "resonate:delay must be less than timeoutAt"),
        ({"resonate:delay": "99"}, "resonate:delay requires a resonate:target tag"),
        ({"resonate:delay": "x", "resonate:target": "x"}, "resonate:delay must be a non-negative integer"),
        *(({"resonate:target": bad}, "Invalid resonate:target address") for bad in BAD_ADDRESSES),
    ],
)
def test_the_tag_rules_of_a_create(tags: dict[str, str], text: str) -> None:
    assert refusal("promise.create", create(tags)) == text


@pytest.mark.parametrize(
    "tags",
    [
        {"resonate:delay": "99", **TARGET_TAG},
        {"resonate:delay": "0", **TARGET_TAG},
        {"resonate:timer": "true", **TARGET_TAG},
        {"resonate:origin": "a.b"},
        {"resonate:origin": "elsewhere", "resonate:branch": "x", "resonate:parent": "y"},
        {"resonate:prefix": "a.b"},
        {"resonate:branch": ""},
    ],
)
def test_ids_and_lineage_are_neutral_and_a_timer_with_target_is_the_machines(tags: dict[str, str]) -> None:
    assert ask("promise.create", create(tags)).request == machine.PromiseCreate(
        id="p", timeout_at=100, tags=tags
    )


def test_a_task_created_at_once_has_no_delay() -> None:
    def text(tags: dict[str, str]) -> str:
        action = {"kind": "promise.create", "head": {}, "data": create(tags)}
        return refusal("task.create", {"pid": "w", "ttl": 1, "action": action})

    assert text({"resonate:delay": "5", **TARGET_TAG}) == "Action must not have a resonate:delay tag"
    assert text({"resonate:delay": "5"}) == "Action must not have a resonate:delay tag"
    assert text({"resonate:target": "x"}) == "Invalid resonate:target address"


@pytest.mark.parametrize("address", BAD_ADDRESSES[1:])
def test_a_listener_address_must_be_deliverable_and_allowed(address: str) -> None:
    assert refusal("promise.register_listener", {"awaited": "p", "address": address}) == (
        "Invalid listener address"
    )


def test_a_suspend_resumes_the_task_itself_only() -> None:
    actions = [
        {"kind": "promise.register_callback", "head": {}, "data": {"awaited": "a", "awaiter": awaiter}}
        for awaiter in ("t", "u")
    ]
    data = {"id": "t", "version": 1, "actions": actions}
    assert refusal("task.suspend", data) == "All action awaiter IDs must match the task ID"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (schedule({}), "promiseTags must include a resonate:target tag"),
        (schedule({"resonate:delay": "x"}), "promiseTags must include a resonate:target tag"),
        (schedule({"resonate:delay": "x", **TARGET_TAG}), "resonate:delay must be a non-negative integer"),
        (schedule({"resonate:target": "x"}), "Invalid resonate:target address"),
        (
            schedule(TARGET_TAG, promiseId="a\n"),
            "Promise ID template: an id must not hold control characters",
        ),
        (
            schedule(TARGET_TAG, promiseId="a" * 241 + "-{{.timestamp}}"),
            "Promise ID template: a root id must not exceed 256 bytes, this one has 257",
        ),
        (
            schedule(TARGET_TAG, promiseId="{{.id}}" * 30, id="s" * 9),
            "Promise ID template: a root id must not exceed 256 bytes, this one has 270",
        ),
        (schedule(TARGET_TAG, promiseId="a" * 901), "promiseId must not exceed 900 bytes"),
        (schedule(TARGET_TAG, cron="*" * 257), "cron must not exceed 256 bytes"),
        (schedule(TARGET_TAG, zone="z" * 65), "zone must not exceed 64 bytes"),
    ],
)
def test_a_schedule_promises_what_every_occurrence_needs(data: dict[str, Any], text: str) -> None:
    assert refusal("schedule.create", data) == text


def test_a_schedule_has_no_rule_about_dots_and_its_cron_is_looked_at_later() -> None:
    ask("schedule.create", schedule(TARGET_TAG, id="a.b", cron="nonsense"))
    ask("schedule.create", schedule(TARGET_TAG, promiseId="a" * 240 + "-{{.timestamp}}"))


def test_a_tick_and_its_head_agree_on_the_instant() -> None:
    two = resonate(debug_time=5)
    assert ask("debug.tick", {"time": 5}, settings=DEBUG, **two).request == DebugTick(time=5)
    assert refusal("debug.tick", {"time": 6}, settings=DEBUG, **two) == (
        "resonate:debug_time must equal data.time"
    )


@pytest.mark.parametrize("kind", ["promise.create", "promise.settle", "schedule.create"])
def test_a_payload_is_bounded_headers_included(kind: str) -> None:
    def body(value: dict[str, Any]) -> dict[str, Any]:
        if kind == "promise.create":
            return create(param=value)
        if kind == "promise.settle":
            return {"id": "p", "state": "resolved", "value": value}
        return schedule(TARGET_TAG, promiseParam=value)

    name = {"promise.create": "param", "promise.settle": "value", "schedule.create": "promiseParam"}[kind]
    text = f"{name} must not exceed 300000 bytes"
    ask(kind, body({"data": "x" * 300_000}))
    assert refusal(kind, body({"data": "x" * 300_001})) == text
    assert refusal(kind, body({"data": "ä" * 150_001})) == text
    assert refusal(kind, body({"data": "x" * 299_998, "headers": {"ab": "c"}})) == text
    ask(kind, body({"data": "x" * 299_997, "headers": {"ab": "c"}}))


def many(count: int) -> dict[str, str]:
    return {f"k{n}": "" for n in range(count)}


def test_tags_are_bounded() -> None:
    ask("promise.create", create(many(100)))
    assert refusal("promise.create", create(many(101))) == "tags must not hold more than 100 entries"
    ask("promise.create", create({"k" * 256: "v" * 2_048}))
    assert (
        refusal("promise.create", create({"k" * 257: ""})) == "tags: a tag's name must not exceed 256 bytes"
    )
    assert refusal("promise.create", create({"k": "ä" * 1_025})) == "tags: k must not exceed 2048 bytes"
    for tag in ("resonate:origin", "resonate:branch", "resonate:parent"):
        ask("promise.create", create({tag: "v" * 900}))
        assert refusal("promise.create", create({tag: "v" * 901})) == f"tags: {tag} must not exceed 900 bytes"
    heavy = {f"k{n:03}": "v" * 2_044 for n in range(16)}
    ask("promise.create", create(heavy))
    assert refusal("promise.create", create(heavy | {"k": ""})) == "tags must not exceed 32768 bytes"
    assert (
        refusal("schedule.create", schedule(many(101))) == "promiseTags must not hold more than 100 entries"
    )
    assert refusal("promise.search", {"tags": many(101)}) == "tags must not hold more than 100 entries"


def test_headers_are_bounded() -> None:
    ask("promise.create", create(param={"headers": many(100)}))
    assert refusal("promise.create", create(param={"headers": many(101)})) == (
        "headers must not hold more than 100 entries"
    )


def test_lists_are_bounded_before_their_members_are_looked_at() -> None:
    refs = [{"id": f"t{n}", "version": 1} for n in range(1_000)]
    ask("task.heartbeat", {"pid": "w", "tasks": refs})
    assert refusal("task.heartbeat", {"pid": "w", "tasks": [7] * 1_001}) == (
        "tasks must not hold more than 1000 entries"
    )
    actions = [
        {"kind": "promise.register_callback", "head": 0, "data": {"awaited": f"a{n}", "awaiter": "t"}}
        for n in range(1_000)
    ]
    ask("task.suspend", {"id": "t", "version": 1, "actions": actions})
    assert refusal("task.suspend", {"id": "t", "version": 1, "actions": [7] * 1_001}) == (
        "actions must not hold more than 1000 entries"
    )


def test_texts_that_are_stored_are_bounded() -> None:
    assert refusal("task.acquire", {"id": "t", "version": 0, "pid": "w" * 257, "ttl": 1}) == (
        "Process ID must not exceed 256 bytes"
    )
    long = "http://localhost:8080/run?" + "x" * 2_048
    assert refusal("promise.register_listener", {"awaited": "p", "address": long}) == (
        "Address must not exceed 2048 bytes"
    )


def test_the_largest_numbers() -> None:
    assert ask("promise.create", create(timeoutAt=2**63 - 1)).request == machine.PromiseCreate(
        id="p", timeout_at=2**63 - 1
    )
    ask("task.acquire", {"id": "t", "version": 2**63 - 1, "pid": "w", "ttl": 2**62})
    assert refusal("task.acquire", {"id": "t", "version": 0, "pid": "w", "ttl": 2**62 + 1}) == (
        "TTL must be a positive integer"
    )


@pytest.mark.parametrize("kind", ["promise.get", "task.create", "x", ""])
def test_a_fence_does_two_things_only(kind: str) -> None:
    assert refusal("task.fence", fence({}, kind)) == "Invalid fence action kind"


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        ("promise.create", {}, "Promise ID is required; TimeoutAt must be a non-negative integer"),
        ("promise.create", create(id="a\0"), "Promise ID must not contain null bytes"),
        ("promise.create", create(tags=7), "Invalid request: tags must be an object"),
        ("promise.create", create({"resonate:target": "x"}), "Invalid resonate:target address"),
        (
            "promise.settle",
            {"id": "p", "state": "pending"},
            (
                "Invalid request: unknown variant `pending`, expected one of `resolved`, `rejected`, "
                "`rejected_canceled`"
            ),
        ),
    ],
)
def test_a_fence_action_that_breaks_a_rule_is_refused_on_its_own(
    kind: str, data: dict[str, Any], text: str
) -> None:
    decoded = ask("task.fence", fence(data, kind))
    assert decoded.action == ActionEcho(kind=kind, corr_id="c-1", error=text)


@pytest.mark.parametrize("inner_id", ["", None, "invalid", "t\0", 7])
@pytest.mark.parametrize("task_id", ["t", "invalid", "none"])
def test_a_refused_fence_action_settles_nothing_and_reads_no_impossible_key(
    inner_id: object, task_id: str
) -> None:
    data = {**fence({"id": inner_id, "timeoutAt": -1}), "id": task_id}
    request = ask("task.fence", data).request
    assert isinstance(request, machine.TaskFence)
    assert isinstance(request.action, machine.PromiseSettle)
    assert request.action.state is PromiseState.PENDING
    assert request.action.id in {"invalid", "none"}
    assert request.action.id != task_id or inner_id == task_id


@pytest.mark.parametrize(
    ("head", "corr_id"),
    [
        ({"corrId": "i-1"}, "i-1"),
        ({"corrId": 7}, "c-1"),
        ({"corrId": "x" * 1_025}, "c-1"),
        ({}, "c-1"),
        (7, "c-1"),
    ],
)
def test_a_fence_action_is_echoed_with_its_own_corr_id_if_it_has_one(head: object, corr_id: str) -> None:
    decoded = ask("task.fence", fence(create(), head=head))
    assert decoded.action == ActionEcho(kind="promise.create", corr_id=corr_id)


def fenced(data: dict[str, Any], *, version: int = 1, now_ms: int = 10) -> dict[str, Any]:
    """Return the answer to a fence under a task that was created at version 1."""
    server = TinyServer()
    action = {"kind": "promise.create", "head": {}, "data": {**create(TARGET_TAG), "id": "t"}}
    server.post(envelope("task.create", {"pid": "w", "ttl": 50, "action": action}), now_ms=0)
    answer = server.post(envelope("task.fence", {**data, "version": version}), now_ms=now_ms)
    assert "p" not in server.objects
    return answer


def test_an_invalid_inner_request_is_outer_200_inner_400() -> None:
    answer = fenced(fence(create(timeoutAt=-1), head={"corrId": "i-1"}))
    assert answer["head"]["status"] == 200
    assert answer["data"] == {
        "action": {
            "kind": "promise.create",
            "head": {"corrId": "i-1", "status": 400, "version": "2026-04-01"},
            "data": "TimeoutAt must be a non-negative integer",
        },
        "preload": [],
    }


def test_the_guards_of_the_fence_come_before_an_invalid_inner_request() -> None:
    bad = fence(create(timeoutAt=-1))
    assert fenced({**bad, "id": "nosuch"})["head"]["status"] == 404
    assert fenced(bad, version=2)["data"] == "Version mismatch"
    assert fenced(bad, now_ms=100)["head"]["status"] == 409
    own = fenced(fence({"id": "t", "timeoutAt": -1}))
    assert (own["head"]["status"], own["data"]) == (400, "Action ID must not equal the task ID")
