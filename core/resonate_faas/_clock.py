"""The real clock."""

from __future__ import annotations

import time

from resonate_faas._ports import Event


class SystemClock:
    """See :class:`resonate_faas.Clock`."""

    def now_ms(self) -> int:
        """Return the wall clock, epoch milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Return a clock that never runs backwards, milliseconds."""
        return time.monotonic_ns() // 1_000_000

    def wait(self, event: Event, timeout_ms: int) -> bool:
        """Wait until the event is set or the time has passed."""
        return event.wait(max(timeout_ms, 0) / 1000)
