"""Whatever a client sends is answered: no exception, a documented status, and an answer that keeps the field rules."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.protocol.right import RIGHT
from tests.protocol.wire import DEBUG, VERSION, TinyServer, envelope

from resonate_faas._protocol import KINDS, Decoded, Refused, decode_request, encode_refusal

NAMES = [
    "id",
    "awaited",
    "awaiter",
    "address",
    "state",
    "value",
    "param",
    "tags",
    "timeoutAt",
    "pid",
    "ttl",
    "version",
    "action",
    "actions",
    "tasks",
    "kind",
    "head",
    "data",
    "headers",
    "cron",
    "promiseId",
    "promiseTimeout",
    "promiseParam",
    "promiseTags",
    "limit",
    "cursor",
    "time",
    "corrId",
    "auth",
    "resonate:debug_time",
    "resonate:origin",
    "resonate:delay",
    "resonate:target",
    "resonate:timer",
]
WORDS = [
    "",
    "p",
    "t",
    "t:1",
    "resolved",
    "pending",
    "true",
    "7",
    "poll://any@default",
    "promise.create",
    "\0",
]

ANY_CHARACTER = st.characters(exclude_categories=[])
"""Lone surrogates too: a value that is not JSON bytes may hold them."""

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-1, max_value=200)
    | st.sampled_from([2**62, 2**63 - 1, 2**63, 10**4_000])
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(ANY_CHARACTER, max_size=8)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=20,
)


def assert_answered(body: object) -> None:
    decoded = decode_request(body, settings=DEBUG)
    if isinstance(decoded, Refused):
        assert decoded.status == 400
        status, answer = encode_refusal(decoded)
        assert status == 400
        assert_envelope(answer)
        assert isinstance(answer["data"], str)
        assert answer["data"]
    else:
        assert_no_lone_surrogate(decoded)


def assert_no_lone_surrogate(value: object) -> None:
    """No store meets a text that it cannot write."""
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, Mapping):
        for key, child in value.items():
            assert_no_lone_surrogate(key)
            assert_no_lone_surrogate(child)
    elif isinstance(value, tuple):
        for child in value:
            assert_no_lone_surrogate(child)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            assert_no_lone_surrogate(getattr(value, field.name))


def assert_envelope(answer: dict[str, Any]) -> None:
    json.dumps(answer, allow_nan=False, ensure_ascii=False).encode()
    assert set(answer) == {"kind", "head", "data"}
    assert set(answer["head"]) == {"corrId", "status", "version"}
    assert isinstance(answer["kind"], str)
    assert isinstance(answer["head"]["corrId"], str)
    assert answer["head"]["version"] == VERSION
    assert_no_null(answer)


def assert_no_null(value: object) -> None:
    assert value is not None
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        assert_no_null(child)


@given(st.binary(max_size=200) | st.text(ANY_CHARACTER, max_size=200) | values)
def test_any_body_is_answered(body: object) -> None:
    assert_answered(body)


@given(values, values, values)
def test_any_envelope_is_answered(kind: object, head: object, data: object) -> None:
    assert_answered({"kind": kind, "head": head, "data": data})


@given(
    st.sampled_from(sorted(KINDS)),
    st.dictionaries(st.sampled_from(NAMES), values),
    st.dictionaries(st.sampled_from(NAMES), values),
)
def test_any_data_and_head_of_a_known_kind_are_answered(
    kind: str, head: dict[str, Any], data: dict[str, Any]
) -> None:
    assert_answered({"kind": kind, "head": {**head, "corrId": "c", "version": VERSION}, "data": data})


def replaced(value: Any, path: int, new: object) -> Any:
    """Return the value with one of its nodes replaced, counted in depth-first order; any number is some node."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, child in items:
            places.append((node, key))
            walk(child)

    value = copy.deepcopy(value)
    walk(value)
    if places:
        node, key = places[path % len(places)]
        node[key] = new
    return value


@given(st.sampled_from(sorted(RIGHT)), st.integers(0, 99), values)
def test_right_data_with_one_fault_is_answered(kind: str, path: int, new: object) -> None:
    data = replaced(RIGHT[kind][0], path, new)
    assert_answered({"kind": kind, "head": {"corrId": "c", "version": VERSION}, "data": data})


@given(st.sampled_from(sorted(RIGHT)), st.sampled_from(range(4)))
def test_right_data_without_one_field_is_answered_and_refused_if_the_field_is_required(
    kind: str, place: int
) -> None:
    data = dict(RIGHT[kind][0])
    if data:
        data.pop(sorted(data)[place % len(data)])
    assert_answered(envelope(kind, data))


