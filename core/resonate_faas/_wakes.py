"""Which pokes a step arms, so that things happen at their instant and not at the next sweep (design section 5)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from resonate_faas._machine import Turn
from resonate_faas._machine.objects import (
    Object,
    Poke,
    PromiseObject,
    PromiseState,
    ScheduleObject,
    TaskState,
)

REARMED_MAX: Final = 10_000


class Rearmed:
    """The pokes that this process sent again, by object. Thread-safe; what it forgets costs a message, no more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._instants: OrderedDict[str, int] = OrderedDict()

    def is_first(self, key: str, instant_ms: int) -> bool:
        """True the first time that the object is to be poked at this instant."""
        with self._lock:
            if self._instants.get(key) == instant_ms:
                return False
            self._instants[key] = instant_ms
            self._instants.move_to_end(key)
            if len(self._instants) > REARMED_MAX:
                self._instants.popitem(last=False)
            return True


@dataclass(frozen=True, slots=True, kw_only=True)
class WakePolicy:
    """How far ahead pokes reach.

    Attributes:
        horizon_ms: the queue's farthest schedulable delay; later wakes are the sweep's.
        blind_ms: the sweep sees what is due later than this; nearer deadlines need a poke of their own.
        fast_recovery: arm a poke for the end of every lease: a crash is repaired within the lease plus seconds.
    """

    horizon_ms: int
    blind_ms: int
    fast_recovery: bool = False


def arm(turn: Turn, policy: WakePolicy) -> None:
    """Send one poke for each wake that this step brought into being; the sweep covers all others."""
    for written in turn.written():
        instant = _wake(written, turn.now, policy)
        if instant is None or instant - turn.now > policy.horizon_ms:
            continue
        before = turn.given(written.id)
        if before is None or not (
            _wake(before, turn.now, policy) == instant or _is_extension(before, written)
        ):
            turn.send(Poke(id=written.id, not_before=instant))


def _is_extension(before: Object, written: Object) -> bool:
    """True if a lease only got longer: the poke for its end is on its way, and goes on to the new one."""
    if not isinstance(before, PromiseObject) or not isinstance(written, PromiseObject):
        return False
    old, new = before.task, written.task
    if old is None or new is None or old.state is not TaskState.ACQUIRED:
        return False
    return (new.state, new.version) == (old.state, old.version)


def _wake(stored: Object, now_ms: int, policy: WakePolicy) -> int | None:
    """Return the instant worth a message of its own; None: the sweep's precision is enough."""
    if isinstance(stored, ScheduleObject):
        instant = stored.schedule.next_run_at
        return instant if instant - now_ms <= policy.blind_ms else None
    return min((at for at in _wakes(stored, now_ms, policy) if at > now_ms), default=None)


def _wakes(stored: PromiseObject, now_ms: int, policy: WakePolicy) -> list[int]:
    promise, task = stored.promise, stored.task
    if promise.state is not PromiseState.PENDING:
        return []
    wakes = []
    if promise.is_timer or promise.timeout_at - now_ms <= policy.blind_ms:
        wakes.append(promise.timeout_at)
    if task is None:
        return wakes
    if task.state is TaskState.PENDING and task.retry_at is not None and stored.dispatches == 0:
        wakes.append(
            max(task.retry_at, stored.not_before)
        )  # a later dispatch repairs a lost one: the sweep's work
    if task.state is TaskState.ACQUIRED and task.expires_at is not None and policy.fast_recovery:
        wakes.append(task.expires_at)
    return wakes
