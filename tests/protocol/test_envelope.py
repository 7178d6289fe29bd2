"""The front door: the order of checks of protocol section 1.6 and what a refusal echoes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.protocol.wire import DEBUG, SETTINGS, VERSION, ask, envelope, refusal, resonate

from resonate_faas._machine.requests import PromiseGet
from resonate_faas._protocol import (
    KINDS,
    Envelope,
    Refused,
    WireSettings,
    decode_request,
    encode_refusal,
    open_envelope,
    read_request,
)

KIND_TEXT = "Missing or invalid 'kind' field — must be a non-empty string"
DATA_TEXT = "Invalid 'data' field — must be an object"
VERSION_TEXT = "Unsupported protocol version '1', supported versions: [\"2026-04-01\"]"

HEAD = {"corrId": "c-9", "version": VERSION}


def refused(raw: object, settings: WireSettings = SETTINGS) -> Refused:
    answer = decode_request(raw, settings=settings)
    assert isinstance(answer, Refused)
    return answer


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"nope",
        b'{"a":1}x',
        b"\xff\xfe",
        b'{"a":"\\ud800"}',
        b"[" * 100_000,
        b"1" * 5_000,
        "\ud800",
        bytearray(b"{"),
    ],
)
def test_what_is_not_json_is_400_unknown_0(raw: object) -> None:
    answer = refused(raw)
    assert (answer.kind, answer.corr_id, answer.status) == ("unknown", "0", 400)
    assert answer.error.startswith("Invalid request envelope: ")


@pytest.mark.parametrize("raw", [b"null", b"[]", b"3", b'"x"', None, 3, [], object()])
def test_what_is_not_an_object_is_400_unknown_0(raw: object) -> None:
    assert refused(raw) == Refused(
        kind="unknown", corr_id="0", status=400, error="Invalid request envelope: it must be an object"
    )


@pytest.mark.parametrize(
    ("head", "corr_id", "reason"),
    [
        (None, "0", "head must be an object"),
        ([], "0", "head must be an object"),
        ({"version": VERSION}, "0", "missing field `head.corrId`"),
        ({"corrId": "c-9"}, "c-9", "missing field `head.version`"),
        ({}, "0", "missing field `head.corrId`; missing field `head.version`"),
        ({"corrId": 7, "version": VERSION}, "0", "head.corrId must be a string"),
        ({"corrId": None, "version": VERSION}, "0", "head.corrId must be a string"),
        ({"corrId": "c-9", "version": 1}, "c-9", "head.version must be a string"),
        ({**HEAD, "auth": 1}, "c-9", "head.auth must be a string"),
        ({**HEAD, "auth": "x" * 16_385}, "c-9", "head.auth must not exceed 16384 bytes"),
        ({**HEAD, "corrId": "x" * 1_025}, "0", "head.corrId must not exceed 1024 bytes"),
        ({**HEAD, "version": "x" * 1_025}, "c-9", "head.version must not exceed 1024 bytes"),
        ({**HEAD, "corrId": "\ud800"}, "0", "head.corrId must be valid Unicode"),
    ],
)
def test_a_head_of_the_wrong_shape_is_400_and_echoes_what_can_be_dug_out(
    head: Any, corr_id: str, reason: str
) -> None:
    answer = refused({"kind": "promise.get", "head": head, "data": {}})
    assert answer == Refused(
        kind="promise.get", corr_id=corr_id, status=400, error=f"Invalid request envelope: {reason}"
    )


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_json_has_not_is_400_even_where_it_would_be_ignored(number: str) -> None:
    body = envelope("promise.get", {"id": "p", "x": 0}).replace(b'"x": 0', b'"x": ' + number.encode())
    answer = refused(body)
    assert (answer.kind, answer.corr_id) == ("unknown", "0")
    assert answer.error.startswith("Invalid request envelope: ")


def test_a_missing_head_is_400() -> None:
    assert (
        refused(b'{"kind":"promise.get","data":{}}').error == "Invalid request envelope: missing field `head`"
    )


@pytest.mark.parametrize("kind", ["", None, 7, [], "x" * 1_025, "\ud800"])
def test_a_kind_must_be_a_text(kind: object) -> None:
    assert refused({"kind": kind, "head": HEAD, "data": {}}) == Refused(
        kind="unknown", corr_id="c-9", status=400, error=KIND_TEXT
    )


def test_an_absent_kind_or_data_reads_like_a_wrong_one() -> None:
    assert refused({"head": HEAD, "data": {}}).error == KIND_TEXT
    assert refused({"kind": "promise.get", "head": HEAD}).error == DATA_TEXT


@pytest.mark.parametrize("data", [None, [], "{}", 3])
def test_data_must_be_an_object(data: object) -> None:
    assert refusal("promise.get", data) == DATA_TEXT


@pytest.mark.parametrize("kind", ["promise.frob", "execute", "Promise.get", "promise.get ", "debug.x", "x"])
def test_an_unknown_kind_is_400(kind: str) -> None:
    assert refusal(kind, {}) == f"Unknown operation: {kind}"


def test_the_version_text() -> None:
    assert refusal("promise.get", {"id": "p"}, version="1") == VERSION_TEXT
    assert (
        refusal("promise.get", {"id": "p"}, version="")
        == "Unsupported protocol version '', supported versions: [\"2026-04-01\"]"
    )


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("Invalid request envelope: missing field `head.corrId`", {"head": {"version": "1"}}),
    (KIND_TEXT, {"kind": ""}),
    (DATA_TEXT, {"data": []}),
    (VERSION_TEXT, {"head": {"corrId": "c-9", "version": "1"}}),
    ("Unknown operation: nope", {"kind": "nope"}),
    ("Promise ID is required", {"data": {"id": ""}}),
]


PAIRS = [
    (earlier, later)
    for place, earlier in enumerate(FAULTS)
    for later in FAULTS[place + 1 :]
    if not set(earlier[1]) & set(later[1])
]


@pytest.mark.parametrize(("earlier", "later"), PAIRS, ids=lambda fault: fault[0])
def test_of_two_faults_the_earlier_check_answers(
    earlier: tuple[str, dict[str, Any]], later: tuple[str, dict[str, Any]]
) -> None:
    right = {"kind": "promise.get", "head": HEAD, "data": {"id": "p"}}
    assert refused(right | later[1]).error == later[0]
    assert refused(right | later[1] | earlier[1]).error == earlier[0]


def test_field_rules_come_before_rules_between_fields() -> None:
    data = {"id": "", "timeoutAt": 5, "tags": {"resonate:delay": "x"}}
    assert refusal("promise.create", data) == "Promise ID is required"
    assert refusal("promise.create", {**data, "id": "p"}) == "resonate:delay must be a non-negative integer"


def test_authentication_fits_between_the_two_halves() -> None:
    front = open_envelope(envelope("nope", {}, auth="token"), settings=SETTINGS)
    assert isinstance(front, Envelope)
    assert (front.auth, front.kind) == ("token", "nope")
    assert encode_refusal(front.refuse(401, "Unauthorized")) == (
        401,
        {
            "kind": "nope",
            "head": {"corrId": "c-1", "status": 401, "version": "2026-04-01"},
            "data": "Unauthorized",
        },
    )
    assert isinstance(read_request(front, settings=SETTINGS), Refused)


def test_the_head_reaches_the_caller() -> None:
    decoded = ask("promise.get", {"id": "p"}, auth="t", **resonate(origin="o"))
    assert (decoded.kind, decoded.corr_id, decoded.auth, decoded.origin) == ("promise.get", "c-1", "t", "o")
    assert decoded.request == PromiseGet(id="p")


def test_null_and_absent_optional_head_fields_are_the_same() -> None:
    nulls = ask("promise.get", {"id": "p"}, auth=None, **resonate(origin=None, debug_time=None))
    assert nulls == ask("promise.get", {"id": "p"})
    assert (nulls.auth, nulls.origin, nulls.debug_time) == (None, None, None)


def test_unknown_fields_are_ignored_at_every_level() -> None:
    body = json.loads(envelope("promise.get", {"id": "p", "shoe": 43}, hat=1))
    assert decode_request({**body, "coat": None}, settings=SETTINGS) == ask("promise.get", {"id": "p"})


@pytest.mark.parametrize("origin", [7, [], {}, True])
def test_an_origin_that_is_no_text_is_no_hint(origin: object) -> None:
    assert ask("promise.get", {"id": "p"}, **resonate(origin=origin)).origin is None


@pytest.mark.parametrize("time", [5, 0, "x", -1, True, 1.5, [], 2**70])
def test_the_debug_time_is_dropped_unless_debug_mode_is_on(time: object) -> None:
    assert ask("promise.get", {"id": "p"}, **resonate(debug_time=time)).debug_time is None


@pytest.mark.parametrize("time", [0, 5, 253_402_300_799_999])
def test_the_debug_time_is_honoured_in_debug_mode(time: int) -> None:
    assert ask("promise.get", {"id": "p"}, settings=DEBUG, **resonate(debug_time=time)).debug_time == time


@pytest.mark.parametrize("time", ["5", -1, True, 1.5, [], 253_402_300_800_000])
def test_a_wrong_debug_time_is_400_in_debug_mode(time: object) -> None:
    assert (
        refusal("promise.get", {"id": "p"}, settings=DEBUG, **resonate(debug_time=time))
        == "Invalid request envelope: head.resonate:debug_time must be a non-negative integer"
    )


DEBUG_KINDS = ["debug.start", "debug.stop", "debug.reset", "debug.tick", "debug.snap"]


@pytest.mark.parametrize("kind", DEBUG_KINDS)
def test_debug_requests_are_403_unless_debug_mode_is_on_whatever_their_data(kind: str) -> None:
    answer = decode_request(envelope(kind, {"time": "x"}), settings=SETTINGS)
    assert answer == Refused(kind=kind, corr_id="c-1", status=403, error="Debug operations are disabled")


def test_text_bytes_and_value_decode_alike() -> None:
    raw = envelope("promise.get", {"id": "p"})
    assert (
        decode_request(raw, settings=SETTINGS)
        == decode_request(raw.decode(), settings=SETTINGS)
        == decode_request(json.loads(raw), settings=SETTINGS)
    )


def test_nothing_is_permitted_unless_the_caller_says_so() -> None:
    data = {"id": "p", "timeoutAt": 5, "tags": {"resonate:target": "poll://any@default"}}
    assert refusal("promise.create", data, settings=WireSettings()) == "Invalid resonate:target address"


def test_every_operation_of_the_protocol_is_known() -> None:
    assert sorted(KINDS) == sorted(
        [
            *("promise." + verb for verb in ("get", "create", "settle", "register_callback")),
            *("promise." + verb for verb in ("register_listener", "search")),
            *("task." + verb for verb in ("get", "create", "acquire", "fence", "heartbeat", "suspend")),
            *("task." + verb for verb in ("fulfill", "release", "halt", "continue", "search")),
            *("schedule." + verb for verb in ("get", "create", "delete", "search")),
            *DEBUG_KINDS,
        ]
    )
