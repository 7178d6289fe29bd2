"""How long a task that records nothing new is left alone before it is tried again (design section 7, barren)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from resonate_faas._machine.objects import PromiseObject, Rules

BACK_OFF_MS: Final = 5_000
BACK_OFF_MAX_MS: Final = 15 * 60_000


def back_off_ms(count: int) -> int:
    """Return the pause before activation ``count`` + 1: 5 s, doubling up to 15 min."""
    return int(min(BACK_OFF_MS * 2 ** min(max(count - 1, 0), 16), BACK_OFF_MAX_MS))


def rested(pending: PromiseObject, rules: Rules, *, now_ms: int, always: bool = False) -> PromiseObject:
    """Return a task that just became pending, told to wait if its last activations recorded nothing new.

    ``always``: back off whatever the count (another version of the code may know better).
    """
    if not always and pending.barren < rules.barren_patience:
        return pending
    return replace(pending, not_before=now_ms + back_off_ms(pending.barren))


def exhausted(stored: PromiseObject, rules: Rules, reason: str | None) -> str | None:
    """Return the reason to halt the task; None while it may still be tried."""
    if stored.barren < rules.barren_max:
        return None
    return reason or stored.reason or f"{stored.barren} activations in a row recorded nothing new"
