"""The samples of the protocol document, sent through the machine and back."""

from __future__ import annotations

import json
from typing import Any

from tests.protocol.wire import TARGET_TAG, TinyServer, envelope

from resonate_faas._addresses import AddressPolicy
from resonate_faas._machine.objects import (
    Promise,
    PromiseState,
    Value,
)
from resonate_faas._protocol import (
    WireSettings,
    encode_execute,
    encode_unblock,
)


def test_the_messages_of_section_1_3() -> None:
    assert encode_execute("order-17", 0, "http://localhost:8001") == json.loads(
        """{ "kind": "execute",
             "head": { "serverUrl": "http://localhost:8001" },
             "data": { "task": { "id": "order-17", "version": 0 } } }"""
    )
    assert encode_execute("order-17", 0)["head"] == {}
    promise = Promise(
        id="order-17",
        state=PromiseState.RESOLVED,
        param=Value(),
        value=Value(data="Mg=="),
        tags={},
        timeout_at=1700000060000,
        created_at=1700000000000,
        settled_at=1700000001000,
    )
    assert encode_unblock(promise) == json.loads(
        """{ "kind": "unblock",
             "head": {},
             "data": { "promise": { "id": "order-17", "state": "resolved", "param": {},
                       "value": { "data": "Mg==" }, "tags": {}, "timeoutAt": 1700000060000,
                       "createdAt": 1700000000000, "settledAt": 1700000001000 } } }"""
    )


def test_the_create_of_sections_1_1_and_1_2() -> None:
    request = """{
      "kind": "promise.create",
      "head": { "corrId": "7c0f2f1e-55f0-4c37-9d5c-2f0d3c1f8a11", "version": "2026-04-01",
                "auth": "eyJhbGciOi", "resonate:debug_time": 1700000000000, "resonate:origin": "order-17" },
      "data": { "id": "order-17", "timeoutAt": 1700000060000, "param": {}, "tags": {} } }"""
    assert TinyServer().post(request, now_ms=1700000000000) == json.loads(
        """{ "kind": "promise.create",
             "head": { "corrId": "7c0f2f1e-55f0-4c37-9d5c-2f0d3c1f8a11", "status": 200, "version": "2026-04-01" },
             "data": { "promise": { "id": "order-17", "state": "pending", "param": {}, "value": {}, "tags": {},
                       "timeoutAt": 1700000060000, "createdAt": 1700000000000 } } }"""
    )


def test_the_version_mismatch_of_section_1_2() -> None:
    server = TinyServer()
    server.post(envelope("promise.create", {"id": "t", "timeoutAt": 9, "tags": TARGET_TAG}), now_ms=1)
    acquire = {"id": "t", "version": 4, "pid": "w", "ttl": 1}
    assert server.post(envelope("task.acquire", acquire, corrId="c-2"), now_ms=2) == json.loads(
        """{ "kind": "task.acquire",
             "head": { "corrId": "c-2", "status": 409, "version": "2026-04-01" },
             "data": "Version mismatch" }"""
    )


PARAM = "eyJmdW5jIjoiZ3JlZXQiLCJhcmdzIjpbImFkYSJdLCJ2ZXJzaW9uIjoxfQ=="


