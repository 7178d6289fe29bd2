"""Waiting for a promise, through restarts of the server."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from resonate_faas_cli._api import Api, Json
from resonate_faas_cli._exits import Exit, Failure, command
from resonate_faas_cli._promises import is_settled

T = TypeVar("T")

HOLD_SECONDS_MAX: Final = 20
"""The longest that the server holds one request."""

RECONNECT_SECONDS: Final = 60.0
"""How long a server that has answered before may be away: a restart, a deployment."""

PAUSE_SECONDS: Final = 0.5
"""Between two requests, when the server did not hold the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """The clock that waiting goes by."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


SYSTEM: Final = Time()


class Patience:
    """Asks again and again, and bears with a server that is away for a while.

    Args:
        note: told once when the server goes away.
        clock: the time.
    """

    def __init__(self, note: Callable[[str], None], clock: Time = SYSTEM) -> None:
        self._note = note
        self._clock = clock
        self._has_answered = False
        self._lost_at: float | None = None
        self._asked_at = -math.inf

    def ask(self, request: Callable[[], T]) -> T | None:
        """Return the request's answer; None: the server is away for now.

        Raises:
            Failure: refused, or the server was never there, or is away for longer than a minute.
        """
        self._asked_at = self._clock.monotonic()
        try:
            answer = request()
        except Failure as failure:
            first = self._lost_at is None
            self._lost_at = self._asked_at if self._lost_at is None else self._lost_at
            is_over = self._asked_at - self._lost_at > RECONNECT_SECONDS
            if failure.exit_code is not Exit.UNREACHABLE or not self._has_answered or is_over:
                raise
            if first:
                self._note(f"{failure.message}; trying again for {RECONNECT_SECONDS:g} s")
            return None
        self._has_answered, self._lost_at = True, None
        return answer

    def pause(self, until: float = math.inf) -> None:
        """Wait out the rest of half a second since the last request began, not beyond ``until``."""
        now = self._clock.monotonic()
        left = min(self._asked_at + PAUSE_SECONDS, until) - now
        if left > 0:
            self._clock.sleep(left)


def wait(
    api: Api,
    promise_id: str,
    *,
    timeout_ms: int | None,
    note: Callable[[str], None],
    clock: Time = SYSTEM,
) -> Json:
    """Return a promise once it is settled.

    Args:
        api: the server.
        promise_id: the promise.
        timeout_ms: when to give up; None: never.
        note: told when the server is away.
        clock: the time.

    Raises:
        Failure: unknown, the time is up, or the server was never there or is gone for longer than a minute.
    """
    until = math.inf if timeout_ms is None else clock.monotonic() + timeout_ms / 1_000
    patience = Patience(note, clock)
    hold = 0  # ask once at once: an unknown id is told at once, and a server that dies later was there
    while True:
        promise = patience.ask(partial(api.get, "promises", promise_id, params={"wait": str(hold)}))
        if promise is not None and is_settled(promise):
            return promise
        if clock.monotonic() >= until:
            raise Failure(
                Exit.TIMED_OUT,
                f"{promise_id!r} is still pending",
                hint=f"It goes on; wait again with: {command('wait', promise_id)}",
            )
        if hold or promise is None:
            patience.pause(until)
        else:
            note(f"waiting for {promise_id}")
        left = max(until - clock.monotonic(), 0)
        hold = max(math.ceil(min(left, HOLD_SECONDS_MAX)), 1)
