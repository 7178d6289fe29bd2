"""The text of every broken field rule (protocol section 3.0)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.right import OPTIONAL, RIGHT, altered
from tests.protocol.wire import DEBUG, ask, refusal

from resonate_faas._machine import requests as machine
from resonate_faas._protocol import KINDS

NO_TEXT: list[Any] = ["", None, 7, True, [], {}]
NOT_NATURAL: list[Any] = [-1, None, True, False, 1.0, 1.5, "1", [], 2**63]
NOT_POSITIVE: list[Any] = [0, *NOT_NATURAL]

FIELD_RULES: list[tuple[str, str, list[Any], str]] = [
    # kind, path of the field, wrong values besides its absence, text
    ("promise.get", "id", NO_TEXT, "Promise ID is required"),
    ("promise.create", "id", NO_TEXT, "Promise ID is required"),
    ("promise.settle", "id", NO_TEXT, "Promise ID is required"),
    ("promise.create", "timeoutAt", NOT_NATURAL, "TimeoutAt must be a non-negative integer"),
    ("promise.register_callback", "awaited", NO_TEXT, "Awaited promise ID is required"),
    ("promise.register_callback", "awaiter", NO_TEXT, "Awaiter promise ID is required"),
    ("promise.register_listener", "awaited", NO_TEXT, "Awaited promise ID is required"),
    ("promise.register_listener", "address", NO_TEXT, "Address is required"),
    ("task.get", "id", NO_TEXT, "Task ID is required"),
    ("task.create", "pid", NO_TEXT, "Process ID is required"),
    ("task.create", "ttl", NOT_POSITIVE, "TTL must be a positive integer"),
    ("task.create", "action.data.id", NO_TEXT, "Promise ID is required"),
    ("task.create", "action.data.timeoutAt", NOT_NATURAL, "TimeoutAt must be a non-negative integer"),
    ("task.acquire", "id", NO_TEXT, "Task ID is required"),
    ("task.acquire", "version", NOT_NATURAL, "Version must be a non-negative integer"),
    ("task.acquire", "pid", NO_TEXT, "Process ID is required"),
    ("task.acquire", "ttl", NOT_POSITIVE, "TTL must be a positive integer"),
    ("task.fence", "id", NO_TEXT, "Task ID is required"),
    ("task.fence", "version", NOT_NATURAL, "Version must be a non-negative integer"),
    ("task.heartbeat", "pid", NO_TEXT, "Process ID is required"),
    ("task.heartbeat", "tasks.1.id", NO_TEXT, "Task ID is required"),
    ("task.heartbeat", "tasks.1.version", NOT_NATURAL, "Version must be a non-negative integer"),
    ("task.suspend", "id", NO_TEXT, "Task ID is required"),
    ("task.suspend", "version", NOT_NATURAL, "Version must be a non-negative integer"),
    ("task.suspend", "actions.0.data.awaited", NO_TEXT, "Awaited promise ID is required"),
    ("task.suspend", "actions.0.data.awaiter", NO_TEXT, "Awaiter promise ID is required"),
    ("task.fulfill", "id", NO_TEXT, "Task ID is required"),
    ("task.fulfill", "version", NOT_NATURAL, "Version must be a non-negative integer"),
    ("task.fulfill", "action.data.id", NO_TEXT, "Promise ID is required"),
    ("task.release", "id", NO_TEXT, "Task ID is required"),
    ("task.release", "version", NOT_NATURAL, "Version must be a non-negative integer"),
    ("task.halt", "id", NO_TEXT, "Task ID is required"),
    ("task.continue", "id", NO_TEXT, "Task ID is required"),
    ("schedule.get", "id", NO_TEXT, "Schedule ID is required"),
    ("schedule.create", "id", NO_TEXT, "Schedule ID is required"),
    ("schedule.create", "cron", NO_TEXT, "Cron expression is required"),
    ("schedule.create", "promiseId", NO_TEXT, "Promise ID template is required"),
    (
        "schedule.create",
        "promiseTimeout",
        [*NOT_NATURAL, 2**62 + 1],
        "Promise timeout must be a non-negative integer",
    ),
    ("schedule.delete", "id", NO_TEXT, "Schedule ID is required"),
    (
        "debug.tick",
        "time",
        [*NOT_NATURAL, 253_402_300_800_000],
        "Missing or invalid 'time' field",
    ),
]


@pytest.mark.parametrize(
    ("kind", "path", "wrong", "text"), FIELD_RULES, ids=[f"{r[0]} {r[1]}" for r in FIELD_RULES]
)
def test_a_field_rule_has_one_text_for_absent_null_and_wrong(
    kind: str, path: str, wrong: list[Any], text: str
) -> None:
    assert refusal(kind, altered(kind, path), settings=DEBUG) == text
    for value in wrong:
        assert refusal(kind, altered(kind, path, value), settings=DEBUG) == text, value


def test_every_required_field_of_every_kind_has_a_field_rule() -> None:
    covered = {(kind, path.split(".")[0]) for kind, path, _, _ in FIELD_RULES}
    shapes = {
        ("promise.settle", "state"),
        ("task.fence", "action"),
        ("schedule.create", "promiseTags"),
    }
    required = {
        (kind, field)
        for kind, (data, _) in RIGHT.items()
        for field in data
        if field not in OPTIONAL.get(kind, ())
    }
    assert covered | shapes == required


IDS = [
    ("promise.get", "id", "Promise ID"),
    ("promise.create", "id", "Promise ID"),
    ("promise.settle", "id", "Promise ID"),
    ("promise.register_callback", "awaited", "Awaited promise ID"),
    ("promise.register_callback", "awaiter", "Awaiter promise ID"),
    ("promise.register_listener", "awaited", "Awaited promise ID"),
    ("task.get", "id", "Task ID"),
    ("task.acquire", "id", "Task ID"),
    ("task.create", "action.data.id", "Promise ID"),
    ("task.heartbeat", "tasks.0.id", "Task ID"),
    ("task.suspend", "actions.0.data.awaited", "Awaited promise ID"),
    ("task.fulfill", "action.data.id", "Promise ID"),
    ("task.halt", "id", "Task ID"),
    ("schedule.get", "id", "Schedule ID"),
    ("schedule.create", "id", "Schedule ID"),
    ("schedule.delete", "id", "Schedule ID"),
]


@pytest.mark.parametrize(("kind", "path", "noun"), IDS)
def test_an_id_is_one_that_every_store_can_hold(kind: str, path: str, noun: str) -> None:
    def text(value: str) -> str:
        return refusal(kind, altered(kind, path, value))

    assert text("a\0b") == f"{noun} must not contain null bytes"
    assert text("a\x1fb") == f"{noun}: an id must not hold control characters"
    assert text("\x1fschedule:s") == f"{noun}: an id must not hold control characters"
    assert text("a" * 257) == f"{noun}: a root id must not exceed 256 bytes, this one has 257"
    assert text("ä" * 129) == f"{noun}: a root id must not exceed 256 bytes, this one has 258"
    assert text("a:" + "b" * 899) == f"{noun}: an id must not exceed 900 bytes, this one has 901"


@pytest.mark.parametrize(
    "promise_id", ["a" * 256, "a:" + "b" * 898, "a.b", "a/b c?#", "order-17:2r.1", "日本"]
)
def test_ids_are_otherwise_free(promise_id: str) -> None:
    assert ask("promise.get", {"id": promise_id}).request == machine.PromiseGet(id=promise_id)


def test_messages_are_joined_in_field_order() -> None:
    assert refusal("task.acquire", {}) == (
        "Task ID is required; Version must be a non-negative integer; Process ID is required; "
        "TTL must be a positive integer"
    )
    assert refusal("promise.create", {"id": ""}) == (
        "Promise ID is required; TimeoutAt must be a non-negative integer"
    )


def test_a_repeated_message_is_said_once() -> None:
    assert refusal("task.heartbeat", {"pid": "w", "tasks": [{}, {}, {}]}) == (
        "Task ID is required; Version must be a non-negative integer"
    )


def test_at_most_ten_messages_are_said() -> None:
    tags = {f"k{n}": n for n in range(13)}
    text = refusal("promise.create", {"id": "p", "timeoutAt": 9, "tags": tags})
    assert text.count("; ") == 10
    assert text.endswith("tags.k9 must be a string; and 3 more")


SHAPES: list[tuple[str, str, Any, str]] = [
    ("promise.create", "param", [], "param must be an object"),
    ("promise.create", "param.data", 7, "param.data must be a string"),
    ("promise.create", "param.headers", [], "param.headers must be an object"),
    ("promise.create", "param.headers", {"h": None}, "param.headers.h must be a string"),
    ("promise.create", "tags", [], "tags must be an object"),
    ("promise.create", "tags", {"k": True}, "tags.k must be a string"),
    ("promise.create", "tags", {"k\n" + "x" * 99: 1}, "tags.k\\n" + "x" * 61 + " must be a string"),
    ("promise.settle", "value", "x", "value must be an object"),
    ("promise.search", "tags", {"k": 1}, "tags.k must be a string"),
    ("promise.search", "state", 7, "state must be a string"),
    ("promise.search", "cursor", 7, "cursor must be a string"),
    ("task.create", "action", None, "action must be an object"),
    ("task.create", "action.kind", "promise.settle", "action.kind must be 'promise.create'"),
    ("task.create", "action.data", [], "action.data must be an object"),
    ("task.fence", "action", [], "action must be an object"),
    ("task.fence", "action.kind", 7, "action.kind must be a string"),
    ("task.fence", "action.data", None, "action.data must be an object"),
    ("task.fulfill", "action.kind", "promise.create", "action.kind must be 'promise.settle'"),
    ("task.heartbeat", "tasks", {}, "tasks must be an array"),
    ("task.heartbeat", "tasks", [7], "tasks.0 must be an object"),
    ("task.suspend", "actions", None, "actions must be an array"),
    ("task.suspend", "actions.0.kind", "x", "actions.0.kind must be 'promise.register_callback'"),
    ("schedule.create", "promiseTags", 7, "promiseTags must be an object"),
    ("schedule.create", "zone", 7, "zone must be a string"),
]


@pytest.mark.parametrize(("kind", "path", "wrong", "text"), SHAPES, ids=[f"{s[0]} {s[3]}" for s in SHAPES])
def test_a_wrong_shape_names_the_field(kind: str, path: str, wrong: Any, text: str) -> None:
    assert refusal(kind, altered(kind, path, wrong)) == f"Invalid request: {text}"


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("promise.settle", "state"),
        ("task.create", "action"),
        ("task.create", "action.head"),
        ("task.create", "action.data"),
        ("task.fence", "action"),
        ("task.fence", "action.kind"),
        ("task.fence", "action.data"),
        ("task.fulfill", "action.head"),
        ("task.heartbeat", "tasks"),
        ("task.suspend", "actions"),
        ("task.suspend", "actions.0.kind"),
        ("task.suspend", "actions.0.head"),
    ],
)
def test_a_missing_field_without_a_text_of_its_own_is_named(kind: str, path: str) -> None:
    assert refusal(kind, altered(kind, path)) == f"Invalid request: missing field `{path}`"


def test_a_fence_action_needs_no_head() -> None:
    request = ask("task.fence", altered("task.fence", "action.head")).request
    assert request == RIGHT["task.fence"][1]


def test_a_wrong_shape_hides_the_field_rules() -> None:
    assert refusal("promise.create", {"id": "", "timeoutAt": -1, "tags": []}) == (
        "Invalid request: tags must be an object"
    )


@pytest.mark.parametrize("state", ["pending", "rejected_timedout", "done", ""])
def test_only_three_states_settle(state: str) -> None:
    text = f"unknown variant `{state}`, expected one of `resolved`, `rejected`, `rejected_canceled`"
    assert refusal("promise.settle", {"id": "p", "state": state}) == f"Invalid request: {text}"
    assert refusal("task.fulfill", altered("task.fulfill", "action.data.state", state)) == (
        f"Invalid request: {text}"
    )


def test_a_search_state_must_exist() -> None:
    assert refusal("promise.search", {"state": "halted"}) == (
        "Invalid request: unknown variant `halted`, expected one of `pending`, `resolved`, `rejected`, "
        "`rejected_canceled`, `rejected_timedout`"
    )
    assert refusal("task.search", {"state": "resolved"}) == (
        "Invalid request: unknown variant `resolved`, expected one of `pending`, `acquired`, `suspended`, "
        "`halted`, `fulfilled`"
    )


@pytest.mark.parametrize("kind", ["promise.search", "task.search", "schedule.search"])
def test_a_search_is_bounded(kind: str) -> None:
    for limit in (0, -1, "7", 1.5, True):
        assert refusal(kind, {"limit": limit}) == "Limit must be a positive integer"
    assert refusal(kind, {"limit": 1001}) == "Invalid 'limit' — must be between 1 and 1000"
    for cursor in ("", "a\0", "a" * 901):
        assert refusal(kind, {"cursor": cursor}) == "Invalid 'cursor' — must be the cursor of the page before"


def test_every_kind_is_tested() -> None:
    assert set(RIGHT) == set(KINDS)
