"""Options of a call, as ``ctx.options(...)`` takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from resonate_faas._engine.retry import RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What one call does differently.

    Attributes:
        timeout: relative deadline; None: the function's own, else one day. Never beyond the caller's deadline.
        retry: replaces the policy of the step.
        non_retryable: errors of these classes reject at once.
        target: an address (has ``://``) or a group name; None: where the caller runs.
        version: of the function; 0: the newest registered.
        id: of an rpc, promise or detached call: its own root id instead of the next child's.
        tags: added to the promise's; the reserved ones (``resonate:``) can't be overridden.
    """

    timeout: timedelta | None = None
    retry: RetryPolicy | None = None
    non_retryable: tuple[type[BaseException], ...] = ()
    target: str | None = None
    version: int = 0
    id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


NO_OPTIONS: Final = Options()


def milliseconds(duration: timedelta | float, what: str) -> int:
    """Return a duration in milliseconds, rounded up.

    Args:
        duration: seconds or timedelta; not negative, at most 100 years.
        what: names it in errors.

    Raises:
        ValueError: negative, too long, or not a number.
    """
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else float(duration)
    if not 0 <= seconds <= 100 * 365.25 * 86_400:
        raise ValueError(f"{what} must be from 0 to 100 years in seconds, got {seconds}")
    return -int(-seconds * 1000 // 1)
