"""Waiting for a promise, through restarts of the server."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from resonate_faas_cli._api import Api, Json
from resonate_faas_cli._exits import Exit, Failure
from resonate_faas_cli._promises import is_settled

HOLD_SECONDS_MAX: Final = 20
"""The longest that the server holds one request."""

RECONNECT_SECONDS: Final = 60.0
"""How long a server that has answered before may be away: a restart, a deployment."""

_PAUSE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """The clock that waiting goes by."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


SYSTEM: Final = Time()


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
    lost_at: float | None = None
    has_answered = False
    while True:
        started = clock.monotonic()
        left = until - started
        hold = min(HOLD_SECONDS_MAX, max(math.ceil(left), 0)) if left < HOLD_SECONDS_MAX else HOLD_SECONDS_MAX
        try:
            promise = api.get("promises", promise_id, params={"wait": str(hold)})
        except Failure as failure:
            lost_at = started if lost_at is None else lost_at
            is_over = started - lost_at > RECONNECT_SECONDS
            if failure.exit_code is not Exit.UNREACHABLE or not has_answered or is_over:
                raise
            if lost_at == started:
                note(f"{failure.message}; trying again for {RECONNECT_SECONDS:g} s")
        else:
            has_answered, lost_at = True, None
            if is_settled(promise):
                return promise
        now = clock.monotonic()
        if now >= until:
            raise Failure(
                Exit.TIMED_OUT,
                f"{promise_id!r} is still pending",
                hint=f"It goes on; wait again with: resonate-faas wait {promise_id}",
            )
        if now - started < _PAUSE_SECONDS:
            clock.sleep(min(_PAUSE_SECONDS, until - now))  # the server did not hold the request
