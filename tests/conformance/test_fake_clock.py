"""The fake clock: time passes by advance alone."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from resonate_faas.testing import EPOCH_MS, FakeClock

JOIN_S = 10.0
"""Never reached by a test that passes."""


def waiting(clock: FakeClock, event: threading.Event, timeout_ms: int) -> Callable[[], bool]:
    """Start a thread that waits in the clock; return how to learn what it was told."""
    told: list[bool] = []
    thread = threading.Thread(target=lambda: told.append(clock.wait(event, timeout_ms)), daemon=True)
    thread.start()

    def answer() -> bool:
        thread.join(JOIN_S)
        return told[0]

    return answer


def test_time_stands_still_until_it_is_advanced() -> None:
    clock = FakeClock()
    assert (clock.now_ms(), clock.monotonic_ms()) == (EPOCH_MS, 0)
    clock.advance(1_500)
    assert (clock.now_ms(), clock.monotonic_ms()) == (EPOCH_MS + 1_500, 1_500)


def test_advance_to_stops_at_the_instant_and_never_goes_back() -> None:
    clock = FakeClock()
    clock.advance_to(EPOCH_MS + 10)
    clock.advance_to(EPOCH_MS + 5)
    assert clock.now_ms() == EPOCH_MS + 10


def test_time_does_not_run_backwards() -> None:
    clock = FakeClock()
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)


def test_a_shift_moves_the_wall_clock_alone() -> None:
    clock = FakeClock()
    clock.advance(100)
    clock.shift(-5_000)
    assert (clock.now_ms(), clock.monotonic_ms()) == (EPOCH_MS - 4_900, 100)


def test_a_wait_ends_when_its_event_is_set() -> None:
    clock, event = FakeClock(), threading.Event()
    answer = waiting(clock, event, 10**9)
    clock.await_waiters(1)
    event.set()
    assert answer() is True
    assert clock.monotonic_ms() == 0


def test_a_wait_ends_when_time_has_passed_and_not_before() -> None:
    clock, event = FakeClock(), threading.Event()
    answer = waiting(clock, event, 1_000)
    clock.await_waiters(1)
    clock.advance(999)
    clock.await_waiters(1)
    clock.advance(1)
    assert answer() is False


class AdvancingEvent:
    """An event that is never set; each look at it takes time."""

    def __init__(self, clock: FakeClock, step_ms: int) -> None:
        self.clock, self.step_ms, self.looks = clock, step_ms, 0

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.looks += 1
        self.clock.advance(self.step_ms)
        return False

    def is_set(self) -> bool:
        return False


def test_a_wait_lasts_until_its_very_deadline() -> None:
    clock = FakeClock()
    event = AdvancingEvent(clock, step_ms=250)
    assert clock.wait(event, 1_000) is False
    assert event.looks == 4


def test_a_shift_ends_no_wait() -> None:
    clock, event = FakeClock(), threading.Event()
    answer = waiting(clock, event, 1_000)
    clock.await_waiters(1)
    clock.shift(10**9)
    clock.advance(999)
    clock.await_waiters(1)
    event.set()
    assert answer() is True


def test_a_wait_for_a_set_event_or_for_no_time_returns_at_once() -> None:
    clock, event = FakeClock(), threading.Event()
    assert clock.wait(event, 0) is False
    assert clock.wait(event, -5) is False
    event.set()
    assert clock.wait(event, 10**9) is True


def test_an_automatic_clock_advances_when_its_maker_waits() -> None:
    clock, event = FakeClock(auto=True), threading.Event()
    assert clock.wait(event, 86_400_000) is False
    assert clock.monotonic_ms() == 86_400_000


def test_an_automatic_clock_is_not_advanced_by_other_threads() -> None:
    clock, event = FakeClock(auto=True), threading.Event()
    answer = waiting(clock, event, 1_000)
    clock.await_waiters(1)
    assert clock.monotonic_ms() == 0
    clock.wait(threading.Event(), 1_000)
    assert answer() is False


def test_missing_waiters_are_told() -> None:
    with pytest.raises(AssertionError, match="0 threads wait"):
        FakeClock().await_waiters(1, within_s=0.01)
