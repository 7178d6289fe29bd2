"""What right data becomes, by kind (protocol sections 3.1 to 3.4)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.right import OPTIONAL, RIGHT, TARGET
from tests.protocol.wire import DEBUG, ask

from resonate_faas._machine import requests as machine
from resonate_faas._machine.objects import EMPTY, PromiseState
from resonate_faas._requests import (
    PromiseSearch,
    ScheduleCreateRequest,
    ScheduleSearch,
    TaskSearch,
)


@pytest.mark.parametrize("kind", RIGHT)
def test_right_data_becomes_the_plain_request(kind: str) -> None:
    data, request = RIGHT[kind]
    assert ask(kind, data, settings=DEBUG).request == request


@pytest.mark.parametrize("kind", RIGHT)
def test_unknown_data_fields_are_ignored(kind: str) -> None:
    data, request = RIGHT[kind]
    assert ask(kind, {**data, "colour": {"a": [None]}}, settings=DEBUG).request == request


DEFAULTS: dict[str, Any] = {
    "promise.create": machine.PromiseCreate(id="p", timeout_at=9, param=EMPTY, tags={}),
    "promise.settle": machine.PromiseSettle(id="p", state=PromiseState.CANCELED, value=EMPTY),
    "promise.search": PromiseSearch(state=None, tags={}, limit=100, cursor=None),
    "task.search": TaskSearch(state=None, limit=100, cursor=None),
    "schedule.create": ScheduleCreateRequest(
        id="s",
        cron="* * * * *",
        promise_id="{{.id}}-{{.timestamp}}",
        promise_timeout=0,
        promise_param=EMPTY,
        promise_tags={"resonate:target": TARGET},
        zone="UTC",
    ),
    "schedule.search": ScheduleSearch(tags={}, limit=10, cursor=None),
}


@pytest.mark.parametrize("kind", OPTIONAL)
def test_optional_fields_may_be_absent_or_null(kind: str) -> None:
    data = RIGHT[kind][0]
    absent = {name: value for name, value in data.items() if name not in OPTIONAL[kind]}
    nulls = data | dict.fromkeys(OPTIONAL[kind])
    assert ask(kind, absent).request == DEFAULTS[kind]
    assert ask(kind, nulls).request == DEFAULTS[kind]


def test_null_inside_a_value_is_absent() -> None:
    data = {"id": "p", "timeoutAt": 9, "param": {"headers": None, "data": None}}
    assert ask("promise.create", data).request == machine.PromiseCreate(id="p", timeout_at=9)
