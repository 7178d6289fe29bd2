"""A promise as the routes show it: how it stands, in lines and in an exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from resonate_faas_cli._exits import Exit, command
from resonate_faas_cli._output import Output
from resonate_faas_cli._payloads import error_text, plain, short
from resonate_faas_cli._tree import ICONS, PENDING
from resonate_faas_cli._values import format_duration

Json = dict[str, Any]

_ENDINGS: Final = {"rejected_canceled": "cancelled", "rejected_timedout": "timed out"}
_PLAIN_CODES: Final = frozenset({"timeout", "canceled"})
"""Errors whose message says it all."""


def is_settled(promise: Json) -> bool:
    """True if nothing about it will change any more."""
    return promise.get("state") != PENDING


def failure_text(promise: Json) -> str:
    """Return how it failed, in one line."""
    error = promise.get("error")
    if isinstance(error, dict) and error.get("code") in _PLAIN_CODES:
        error = error.get("message")
    said = short(error) if isinstance(error, str) else error_text(error)
    words = _ENDINGS.get(str(promise.get("state")), "failed")
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
        "task": _task(promise),
        "reason": str(promise.get("reason") or ""),
        "result": json.dumps(promise["value"], ensure_ascii=False) if "value" in promise else "",
        "unread": str(promise.get("undecodable") or ""),
        "error": failure_text(promise) if state.startswith("rejected") else "",
    }
    for name, text in fields.items():
        if text:
            yield f"  {name:<9} {plain(text)}"


def _task(promise: Json) -> str:
    task = promise.get("task")
    if not isinstance(task, dict) or is_settled(promise):
        return ""
    following = task.get("nextDispatchAt")
    if task.get("state") == "halted":
        return f"halted; once the reason is gone: {command('tasks', 'continue', str(promise['id']))}"
    when = f", next at {instant(following)}" if following is not None else ""
    return f"{task.get('state')}{when}"


def finish(promise: Json, out: Output) -> None:
    """Write how a settled promise ended: its result alone, or why it failed; the exit code tells which."""
    is_resolved = promise.get("state") == "resolved"
    text = ""
    if "undecodable" in promise:
        out.exit_code = Exit.UNREACHABLE if is_resolved else Exit.FAILED
        text = f"its outcome can't be read: {promise['undecodable']}; the record is in the output of --json"
    elif not is_resolved:
        out.exit_code = Exit.FAILED
        text = failure_text(promise)
    if out.as_json:
        out.document(promise)
    elif text:
        out.note(f"{promise['id']} {text}")
    else:
        out.value(promise.get("value"))