def test_the_pass_of_a_worker_of_section_11_4() -> None:
    server = TinyServer(WireSettings(permits=AddressPolicy(["http://localhost:8080"]).permits))
    create = """{ "kind": "promise.create", "head": { "corrId": "c1", "version": "2026-04-01" },
      "data": { "id": "greet-1", "timeoutAt": 1700003600000,
                "param": { "headers": {}, "data": "eyJmdW5jIjoiZ3JlZXQiLCJhcmdzIjpbImFkYSJdLCJ2ZXJzaW9uIjoxfQ==" },
                "tags": { "resonate:target": "http://localhost:8080/run" } } }"""
    assert server.post(create, now_ms=1700000000000)["head"]["status"] == 200
    acquire = """{ "kind": "task.acquire", "head": { "corrId": "w-1", "version": "2026-04-01" },
      "data": { "id": "greet-1", "version": 0, "pid": "fn-1", "ttl": 300000 } }"""
    assert server.post(acquire, now_ms=1700000000100) == {
        "kind": "task.acquire",
        "head": {"corrId": "w-1", "status": 200, "version": "2026-04-01"},
        "data": {
            "task": {
                "id": "greet-1",
                "state": "acquired",
                "version": 1,
                "resumes": 0,
                "ttl": 300000,
                "pid": "fn-1",
            },
            "promise": {
                "id": "greet-1",
                "state": "pending",
                "param": {"data": PARAM},  # empty headers are absent headers (section 2.1)
                "value": {},
                "tags": {"resonate:target": "http://localhost:8080/run"},
                "timeoutAt": 1700003600000,
                "createdAt": 1700000000000,
            },
            "preload": [],
        },
    }
    fulfill = """{ "kind": "task.fulfill", "head": { "corrId": "w-2", "version": "2026-04-01" },
      "data": { "id": "greet-1", "version": 1,
                "action": { "kind": "promise.settle", "head": { "corrId": "w-3", "version": "2026-04-01" },
                            "data": { "id": "greet-1", "state": "resolved", "value": { "data": "ImhlbGxvIGFkYSI=" } } } } }"""
    answer = server.post(fulfill, now_ms=1700000000200)
    assert answer["head"] == {"corrId": "w-2", "status": 200, "version": "2026-04-01"}
    assert answer["data"]["promise"]["value"] == {"data": "ImhlbGxvIGFkYSI="}
    assert answer["data"]["promise"]["settledAt"] == 1700000000200


def test_the_task_create_fence_and_suspend_of_section_3_2() -> None:
    server = TinyServer()
    create = """{ "kind": "task.create", "head": { "corrId": "c2", "version": "2026-04-01" },
      "data": { "pid": "7f3a", "ttl": 60000,
        "action": { "kind": "promise.create", "head": { "corrId": "c3", "version": "2026-04-01" },
          "data": { "id": "greet-2", "timeoutAt": 1700086400000,
                    "param": { "data": "eyJmdW5jIjoiZ3JlZXQiLCJhcmdzIjpbImFkYSJdLCJ2ZXJzaW9uIjoxfQ==" },
                    "tags": { "resonate:origin": "greet-2", "resonate:branch": "greet-2", "resonate:parent": "greet-2",
                              "resonate:scope": "global", "resonate:target": "poll://any@default" } } } } }"""
    made = server.post(create, now_ms=1700000000000)
    assert made["data"]["task"] == {
        "id": "greet-2",
        "state": "acquired",
        "version": 1,
        "resumes": 0,
        "ttl": 60000,
        "pid": "7f3a",
    }

    def fence(kind: str, data: dict[str, Any], now_ms: int) -> dict[str, Any]:
        held = {"id": "greet-2", "version": 1, "action": {"kind": kind, "data": data}}
        return server.post(envelope("task.fence", held, corrId="c4"), now_ms=now_ms)

    local = {"id": "greet-2:1", "timeoutAt": 1700086400000, "tags": {"resonate:scope": "local"}}
    fence("promise.create", local, 1700000000100)
    settle = {"id": "greet-2:1", "state": "resolved", "value": {"data": "Mg=="}}
    assert fence("promise.settle", settle, 1700000000200) == json.loads(
        """{ "kind": "task.fence", "head": { "corrId": "c4", "status": 200, "version": "2026-04-01" },
             "data": { "action": { "kind": "promise.settle",
                        "head": { "corrId": "c4", "status": 200, "version": "2026-04-01" },
                        "data": { "promise": { "id": "greet-2:1", "state": "resolved", "param": {},
                                  "value": { "data": "Mg==" }, "tags": { "resonate:scope": "local" },
                                  "timeoutAt": 1700086400000, "createdAt": 1700000000100, "settledAt": 1700000000200 } } },
            "preload": [] } }"""
    )
    remote = {"id": "greet-2:2", "timeoutAt": 1700086400000, "tags": TARGET_TAG}
    fence("promise.create", remote, 1700000000300)
    suspend = """{ "kind": "task.suspend", "head": { "corrId": "c5", "version": "2026-04-01" },
      "data": { "id": "greet-2", "version": 1,
        "actions": [ { "kind": "promise.register_callback", "head": { "corrId": "c6", "version": "2026-04-01" },
                       "data": { "awaited": "greet-2:2", "awaiter": "greet-2" } } ] } }"""
    assert server.post(suspend, now_ms=1700000000400) == {
        "kind": "task.suspend",
        "head": {"corrId": "c5", "status": 200, "version": "2026-04-01"},
        "data": {},
    }
