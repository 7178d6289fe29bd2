"""Values as short text, for reports and comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic_core import to_json

from resonate_faas._engine.codec import canonical

SHOWN_CHARS_MAX: Final = 160
"""A longer value is cut in the middle of a report; the comparison sees all of it."""


def exact(value: Any) -> str:
    """Return a value as text that is equal for equal values: canonical JSON; what JSON can't say by its repr."""
    try:
        return to_json(canonical(value), inf_nan_mode="constants", bytes_mode="base64").decode()
    except (ValueError, TypeError, RecursionError):
        return repr(value)


def short(text: str) -> str:
    """Return one line that fits a report."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARS_MAX else f"{line[: SHOWN_CHARS_MAX - 1]}…"


def called(name: str, args: Iterable[Any], kwargs: Mapping[str, Any]) -> str:
    """Return a call as it would be written: ``charge('ada', amount=12)``."""
    words = [*(repr(arg) for arg in args), *(f"{key}={value!r}" for key, value in kwargs.items())]
    return short(f"{name}({', '.join(words)})")


def moment(instant_ms: int) -> datetime:
    """Return an instant of the records, in UTC."""
    return datetime.fromtimestamp(instant_ms / 1000, tz=UTC)


def span(duration: timedelta) -> str:
    """Return a duration in words: 7 days, 0:00:30."""
    text = str(duration).removesuffix(", 0:00:00")
    return text.partition(".")[0] if duration >= timedelta(seconds=1) else f"{duration.total_seconds():g} s"
