"""A clock that only tests move."""

from __future__ import annotations

import threading
from typing import Final

from resonate_faas._ports import Event

EPOCH_MS: Final = 1_700_000_000_000
"""Where a fake clock starts: a fixed instant, so that a failing test prints the same numbers each time."""

_NOTICE_S: Final = 0.002


class FakeClock:
    """The Clock port for tests: time passes by :meth:`advance` alone. Thread-safe.

    A wait ends when its event is set or when another thread advances the clock to its deadline, never because
    wall-clock time passed. With ``auto``, a wait of the thread that made the clock advances the time itself
    instead of blocking, so that single-threaded code sleeps for hours at once; waits of other threads (a
    heartbeat's, say) block as ever, else they would race the time away.

    Args:
        now_ms: where the wall clock starts.
        auto: as above.
    """

    def __init__(self, now_ms: int = EPOCH_MS, *, auto: bool = False) -> None:
        self._changed = threading.Condition()
        self._wall_ms = now_ms
        self._passed_ms = 0
        self._waiting = 0
        self._driver = threading.get_ident() if auto else None

    def now_ms(self) -> int:
        """Return the wall clock, epoch milliseconds."""
        with self._changed:
            return self._wall_ms

    def monotonic_ms(self) -> int:
        """Return the milliseconds advanced since the start; :meth:`shift` does not move it."""
        with self._changed:
            return self._passed_ms

    def wait(self, event: Event, timeout_ms: int) -> bool:
        """Wait until the event is set or the clock has advanced by ``timeout_ms``; return whether it is set."""
        with self._changed:
            deadline_ms = self._passed_ms + max(timeout_ms, 0)
        if event.is_set():
            return True
        if threading.get_ident() == self._driver:
            self.advance(max(timeout_ms, 0))
            return event.is_set()
        with self._changed:
            self._waiting += 1
            self._changed.notify_all()
        try:
            # A foreign event can't be told of our time: look at both; an event is noticed at once, time soon.
            while not event.wait(_NOTICE_S) and self.monotonic_ms() < deadline_ms:
                pass
        finally:
            with self._changed:
                self._waiting -= 1
                self._changed.notify_all()
        return event.is_set()

    def advance(self, ms: int) -> None:
        """Let time pass, on both clocks."""
        if ms < 0:
            raise ValueError("time does not run backwards; shift() moves the wall clock alone")
        with self._changed:
            self._wall_ms += ms
            self._passed_ms += ms
            self._changed.notify_all()

    def advance_to(self, now_ms: int) -> None:
        """Let time pass until the wall clock shows the instant; nothing if it already does."""
        with self._changed:
            missing = now_ms - self._wall_ms
        self.advance(max(missing, 0))

    def shift(self, ms: int) -> None:
        """Set the wall clock forward or back, as a correction of a skewed clock does; no time passes."""
        with self._changed:
            self._wall_ms += ms

    def await_waiters(self, count: int, *, within_s: float = 10.0) -> None:
        """Block until ``count`` threads wait in this clock, so that an advance finds them there.

        Raises:
            AssertionError: they did not come within ``within_s`` seconds of real time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting >= count, within_s):
                raise AssertionError(f"{self._waiting} threads wait in the clock, {count} were expected")
