"""Why an execution waits, in a sentence: from what the server tells. What takes long to come about stands here."""

from __future__ import annotations

from typing import Any

import pytest

from resonate_faas_cli._why import lines, sentence

NOW = 1_700_000_000_000
NOTHING: dict[str, Any] = {"count": 0, "promises": []}


def known(task: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    promise = {
        "id": "order-1",
        "state": "pending",
        "createdAt": NOW - 90_000,
        "timeoutAt": NOW + 3_600_000,
        "tags": {},
        **more.pop("promise", {}),
    }
    document = {
        "promise": promise,
        "at": NOW,
        "call": {"kind": "rpc", "function": "order", "version": 1},
        "callbacks": {"count": 0, "ids": []},
        "listeners": {"count": 0, "addresses": []},
        "awaits": NOTHING,
        "retries": NOTHING,
        "calls": NOTHING,
        "budget": {"promises": 12, "promisesMax": 10_000, "leaseMs": 30_000, "replayMs": 0},
        **more,
    }
    if task is not None:
        full = {"version": 1, "dispatches": 0, "barren": 0, "barrenMax": 10, "resumes": 0}
        document["task"] = {**full, "target": "sqs://orders", **task}
    return document


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (
            known({"state": "pending", "dispatches": 1, "nextDispatchAt": NOW + 4_000}),
            "it was sent to sqs://orders, and is not taken yet",
        ),
        (
            known({"state": "pending", "dispatches": 7, "nextDispatchAt": NOW + 4_000}),
            "it was sent 7 times to sqs://orders, and nobody took it: is a worker there?",
        ),
        (
            known({"state": "pending", "nextDispatchAt": NOW + 65_000}),
            "it starts in 1m05s",
        ),
        (
            known(
                {"state": "pending", "barren": 4, "backsOffUntil": NOW + 40_000, "nextDispatchAt": NOW},
                promise={"reason": "'order' is not registered"},
            ),
            "it backs off for another 40s, since 4 activations recorded nothing new: 'order' is not registered",
        ),
        (
            known({"state": "acquired", "pid": "p1", "leaseExpiresAt": NOW + 9_000}),
            "it runs, held by p1; the lease ends in 9s unless it is extended",
        ),
        (
            known({"state": "acquired", "pid": "p1", "leaseExpiresAt": NOW - 1}),
            "its holder p1 is gone; another one takes over within moments",
        ),
        (
            known({"state": "suspended"}),
            (
                "it waits for an execution with an id of its own, which is not in this tree: "
                "resonate-faas promises search --tag resonate:parent=order-1"
            ),
        ),
        (
            known(call={"kind": "run", "function": "charge", "parent": "order-1"}),
            "nobody runs it: it waits for somebody to settle it",
        ),
        (
            known(
                promise={
                    "state": "rejected",
                    "settledAt": NOW,
                    "error": {"code": "application", "name": "OrderError", "message": "out of stock"},
                }
            ),
            "it waits for nothing: failed: OrderError: out of stock, after 1m30s",
        ),
    ],
)
def test_each_way_to_stand_still_has_its_sentence(document: dict[str, Any], said: str) -> None:
    assert sentence(document) == said
    assert next(iter(lines(document))).endswith(f": {said}")


def test_the_lease_the_count_of_messages_and_a_large_history_are_shown() -> None:
    task = {"state": "acquired", "pid": "p1", "leaseExpiresAt": NOW + 9_000, "barren": 3}
    budget = {"promises": 6_000, "promisesMax": 10_000, "leaseMs": 30_000, "replayMs": 0}
    said = "\n".join(lines(known(task, budget=budget)))
    assert "3 of 10 activations without a new record; held by p1 until 2023-11-14 22:13:29Z" in said
    assert "6,000 of 10,000 promises" in said
    assert "over 50% of the limit, split the loop with ctx.detached" in said


@pytest.mark.parametrize(
    ("took_ms", "said"),
    [
        (400, "took 400ms the last time and must end well within a lease of 30s"),
        (16_000, "lease of 30s: over 50% of the lease, split the loop with ctx.detached"),
    ],
)
def test_what_the_last_replay_took_is_told_beside_the_lease(took_ms: int, said: str) -> None:
    budget = {"promises": 12, "promisesMax": 10_000, "leaseMs": 30_000, "replayMs": took_ms}
    assert said in "\n".join(lines(known({"state": "suspended"}, budget=budget)))


def test_what_others_wrote_can_not_steer_the_terminal() -> None:
    document = known({"state": "halted"}, promise={"reason": "\x1b[2Jgone"})
    assert "\x1b" not in "".join(lines(document))
