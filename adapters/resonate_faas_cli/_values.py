"""What people type, as values: durations, JSON or text, name=value pairs. Each function raises ValueError with the cure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NoReturn

_UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_DIGITS: Final = re.compile(r"([0-9]+)")
_SECONDS: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
DURATION_MS_MAX: Final = 100 * 365 * 86_400_000
"""100 years, the engine's own bound."""


def parse_duration(text: str) -> int:
    """Return a duration in milliseconds.

    Args:
        text: seconds (``90``, ``0.5``) or numbers with units, largest first or not (``1h30m``, ``500ms``, ``2d``).

    Raises:
        ValueError: not of this form, or over 100 years.
    """
    clean = text.strip()
    if _SECONDS.fullmatch(clean):
        total = float(clean) * 1_000
    else:
        parts = _PART.findall(clean)
        if not parts or "".join(number + unit for number, unit in parts) != clean:
            raise ValueError(
                f"{text!r} is no duration: write seconds (90) or numbers with units (1h30m, 500ms, 2d)"
            )
        total = sum(float(number) * _UNITS_MS[unit] for number, unit in parts)
    if total > DURATION_MS_MAX:
        raise ValueError(f"{text!r} is longer than 100 years")
    return round(total)


def format_duration(milliseconds: int) -> str:
    """Return a duration for people: ``350ms``, ``2.4s``, ``1m05s``, ``2h03m``, ``3d4h``."""
    if milliseconds < 0:
        return f"-{format_duration(-milliseconds)}"
    if milliseconds < 1_000:
        return f"{milliseconds}ms"
    if milliseconds < 60_000:
        return f"{milliseconds // 100 / 10:g}s"
    seconds = milliseconds // 1_000
    if seconds < 3_600:
        return f"{seconds // 60}m{seconds % 60:02}s"
    if seconds < 86_400:
        return f"{seconds // 3_600}h{seconds % 3_600 // 60:02}m"
    return f"{seconds // 86_400}d{seconds % 86_400 // 3_600}h"


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key that puts ``root:2`` before ``root:10``."""
    return tuple(
        (0, int(part), "") if part.isdecimal() and len(part) <= 26 else (1, 0, part)
        for part in _DIGITS.split(text)
        if part
    )


def parse_json(text: str) -> Any:
    """Return the value of JSON text, strictly: no NaN, no Infinity.

    Raises:
        ValueError: not JSON; says where.
    """
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse_json_or_text(text: str) -> Any:
    """Return the value of JSON text, or the text itself: ``3`` is a number, ``ada`` a text, ``'"3"'`` the text 3."""
    try:
        return parse_json(text)
    except ValueError:
        return text


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def arguments(words: Sequence[str], extra: Sequence[str], whole: str | None) -> list[Any]:
    """Return the positional arguments of a function.

    Args:
        words: JSON or text, as they stand on the command line.
        extra: the same, from ``--arg``; they follow the words.
        whole: the JSON array of ``--json-args``, instead of the others.

    Raises:
        ValueError: both forms are mixed, or the array is none.
    """
    if whole is None:
        return [parse_json_or_text(text) for text in (*words, *extra)]
    if words or extra:
        raise ValueError("give either --json-args or single arguments, not both")
    try:
        found = parse_json(whole)
    except ValueError as error:
        raise ValueError(f"--json-args is not JSON: {error}") from error
    if not isinstance(found, list):
        raise ValueError(  # noqa: TRY004 - what was typed is wrong, not a type in the program
            "--json-args must be an array, such as '[3, \"ada\"]'"
        )
    return found


def keyword_arguments(texts: Iterable[str]) -> dict[str, Any]:
    """Return the keyword arguments of a function.

    Args:
        texts: each ``name=VALUE``, where VALUE is JSON or text, or a JSON object of several.

    Raises:
        ValueError: neither form, or a name twice.
    """
    found: dict[str, Any] = {}
    for text in texts:
        for name, value in _pairs(text).items():
            if name in found:
                raise ValueError(f"keyword argument {name!r} is given twice")
            found[name] = value
    return found


def _pairs(text: str) -> dict[str, Any]:
    if text.lstrip().startswith("{"):
        try:
            whole = parse_json(text)
        except ValueError as error:
            raise ValueError(f"{text!r} is no JSON object: {error}") from error
        if isinstance(whole, dict):
            return whole
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"{text!r} is neither name=VALUE nor a JSON object")
    return {name: parse_json_or_text(value)}


def tags(texts: Iterable[str]) -> dict[str, str]:
    """Return tags; each text is ``name=value``, the value taken as it is.

    Raises:
        ValueError: not of this form, or a name twice with different values.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ValueError(f"{text!r} is not name=value")
        if found.get(name, value) != value:
            raise ValueError(f"tag {name!r} is given twice with different values")
        found[name] = value
    return found
