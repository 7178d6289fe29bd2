"""The message pushed to a worker, as JSON (protocol sections 1.3 and 9.1): plain code, for a cold start meets it first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import from_json

from resonate_faas._machine.ids import id_error

BODY_MISSING: Final = "Request body missing."
NOT_AN_EXECUTE: Final = "Request body must be a valid execute message."
VERSION_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedExecute:
    """An execute message pushed by a Resonate server: a hint to acquire the task at this version."""

    id: str
    version: int
    server_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidMessage:
    """A body that is no execute message; answer 400 with this text."""

    error: str


def load_json(raw: bytes | bytearray | str) -> Any:
    """Return the JSON value of a body.

    Raises:
        ValueError: it is not JSON (NaN, lone surrogates and endless nesting are not), or not UTF-8.
    """
    return from_json(raw.encode() if isinstance(raw, str) else raw, allow_inf_nan=False)


def encode_execute(task_id: str, version: int, server_url: str | None = None) -> dict[str, Any]:
    """Return an execute message (protocol section 1.3); the head is an object even when empty."""
    return {
        "kind": "execute",
        "head": {} if server_url is None else {"serverUrl": server_url},
        "data": {"task": {"id": task_id, "version": version}},
    }


def decode_message(raw: object) -> PushedExecute | InvalidMessage:
    """Return the pushed execute message, or why the body is none (protocol section 9.1).

    Args:
        raw: the body (bytes or text), the JSON value it holds, or None where there is no body.
    """
    if raw is None or raw in (b"", ""):
        return InvalidMessage(error=BODY_MISSING)
    try:
        value: Any = load_json(raw) if isinstance(raw, bytes | bytearray | str) else raw
    except ValueError:
        return InvalidMessage(error=NOT_AN_EXECUTE)
    return _pushed(value) or InvalidMessage(error=NOT_AN_EXECUTE)


def _pushed(value: Any) -> PushedExecute | None:
    if not isinstance(value, dict) or value.get("kind") != "execute":
        return None
    head, data = value.get("head"), value.get("data")
    task = data.get("task") if isinstance(data, dict) else None
    if not isinstance(task, dict) or not (head is None or isinstance(head, dict)):
        return None
    task_id, version = task.get("id"), task.get("version", 0)
    server_url = head.get("serverUrl") if head is not None else None
    if not isinstance(task_id, str) or id_error(task_id) is not None:
        return None
    if not isinstance(version, int) or isinstance(version, bool) or not 0 <= version <= VERSION_MAX:
        return None
    if not (server_url is None or isinstance(server_url, str)):
        return None
    return PushedExecute(id=task_id, version=version, server_url=server_url)
