"""Cron expressions: five fields, names allowed, Sunday 0 or 7, an IANA time zone (design section 10, D20)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from resonate_faas._errors import CronError

OCCURRENCES_MAX: Final = 100
"""Missed occurrences fired by one step; the rest follow in the next ones."""


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

    if len(expression.split()) != 5:
        raise CronError(expression, "it needs five fields: minute, hour, day of month, month, day of week")
    try:
        start = datetime.fromtimestamp(after_ms / 1000, tz=UTC).astimezone(ZoneInfo(zone))
        following = next(CronSim(expression, start))
    except CronSimError as error:
        raise CronError(expression, str(error)) from error
    except (ZoneInfoNotFoundError, ValueError, OSError, OverflowError) as error:
        raise CronError(expression, f"unknown time zone {zone!r}") from error
    except StopIteration as error:
        raise CronError(expression, "it never fires") from error
    return int(following.timestamp() * 1000)


def occurrences(expression: str, zone: str, first_ms: int, until_ms: int) -> tuple[list[int], int]:
    """Return the instants from ``first_ms`` to ``until_ms``, at most 100, and the one after them.

    Args:
        expression: as in :func:`next_run`.
        zone: as in :func:`next_run`.
        first_ms: an occurrence.
        until_ms: now.
    """
    found: list[int] = []
    instant = first_ms
    while instant <= until_ms and len(found) < OCCURRENCES_MAX:
        found.append(instant)
        instant = next_run(expression, zone, instant)
    return found, instant


__all__ = ["OCCURRENCES_MAX", "CronError", "next_run", "occurrences"]