IDS = st.sampled_from(["t", "u", "p", "t:1", "x"])
TAGS = st.fixed_dictionaries(
    {},
    optional={
        "resonate:target": st.just("poll://any@default"),
        "resonate:timer": st.just("true"),
        "resonate:external": st.just("true"),
        "k": st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
    },
)
VALUE = st.fixed_dictionaries(
    {},
    optional={
        "data": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        "headers": st.none() | st.dictionaries(st.sampled_from("ab"), st.just("")),
    },
)
CREATE = st.fixed_dictionaries(
    {"id": IDS, "timeoutAt": st.integers(0, 60)}, optional={"tags": TAGS, "param": st.none() | VALUE}
)
SETTLE = st.fixed_dictionaries(
    {"id": IDS, "state": st.sampled_from(["resolved", "rejected", "pending"])}, optional={"value": VALUE}
)
VERSIONS = st.integers(0, 3)


def action(kind: str, data: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {"kind": st.just(kind), "data": data, "head": st.sampled_from([{}, {"corrId": "i"}])}
    )


def listed(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(fields)


AWAIT = action("promise.register_callback", listed(awaited=IDS, awaiter=st.just("t")))
REQUESTS = st.one_of(
    st.tuples(st.just("promise.create"), CREATE),
    st.tuples(st.just("promise.settle"), SETTLE),
    st.tuples(st.sampled_from(["promise.get", "task.get", "task.halt", "task.continue"]), listed(id=IDS)),
    st.tuples(st.just("promise.register_callback"), listed(awaited=IDS, awaiter=IDS)),
    st.tuples(
        st.just("promise.register_listener"), listed(awaited=IDS, address=st.just("poll://uni@default/1"))
    ),
    st.tuples(
        st.just("task.create"),
        listed(pid=st.just("w"), ttl=st.just(9), action=action("promise.create", CREATE)),
    ),
    st.tuples(st.just("task.acquire"), listed(id=IDS, version=VERSIONS, pid=st.just("w"), ttl=st.just(9))),
    st.tuples(
        st.just("task.fence"),
        listed(
            id=IDS,
            version=VERSIONS,
            action=action("promise.create", CREATE) | action("promise.settle", SETTLE),
        ),
    ),
    st.tuples(
        st.just("task.suspend"),
        listed(id=st.just("t"), version=VERSIONS, actions=st.lists(AWAIT, max_size=2)),
    ),
    st.tuples(
        st.just("task.fulfill"), listed(id=IDS, version=VERSIONS, action=action("promise.settle", SETTLE))
    ),
    st.tuples(st.just("task.release"), listed(id=IDS, version=VERSIONS)),
    st.tuples(
        st.just("task.heartbeat"),
        listed(pid=st.just("w"), tasks=st.lists(listed(id=IDS, version=VERSIONS), max_size=3)),
    ),
    st.tuples(st.just("debug.snap"), st.just({})),
)

PROMISE_FIELDS = {"id", "state", "param", "value", "tags", "timeoutAt", "createdAt"}
LEASE_FIELDS = {"ttl", "pid"}


def assert_promise(record: dict[str, Any]) -> None:
    """Check the table of section 2.2."""
    settled = record["state"] != "pending"
    assert set(record) == PROMISE_FIELDS | ({"settledAt"} if settled else set())
    assert record["state"] in {"pending", "resolved", "rejected", "rejected_canceled", "rejected_timedout"}
    for value in (record["param"], record["value"]):
        assert set(value) <= {"headers", "data"}
        assert isinstance(value.get("data", ""), str)


def assert_task(record: dict[str, Any]) -> None:
    """Check the table of section 2.3."""
    acquired = record["state"] == "acquired"
    assert set(record) == {"id", "state", "version", "resumes"} | (LEASE_FIELDS if acquired else set())
    assert isinstance(record["resumes"], int)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 20), REQUESTS), max_size=12))
def test_every_answer_of_a_conversation_keeps_the_field_rules(
    conversation: list[tuple[int, tuple[str, dict[str, Any]]]],
) -> None:
    server, now_ms = TinyServer(DEBUG), 0
    for pause, (kind, data) in conversation:
        now_ms += pause
        answer = server.post(envelope(kind, data), now_ms=now_ms)
        assert_envelope(answer)
        assert (answer["kind"], answer["head"]["corrId"]) == (kind, "c-1")
        status, body = answer["head"]["status"], answer["data"]
        assert status in {200, 300, 400, 404, 409, 422}
        assert isinstance(body, str) == (status >= 400)
        if kind == "task.fence" and status == 200:
            inner = body["action"]
            assert inner["kind"] == data["action"]["kind"]
            assert inner["head"]["corrId"] == data["action"]["head"].get("corrId", "c-1")
            assert isinstance(inner["data"], str) == (inner["head"]["status"] >= 400)
            body = inner["data"]
        if isinstance(body, dict) and "promise" in body:
            assert_promise(body["promise"])
        if isinstance(body, dict) and "task" in body:
            assert_task(body["task"])


def test_a_right_request_of_every_kind_is_decoded_so_that_the_fuzz_starts_from_right_data() -> None:
    assert all(isinstance(decode_request(envelope(k, RIGHT[k][0]), settings=DEBUG), Decoded) for k in RIGHT)
