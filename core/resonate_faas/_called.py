"""What a promise stands for, read from its param for people: operations must not fail over a record that they can't read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import from_json

from resonate_faas._engine.codec import Codec
from resonate_faas._errors import DecodingError
from resonate_faas._machine.objects import PARENT, Promise

_PLAIN: Final = Codec()


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """What a promise stands for, as its param and tags say.

    Attributes:
        kind: run, rpc, detached, sleep, promise, now, race, retry or patch; "" if the record does not say.
        function: the name of what is called; "" if there is none, or it can't be read.
        version: of the function; 0: not on record.
        code: the fingerprint of the code that the execution was started with; "" if it is not on record.
        attempt: of a retry: how many attempts have failed; else 0.
        error: of a retry: what the last attempt failed with, as a rejection's body; else None.
        is_readable: its param could be read.
        parent: who called it; "" for a root.
    """

    kind: str = ""
    function: str = ""
    version: int = 0
    code: str = ""
    attempt: int = 0
    error: Any = None
    is_readable: bool = True
    parent: str = ""


def called(promise: Promise, codec: Codec = _PLAIN) -> Called:
    """Return what a promise stands for.

    Args:
        promise: any.
        codec: reads encrypted params.
    """
    parent = promise.tags.get(PARENT, "")
    parent = "" if parent == promise.id else parent
    fields = _fields(promise, codec)
    if fields is None:
        return Called(is_readable=False, parent=parent)
    attempt, version = fields.get("attempt"), fields.get("version")
    function = fields.get("func")
    if not isinstance(version, int) or not version:
        version = 1 if isinstance(function, str) and promise.target is not None else 0
    return Called(
        kind=_text(fields.get("kind")),
        function=_text(function),
        version=version,
        code=_text(fields.get("code")),
        attempt=attempt if isinstance(attempt, int) else 0,
        error=fields.get("error"),
        parent=parent,
    )


def _fields(promise: Promise, codec: Codec) -> dict[str, Any] | None:
    """Return what a param says; None: it can't be read."""
    for reader in (_PLAIN, codec):  # what holds nothing of the user's is never encrypted
        try:
            encoded = reader.unpack(promise.param, promise.id)
            fields = from_json(encoded) if encoded is not None else {}
        except (DecodingError, ValueError):
            continue
        return fields if isinstance(fields, dict) else {}
    return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


__all__ = ["Called", "called"]
