"""Records: every object comes back as it was, newer formats are refused, the bytes stay what they are."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resonate_faas._errors import DecodingError
from resonate_faas._machine.objects import (
    EMPTY,
    NO_STRINGS,
    Object,
    Promise,
    PromiseObject,
    PromiseState,
    Schedule,
    ScheduleObject,
    Task,
    TaskState,
    Value,
)
from resonate_faas._ports import DUE_SHARDS
from resonate_faas._records import FORMAT, decode_object, due_shard, encode_object

texts = st.text(st.characters() | st.sampled_from('\ud800\udfff\x00"\\\n'), max_size=20)
instants = st.integers(-(2**70), 2**70)
strings = st.dictionaries(texts, texts, max_size=3)
values = st.builds(Value, headers=strings, data=st.none() | texts)
ids = st.lists(texts, max_size=3).map(tuple)
promises = st.builds(
    Promise,
    id=texts,
    state=st.sampled_from(PromiseState),
    param=values,
    value=values,
    tags=strings,
    timeout_at=instants,
    created_at=instants,
    settled_at=st.none() | instants,
    callbacks=ids,
    listeners=ids,
)
tasks = st.builds(
    Task,
    state=st.sampled_from(TaskState),
    version=instants,
    resumes=ids,
    ttl=st.none() | instants,
    pid=st.none() | texts,
    expires_at=st.none() | instants,
    retry_at=st.none() | instants,
)
promise_objects = st.builds(
    PromiseObject,
    promise=promises,
    task=st.none() | tasks,
    at=instants,
    birth=texts,
    barren=instants,
    dispatches=instants,
    not_before=instants,
    reason=st.none() | texts,
    replay_ms=instants,
    kept_until=st.none() | instants,
)
schedule_objects = st.builds(
    ScheduleObject,
    schedule=st.builds(
        Schedule,
        id=texts,
        cron=texts,
        promise_id=texts,
        promise_timeout=instants,
        promise_param=values,
        promise_tags=strings,
        created_at=instants,
        next_run_at=instants,
        last_run_at=st.none() | instants,
        zone=texts,
    ),
    at=instants,
)

FULL = PromiseObject(
    promise=Promise(
        id="root:1",
        state=PromiseState.CANCELED,
        param=Value(headers={"a": "b"}, data="cA=="),
        value=Value(data="dg=="),
        tags={"resonate:origin": "root"},
        timeout_at=3,
        created_at=1,
        settled_at=2,
        callbacks=("root",),
        listeners=("poll://any@a",),
    ),
    task=Task(
        state=TaskState.ACQUIRED, version=4, resumes=("root:2",), ttl=5, pid="p", expires_at=6, retry_at=7
    ),
    at=8,
    birth="1-n",
    barren=9,
    dispatches=10,
    not_before=11,
    reason="why",
    replay_ms=12,
    kept_until=13,
)
FULL_RECORD = {
    "f": 1,
    "id": "root:1",
    "state": "rejected_canceled",
    "timeout": 3,
    "created": 1,
    "at": 8,
    "param": {"data": "cA==", "headers": {"a": "b"}},
    "value": {"data": "dg=="},
    "tags": {"resonate:origin": "root"},
    "callbacks": ["root"],
    "listeners": ["poll://any@a"],
    "birth": "1-n",
    "barren": 9,
    "dispatches": 10,
    "not_before": 11,
    "replay": 12,
    "settled": 2,
    "task": {
        "state": "acquired",
        "version": 4,
        "resumes": ["root:2"],
        "ttl": 5,
        "pid": "p",
        "expires": 6,
        "retry": 7,
    },
    "reason": "why",
    "kept": 13,
}
SMALL = PromiseObject(
    promise=Promise(
        id="a",
        state=PromiseState.PENDING,
        param=EMPTY,
        value=EMPTY,
        tags=NO_STRINGS,
        timeout_at=3,
        created_at=1,
    ),
    at=2,
)
NIGHTLY = ScheduleObject(
    schedule=Schedule(
        id="nightly",
        cron="0 3 * * *",
        promise_id="n-{{.timestamp}}",
        promise_timeout=9,
        promise_param=EMPTY,
        promise_tags={"team": "x"},
        created_at=1,
        next_run_at=2,
    ),
    at=1,
)


@given(promise_objects | schedule_objects)
def test_every_object_comes_back_as_it_was(stored: Object) -> None:
    assert decode_object(encode_object(stored)) == stored


def test_a_record_is_the_documented_json_in_the_documented_order() -> None:
    record = encode_object(FULL)
    assert list(json.loads(record).items()) == list(FULL_RECORD.items())
    assert record.startswith(b'{"f":1,"id":"root:1",')
    assert encode_object(SMALL) == b'{"f":1,"id":"a","state":"pending","timeout":3,"created":1,"at":2}'


@pytest.mark.parametrize("stored", [FULL, SMALL, NIGHTLY])
def test_every_field_of_a_decoded_object_is_set(stored: Object) -> None:
    """Decoding fills slots directly: a forgotten one would fail far from here."""
    pending: list[Any] = [decode_object(encode_object(stored))]
    while pending:
        held = pending.pop()
        for field in fields(held):
            value = getattr(held, field.name)
            if hasattr(value, "__dataclass_fields__"):
                pending.append(value)


def test_a_decoded_object_can_be_changed_as_any_other() -> None:
    found = decode_object(encode_object(SMALL))
    assert isinstance(found, PromiseObject)
    assert replace(found, barren=3) == replace(SMALL, barren=3)
    assert hash(found.promise.state) == hash(PromiseState.PENDING)
    assert found.promise.state is PromiseState.PENDING
    assert isinstance(found.promise.callbacks, tuple)


@pytest.mark.parametrize("stored", [FULL, NIGHTLY])
def test_unknown_members_are_ignored(stored: Object) -> None:
    record = json.loads(encode_object(stored))
    record |= {"colour": "red", "depth": {"a": [1]}}
    if "task" in record:
        record["task"]["colour"] = record["param"]["colour"] = "red"
    assert decode_object(json.dumps(record).encode()) == stored


@pytest.mark.parametrize("stored", [FULL, NIGHTLY])
def test_a_newer_format_is_refused_by_name(stored: Object) -> None:
    record = json.loads(encode_object(stored)) | {"f": FORMAT + 1}
    with pytest.raises(DecodingError, match=r"format is 2, this version reads up to 1"):
        decode_object(json.dumps(record).encode())


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"\x80\x04N.",
        b"[]",
        b"7",
        b"null",
        b"{}",
        b'{"f":1}',
        b'{"f":"1","id":"a"}',
        b'{"f":1,"id":"a","state":"odd","timeout":3,"created":1,"at":2}',
        b'{"f":1,"id":"a","state":"pending","timeout":3,"created":1,"at":2,"task":{}}',
        b'{"f":1,"id":"a","state":"pending","timeout":3,"created":1,"at":2',
        b"\xff\xfe",
    ],
)
def test_what_is_no_record_is_refused(record: bytes) -> None:
    with pytest.raises(DecodingError):
        decode_object(record)


def test_text_is_not_escaped_and_not_padded() -> None:
    stored = replace(SMALL, reason="é😀")
    assert "é😀".encode() in encode_object(stored)
    assert b" " not in encode_object(stored)


def test_the_shard_of_a_key_never_changes() -> None:
    """Files and tables hold it: another function would lose timers."""
    keys = ["a", "root", "root:1", "order-17:12", "é", "\x1fschedule:nightly"]
    assert [due_shard(key) for key in keys] == [3, 11, 15, 0, 14, 4]


def test_shards_are_even() -> None:
    held = [0] * DUE_SHARDS
    for number in range(16_000):
        held[due_shard(f"order-{number}")] += 1
    assert min(held) > 700
    assert max(held) < 1_300
