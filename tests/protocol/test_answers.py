"""What an answer looks like, by kind."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.wire import DEBUG, TARGET_TAG, VERSION, ask

from resonate_faas._machine.objects import (
    Execute,
    Object,
    Poke,
    Promise,
    PromiseObject,
    PromiseState,
    Schedule,
    ScheduleObject,
    Task,
    TaskState,
    Unblock,
    Value,
)
from resonate_faas._machine.requests import Reply
from resonate_faas._protocol import (
    Refused,
    encode_refusal,
    encode_reply,
    schedule_record,
    task_record,
)
from resonate_faas._requests import Page, Snapshot

PENDING = Promise(
    id="p",
    state=PromiseState.PENDING,
    param=Value(),
    value=Value(),
    tags={},
    timeout_at=100,
    created_at=1,
    callbacks=("w",),
    listeners=("poll://any@default",),
)
PENDING_RECORD = {
    "id": "p",
    "state": "pending",
    "param": {},
    "value": {},
    "tags": {},
    "timeoutAt": 100,
    "createdAt": 1,
}
SETTLED = Promise(
    id="q",
    state=PromiseState.CANCELED,
    param=Value(headers={"h": "1"}, data=""),
    value=Value(data="Mg=="),
    tags={"k": "v"},
    timeout_at=100,
    created_at=1,
    settled_at=0,
)
SETTLED_RECORD = {
    "id": "q",
    "state": "rejected_canceled",
    "param": {"headers": {"h": "1"}, "data": ""},
    "value": {"data": "Mg=="},
    "tags": {"k": "v"},
    "timeoutAt": 100,
    "createdAt": 1,
    "settledAt": 0,
}
HELD = Task(state=TaskState.ACQUIRED, version=3, resumes=("a", "b"), ttl=60, pid="w", expires_at=70)
HELD_RECORD = {"id": "p", "state": "acquired", "version": 3, "resumes": 2, "ttl": 60, "pid": "w"}
SCHEDULE = Schedule(
    id="s",
    cron="* * * * *",
    promise_id="{{.id}}",
    promise_timeout=5,
    promise_param=Value(data="x"),
    promise_tags=TARGET_TAG,
    created_at=1,
    next_run_at=60_000,
)
SCHEDULE_RECORD = {
    "id": "s",
    "cron": "* * * * *",
    "promiseId": "{{.id}}",
    "promiseTimeout": 5,
    "promiseParam": {"data": "x"},
    "promiseTags": TARGET_TAG,
    "createdAt": 1,
    "nextRunAt": 60_000,
}
STORED = PromiseObject(promise=PENDING, task=HELD, at=1, birth="hidden", barren=2, reason="hidden")

ACTION = {"kind": "promise.settle", "head": {}, "data": {"id": "p", "state": "resolved"}}
CREATE = {"kind": "promise.create", "head": {}, "data": {"id": "p", "timeoutAt": 9, "tags": TARGET_TAG}}
AWAIT = {"kind": "promise.register_callback", "head": {}, "data": {"awaited": "a", "awaiter": "p"}}
FENCED = {"id": "t", "version": 1, "action": {**ACTION, "head": {"corrId": "i-1"}}}
SCHEDULING = {
    "id": "s",
    "cron": "* * * * *",
    "promiseId": "x",
    "promiseTimeout": 1,
    "promiseTags": TARGET_TAG,
}
HEARTBEAT = {"pid": "w", "tasks": []}
LISTEN = {"awaited": "p", "address": "poll://any@default"}
OK = Reply(status=200)
FOUND = Reply(status=200, promise=STORED)
INNER = {
    "kind": "promise.settle",
    "head": {"corrId": "i-1", "status": 200, "version": VERSION},
    "data": {"promise": PENDING_RECORD},
}
LEASED = {"task": HELD_RECORD, "promise": PENDING_RECORD, "preload": [SETTLED_RECORD]}

ANSWERS: list[tuple[str, dict[str, Any], Any, Any]] = [
    # kind, request data, answer of the server, data on the wire
    ("promise.get", {"id": "p"}, FOUND, {"promise": PENDING_RECORD}),
    ("promise.create", {"id": "p", "timeoutAt": 1}, FOUND, {"promise": PENDING_RECORD}),
    ("promise.settle", {"id": "p", "state": "resolved"}, FOUND, {"promise": PENDING_RECORD}),
    ("promise.register_callback", {"awaited": "p", "awaiter": "w"}, FOUND, {"promise": PENDING_RECORD}),
    ("promise.register_listener", LISTEN, FOUND, {"promise": PENDING_RECORD}),
    ("task.get", {"id": "p"}, FOUND, {"task": HELD_RECORD}),
    ("task.create", {"pid": "w", "ttl": 1, "action": CREATE}, FOUND, LEASED),
    ("task.acquire", {"id": "p", "version": 2, "pid": "w", "ttl": 1}, FOUND, LEASED),
    ("task.fence", FENCED, Reply(status=200, inner=FOUND), {"action": INNER, "preload": [SETTLED_RECORD]}),
    ("task.heartbeat", HEARTBEAT, OK, {}),
    ("task.suspend", {"id": "p", "version": 1, "actions": [AWAIT]}, OK, {}),
    ("task.fulfill", {"id": "p", "version": 1, "action": ACTION}, FOUND, {"promise": PENDING_RECORD}),
    ("task.release", {"id": "p", "version": 1}, OK, {}),
    ("task.halt", {"id": "p"}, OK, {}),
    ("task.continue", {"id": "p"}, OK, {}),
    ("schedule.get", {"id": "s"}, Reply(status=200, schedule=SCHEDULE), {"schedule": SCHEDULE_RECORD}),
    ("schedule.create", SCHEDULING, Reply(status=200, schedule=SCHEDULE), {"schedule": SCHEDULE_RECORD}),
    ("schedule.delete", {"id": "s"}, OK, {}),
    ("debug.start", {}, OK, {}),
    ("debug.stop", {}, OK, {}),
    ("debug.reset", {}, OK, {}),
    ("debug.tick", {"time": 1}, OK, []),
    ("promise.search", {}, Page(objects=(STORED,)), {"promises": [PENDING_RECORD]}),
    ("promise.search", {}, Page(objects=(), cursor=None), {"promises": []}),
    ("task.search", {}, Page(objects=(STORED,), cursor="p"), {"tasks": [HELD_RECORD], "cursor": "p"}),
    (
        "schedule.search",
        {},
        Page(objects=(ScheduleObject(schedule=SCHEDULE, at=1),), cursor="s"),
        {"schedules": [SCHEDULE_RECORD], "cursor": "s"},
    ),
]


@pytest.mark.parametrize(
    ("kind", "data", "answer", "expected"), ANSWERS, ids=[f"{n} {a[0]}" for n, a in enumerate(ANSWERS)]
)
def test_the_data_of_a_success(kind: str, data: dict[str, Any], answer: Any, expected: Any) -> None:
    decoded = ask(kind, data, settings=DEBUG)
    assert encode_reply(decoded, answer, preload=[SETTLED]) == (
        200,
        {"kind": kind, "head": {"corrId": "c-1", "status": 200, "version": VERSION}, "data": expected},
    )


@pytest.mark.parametrize("status", [400, 404, 409, 422, 500])
@pytest.mark.parametrize("case", ANSWERS[:22], ids=[a[0] for a in ANSWERS[:22]])
def test_the_data_of_an_error_is_a_bare_string(
    status: int, case: tuple[str, dict[str, Any], Any, Any]
) -> None:
    kind, data, _, _ = case
    answer = Reply(status=status, error="why", promise=STORED)
    assert encode_reply(ask(kind, data, settings=DEBUG), answer, preload=[SETTLED]) == (
        status,
        {"kind": kind, "head": {"corrId": "c-1", "status": status, "version": VERSION}, "data": "why"},
    )


def test_a_redirected_suspend_carries_the_preload_and_nothing_else() -> None:
    decoded = ask("task.suspend", {"id": "p", "version": 1, "actions": [AWAIT]})
    status, answer = encode_reply(decoded, Reply(status=300), preload=[SETTLED])
    assert (status, answer["head"]["status"]) == (300, 300)
    assert answer["data"] == {"preload": [SETTLED_RECORD]}


def test_an_inner_error_stands_in_its_own_envelope() -> None:
    missing = Reply(status=404, error="Promise not found")
    status, answer = encode_reply(ask("task.fence", FENCED), Reply(status=200, inner=missing))
    assert (status, answer["head"]["status"]) == (200, 200)
    assert answer["data"] == {
        "action": {
            "kind": "promise.settle",
            "head": {"corrId": "i-1", "status": 404, "version": VERSION},
            "data": "Promise not found",
        },
        "preload": [],
    }


def test_a_refusal_is_encoded_with_its_echoes() -> None:
    assert encode_refusal(Refused(kind="unknown", corr_id="0", status=500, error="Internal error")) == (
        500,
        {
            "kind": "unknown",
            "head": {"corrId": "0", "status": 500, "version": VERSION},
            "data": "Internal error",
        },
    )


@pytest.mark.parametrize("state", [state for state in TaskState if state is not TaskState.ACQUIRED])
def test_only_an_acquired_task_shows_its_lease(state: TaskState) -> None:
    task = Task(state=state, version=3, ttl=60, pid="w", retry_at=7)
    assert task_record("t", task) == {"id": "t", "state": state.value, "version": 3, "resumes": 0}


def test_a_schedule_shows_its_last_run_and_a_zone_that_is_not_utc() -> None:
    fired = Schedule(
        id="s",
        cron="c",
        promise_id="x",
        promise_timeout=0,
        promise_param=Value(),
        promise_tags={},
        created_at=1,
        next_run_at=3,
        last_run_at=0,
        zone="Europe/Berlin",
    )
    record = schedule_record(fired)
    assert (record["lastRunAt"], record["zone"]) == (0, "Europe/Berlin")
    assert "zone" not in schedule_record(SCHEDULE)
    assert "lastRunAt" not in schedule_record(SCHEDULE)


@pytest.mark.parametrize(
    ("kind", "data", "answer"),
    [
        ("promise.get", {"id": "p"}, OK),
        ("task.get", {"id": "p"}, Reply(status=200, promise=PromiseObject(promise=PENDING, at=1))),
        ("schedule.get", {"id": "s"}, OK),
        ("task.fence", FENCED, OK),
        ("promise.search", {}, OK),
        ("promise.get", {"id": "p"}, Page(objects=())),
        ("debug.snap", {}, OK),
        ("task.search", {}, Page(objects=(PromiseObject(promise=PENDING, at=1),))),
        ("promise.search", {}, Page(objects=(ScheduleObject(schedule=SCHEDULE, at=1),))),
    ],
)
def test_an_answer_that_does_not_fit_its_request_is_a_bug_and_not_an_answer(
    kind: str, data: dict[str, Any], answer: Any
) -> None:
    with pytest.raises((LookupError, TypeError)):
        encode_reply(ask(kind, data, settings=DEBUG), answer)


def test_a_snapshot_is_raw_and_sorted_and_tells_the_timers_and_messages() -> None:
    targeted = Promise(
        id="a",
        state=PromiseState.PENDING,
        param=Value(),
        value=Value(),
        tags=TARGET_TAG,
        timeout_at=100,
        created_at=1,
    )
    waiting = PromiseObject(promise=targeted, task=Task(state=TaskState.PENDING, version=0, retry_at=1), at=1)
    objects: tuple[Object, ...] = (
        STORED,
        ScheduleObject(schedule=SCHEDULE, at=1),
        PromiseObject(promise=SETTLED, at=1),
        waiting,
    )
    messages = (
        Execute(id="a", version=0, target="poll://any@default"),
        Unblock(address="poll://any@default", promise=SETTLED),
        Poke(id="a", not_before=5),
    )
    decoded = ask("debug.snap", {}, settings=DEBUG)
    _, answer = encode_reply(decoded, Snapshot(objects=objects, messages=messages))
    assert answer["data"] == {
        "promises": [{**PENDING_RECORD, "id": "a", "tags": TARGET_TAG}, PENDING_RECORD, SETTLED_RECORD],
        "promiseTimeouts": [{"id": "a", "timeout": 100}],
        "callbacks": [{"awaiter": "w", "awaited": "p"}],
        "listeners": [{"id": "p", "address": "poll://any@default"}],
        "tasks": [{"id": "a", "state": "pending", "version": 0, "resumes": 0}, HELD_RECORD],
        "taskTimeouts": [{"id": "a", "type": 0, "timeout": 1}, {"id": "p", "type": 1, "timeout": 70}],
        "messages": [
            {
                "address": "poll://any@default",
                "message": {"kind": "execute", "head": {}, "data": {"task": {"id": "a", "version": 0}}},
            },
            {
                "address": "poll://any@default",
                "message": {"kind": "unblock", "head": {}, "data": {"promise": SETTLED_RECORD}},
            },
        ],
    }
