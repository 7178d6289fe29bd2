"""Right data for every kind of request, and what it must become."""

from __future__ import annotations

import copy
from typing import Any, Final

from resonate_faas._machine import requests as machine
from resonate_faas._machine.objects import PromiseState, TaskState, Value
from resonate_faas._requests import (
    DebugReset,
    DebugSnap,
    DebugStart,
    DebugStop,
    DebugTick,
    PromiseSearch,
    ScheduleCreateRequest,
    ScheduleSearch,
    TaskSearch,
)

TARGET: Final = "poll://any@default"
CREATE: Final = {"kind": "promise.create", "head": {}, "data": {"id": "p", "timeoutAt": 9}}
CREATE_TARGETED: Final = {
    "kind": "promise.create",
    "head": None,
    "data": {"id": "p", "timeoutAt": 9, "tags": {"resonate:target": TARGET}},
}
SETTLE: Final = {"kind": "promise.settle", "head": 0, "data": {"id": "t", "state": "rejected"}}
AWAIT: Final = {"kind": "promise.register_callback", "head": {}, "data": {"awaited": "a", "awaiter": "t"}}
SCHEDULE: Final = {
    "id": "s",
    "cron": "* * * * *",
    "promiseId": "{{.id}}-{{.timestamp}}",
    "promiseTimeout": 0,
    "promiseTags": {"resonate:target": TARGET},
}

RIGHT: dict[str, tuple[dict[str, Any], Any]] = {
    "promise.get": ({"id": "p"}, machine.PromiseGet(id="p")),
    "promise.create": (
        {
            "id": "p",
            "timeoutAt": 9,
            "param": {"headers": {"h": "1"}, "data": ""},
            "tags": {"k": "v", "resonate:target": TARGET, "resonate:delay": "8"},
        },
        machine.PromiseCreate(
            id="p",
            timeout_at=9,
            param=Value(headers={"h": "1"}, data=""),
            tags={"k": "v", "resonate:target": TARGET, "resonate:delay": "8"},
        ),
    ),
    "promise.settle": (
        {"id": "p", "state": "rejected_canceled", "value": {"data": "Mg=="}},
        machine.PromiseSettle(id="p", state=PromiseState.CANCELED, value=Value(data="Mg==")),
    ),
    "promise.register_callback": (
        {"awaited": "a", "awaiter": "b"},
        machine.RegisterCallback(awaited="a", awaiter="b"),
    ),
    "promise.register_listener": (
        {"awaited": "a", "address": "poll://uni@default/7"},
        machine.RegisterListener(awaited="a", address="poll://uni@default/7"),
    ),
    "promise.search": (
        {"state": "rejected_timedout", "tags": {"k": "v"}, "limit": 1000, "cursor": "p"},
        PromiseSearch(state=PromiseState.TIMEDOUT, tags={"k": "v"}, limit=1000, cursor="p"),
    ),
    "task.get": ({"id": "t"}, machine.TaskGet(id="t")),
    "task.create": (
        {"pid": "w", "ttl": 1, "action": CREATE_TARGETED},
        machine.TaskCreate(
            pid="w",
            ttl=1,
            action=machine.PromiseCreate(id="p", timeout_at=9, tags={"resonate:target": TARGET}),
        ),
    ),
    "task.acquire": (
        {"id": "t", "version": 0, "pid": "w", "ttl": 1},
        machine.TaskAcquire(id="t", version=0, pid="w", ttl=1),
    ),
    "task.fence": (
        {"id": "t", "version": 1, "action": CREATE},
        machine.TaskFence(id="t", version=1, action=machine.PromiseCreate(id="p", timeout_at=9)),
    ),
    "task.heartbeat": (
        {"pid": "w", "tasks": [{"id": "t", "version": 1}, {"id": "u", "version": 2}]},
        machine.TaskHeartbeat(
            pid="w", tasks=(machine.TaskRef(id="t", version=1), machine.TaskRef(id="u", version=2))
        ),
    ),
    "task.suspend": (
        {"id": "t", "version": 1, "actions": [AWAIT]},
        machine.TaskSuspend(id="t", version=1, awaited=("a",)),
    ),
    "task.fulfill": (
        {"id": "t", "version": 1, "action": SETTLE},
        machine.TaskFulfill(
            id="t", version=1, action=machine.PromiseSettle(id="t", state=PromiseState.REJECTED)
        ),
    ),
    "task.release": ({"id": "t", "version": 1}, machine.TaskRelease(id="t", version=1)),
    "task.halt": ({"id": "t"}, machine.TaskHalt(id="t")),
    "task.continue": ({"id": "t"}, machine.TaskContinue(id="t")),
    "task.search": (
        {"state": "halted", "limit": 7, "cursor": "t"},
        TaskSearch(state=TaskState.HALTED, limit=7, cursor="t"),
    ),
    "schedule.get": ({"id": "s"}, machine.ScheduleGet(id="s")),
    "schedule.create": (
        {**SCHEDULE, "promiseParam": {"data": "e30="}, "zone": "Europe/Berlin"},
        ScheduleCreateRequest(
            id="s",
            cron="* * * * *",
            promise_id="{{.id}}-{{.timestamp}}",
            promise_timeout=0,
            promise_param=Value(data="e30="),
            promise_tags={"resonate:target": TARGET},
            zone="Europe/Berlin",
        ),
    ),
    "schedule.delete": ({"id": "s"}, machine.ScheduleDelete(id="s")),
    "schedule.search": (
        {"tags": {"k": "v"}, "limit": 1, "cursor": "s"},
        ScheduleSearch(tags={"k": "v"}, limit=1, cursor="s"),
    ),
    "debug.start": ({}, DebugStart()),
    "debug.stop": ({}, DebugStop()),
    "debug.reset": ({}, DebugReset()),
    "debug.tick": ({"time": 3}, DebugTick(time=3)),
    "debug.snap": ({}, DebugSnap()),
}


OPTIONAL: dict[str, tuple[str, ...]] = {
    "promise.create": ("param", "tags"),
    "promise.settle": ("value",),
    "promise.search": ("state", "tags", "limit", "cursor"),
    "task.search": ("state", "limit", "cursor"),
    "schedule.create": ("promiseParam", "zone"),
    "schedule.search": ("tags", "limit", "cursor"),
}


def altered(kind: str, path: str, *value: Any) -> dict[str, Any]:
    """Return right data with the field at the path replaced, or removed when no value is given."""
    data = copy.deepcopy(RIGHT[kind][0])
    *parents, last = path.split(".")
    place: Any = data
    for part in parents:
        place = place[int(part)] if part.isdecimal() else place[part]
    if value:
        place[last] = value[0]
    else:
        del place[last]
    return data
