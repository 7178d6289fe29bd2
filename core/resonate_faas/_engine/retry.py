"""Retry policies. ``wait(n)`` is asked before retry ``n`` (from 1); None stops (protocol section 7.8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class RetryPolicy(Protocol):
    """How long to wait before each retry."""

    def wait(self, retry: int) -> float | None:
        """Return the seconds to wait before retry number ``retry`` (from 1); None: give up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponential:
    """``delay * factor ** n`` seconds before retry n, capped. The default of steps: no end but the deadline.

    Attributes:
        delay: seconds; the first retry waits ``delay * factor``.
        factor: at least 1.
        max_retries: None: until the deadline of the call.
        max_delay: seconds.
    """

    delay: float = 1.0
    factor: float = 2.0
    max_retries: int | None = None
    max_delay: float = 60.0

    def wait(self, retry: int) -> float | None:
        """Return the seconds before the retry, or None."""
        if self.max_retries is not None and retry > self.max_retries:
            return None
        return min(self.delay * self.factor ** min(retry, 64), self.max_delay)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """``delay`` seconds before every retry."""

    delay: float = 1.0
    max_retries: int | None = None

    def wait(self, retry: int) -> float | None:
        """Return the seconds before the retry, or None."""
        return None if self.max_retries is not None and retry > self.max_retries else self.delay


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """``delay * n`` seconds before retry n."""

    delay: float = 1.0
    max_retries: int | None = None

    def wait(self, retry: int) -> float | None:
        """Return the seconds before the retry, or None."""
        return None if self.max_retries is not None and retry > self.max_retries else self.delay * retry


@dataclass(frozen=True, slots=True, kw_only=True)
class Never:
    """No retries. The default of workflows: their steps retry."""

    def wait(self, retry: int) -> float | None:
        """Return None."""
        del retry
        return None
