"""Which bodies are pushed execute messages (protocol section 9.1)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resonate_faas._protocol import InvalidMessage, PushedExecute, decode_message, encode_execute

TASK = {"id": "greet-1", "version": 0}


def message(**changes: Any) -> dict[str, Any]:
    return {"kind": "execute", "head": {"serverUrl": "http://s"}, "data": {"task": TASK}} | changes


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (message(), PushedExecute(id="greet-1", version=0, server_url="http://s")),
        (message(head={}), PushedExecute(id="greet-1", version=0, server_url=None)),
        (message(head=None), PushedExecute(id="greet-1", version=0, server_url=None)),
        (message(head={"serverUrl": None, "x": 1}), PushedExecute(id="greet-1", version=0, server_url=None)),
        (message(data={"task": {"id": "t"}}), PushedExecute(id="t", version=0, server_url="http://s")),
        (
            message(data={"task": {"id": "t", "version": 9, "x": []}, "y": 1}),
            PushedExecute(id="t", version=9, server_url="http://s"),
        ),
        (encode_execute("t", 4, "http://s"), PushedExecute(id="t", version=4, server_url="http://s")),
    ],
)
def test_an_execute_message(value: dict[str, Any], expected: PushedExecute) -> None:
    assert decode_message(value) == expected
    assert decode_message(json.dumps(value)) == expected
    assert decode_message(json.dumps(value).encode()) == expected


def test_the_head_may_be_absent() -> None:
    assert decode_message({"kind": "execute", "data": {"task": TASK}}) == PushedExecute(
        id="greet-1", version=0, server_url=None
    )


@pytest.mark.parametrize("raw", [None, b"", "", bytearray()])
def test_no_body(raw: object) -> None:
    assert decode_message(raw) == InvalidMessage(error="Request body missing.")


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"\xff",
        b"null",
        "[]",
        7,
        {},
        [],
        message(kind="unblock"),
        message(kind=None),
        message(head=[]),
        message(head={"serverUrl": 7}),
        message(data=None),
        message(data={}),
        message(data={"task": None}),
        message(data={"task": {"version": 0}}),
        message(data={"task": {"id": 7}}),
        message(data={"task": {"id": ""}}),
        message(data={"task": {"id": "a\0"}}),
        message(data={"task": {"id": "a" * 257}}),
        message(data={"task": {"id": "\ud800"}}),
        message(data={"task": {"id": "t", "version": "0"}}),
        message(data={"task": {"id": "t", "version": None}}),
        message(data={"task": {"id": "t", "version": True}}),
        message(data={"task": {"id": "t", "version": -1}}),
        message(data={"task": {"id": "t", "version": 2**63}}),
        message(data={"task": {"id": "t", "version": 1.0}}),
    ],
)
def test_what_is_not_an_execute_message(raw: object) -> None:
    assert decode_message(raw) == InvalidMessage(error="Request body must be a valid execute message.")


@given(
    st.binary(max_size=60)
    | st.text(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["kind", "head", "data", "task", "id"]), inner, max_size=5)
        ),
    )
)
def test_no_body_breaks_the_decoder(raw: object) -> None:
    assert isinstance(decode_message(raw), PushedExecute | InvalidMessage)
