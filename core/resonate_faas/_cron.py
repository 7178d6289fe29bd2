"""Cron expressions: five fields, names allowed, Sunday 0 or 7, an IANA time zone (design section 10, D20)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from resonate_faas._errors import CronError

_NAMES: Final = "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC|SUN|MON|TUE|WED|THU|FRI|SAT"
_FIELD: Final = re.compile(rf"(?:[0-9*,/\-]|{_NAMES})+", re.IGNORECASE)
"""What plain cron knows. CronSim also reads L, LW and #; another implementation would not, so nobody may use them."""


def next_run(expression: str, zone: str, after_ms: int) -> int:
    """Return the first instant strictly after ``after_ms`` that the expression names, epoch milliseconds.

    Args:
        expression: five fields: minute, hour, day of month, month, day of week.
        zone: IANA name. A time skipped by a clock change runs at the change, a doubled one once.
        after_ms: epoch milliseconds.

    Raises:
        CronError: the expression has not five valid fields, never fires, or the zone is unknown.
    """
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 - only deployments with schedules need it

    fields = expression.split()
    if len(fields) != 5:
        raise CronError(expression, "it needs five fields: minute, hour, day of month, month, day of week")
    for text in fields:
        if _FIELD.fullmatch(text) is None:
            raise CronError(expression, f"{text!r} is more than numbers, names, '*', ',', '-' and '/'")
    try:
        start = datetime.fromtimestamp(after_ms / 1000, tz=UTC).astimezone(ZoneInfo(zone))
        following = next(found for found in CronSim(expression, start) if found.timestamp() * 1000 > after_ms)
    except CronSimError as error:
        raise CronError(expression, str(error)) from error
    except (ZoneInfoNotFoundError, ValueError, OSError, OverflowError) as error:
        raise CronError(expression, f"unknown time zone {zone!r}") from error
    except StopIteration as error:
        raise CronError(expression, "it never fires") from error
    return int(following.timestamp() * 1000)


def occurrences(
    expression: str, zone: str, first_ms: int, until_ms: int, *, count_max: int
) -> tuple[list[int], int]:
    """Return the first instants from ``first_ms`` to ``until_ms``, and the one after them.

    Args:
        expression: as in :func:`next_run`.
        zone: as in :func:`next_run`.
        first_ms: an occurrence.
        until_ms: now.
        count_max: instants at most; the caller comes back for the rest.
    """
    found: list[int] = []
    instant = first_ms
    while instant <= until_ms and len(found) < count_max:
        found.append(instant)
        instant = next_run(expression, zone, instant)
    return found, instant


__all__ = ["CronError", "next_run", "occurrences"]
