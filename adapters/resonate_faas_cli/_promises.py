"""A promise as the routes show it: how it stands, in lines and in an exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from resonate_faas_cli._exits import Exit
from resonate_faas_cli._output import Output
from resonate_faas_cli._payloads import error_text, plain
from resonate_faas_cli._tree import ICONS, PENDING
from resonate_faas_cli._values import format_duration

Json = dict[str, Any]


def is_settled(promise: Json) -> bool:
    """True if nothing about it will change any more."""
    return promise.get("state") != PENDING


def failure_text(promise: Json) -> str:
    """Return how it failed, in one line."""
    said = error_text(promise.get("error"))
    state = str(promise.get("state"))
    words = {"rejected_canceled": "cancelled", "rejected_timedout": "its deadline passed"}.get(state, "failed")
    return f"{words}: {said}" if said else words


def instant(milliseconds: object) -> str:
    """Return an instant for people, UTC; "" if there is none that a calendar can show."""
    if not isinstance(milliseconds, int):
        return ""
    try:
        shown = datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return str(milliseconds)
    return f"{shown:%Y-%m-%d %H:%M:%S}Z"


def show(promise: Json, out: Output) -> None:
    """Write a promise."""
    if out.as_json:
        out.document(promise)
    else:
        out.lines(lines(promise))


def lines(promise: Json) -> Iterator[str]:
    """Yield a promise's lines, the first one its id and state."""
    state = str(promise.get("state"))
    yield " ".join(word for word in (plain(str(promise["id"])), ICONS.get(state, ""), state) if word)
    created, settled = promise.get("createdAt"), promise.get("settledAt")
    took = (
        f" (after {format_duration(settled - created)})"
        if isinstance(created, int) and isinstance(settled, int)
        else ""
    )
    fields = {
        "created": instant(created),
        "settled": f"{instant(settled)}{took}" if settled is not None else "",
        "deadline": instant(promise.get("timeoutAt")) if settled is None else "",
        "reason": str(promise.get("reason") or ""),
        "result": json.dumps(promise.get("value"), ensure_ascii=False) if state == "resolved" else "",
        "error": failure_text(promise) if state.startswith("rejected") else "",
    }
    for name, text in fields.items():
        if text:
            yield f"  {name:<9} {plain(text)}"


def finish(promise: Json, out: Output) -> None:
    """Write how a settled promise ended: its result alone, or why it failed; the exit code tells which."""
    if out.as_json:
        out.document(promise)
    elif promise.get("state") == "resolved":
        out.value(promise.get("value"))
    else:
        out.note(f"{plain(str(promise['id']))} {plain(failure_text(promise))}")
    if promise.get("state") != "resolved":
        out.exit_code = Exit.FAILED
