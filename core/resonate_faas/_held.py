"""What an activation believes of its lease, by its own monotonic clock alone: no answer of a store is needed for it."""

from __future__ import annotations

from typing import Final

from resonate_faas._errors import TaskNotAcquiredError
from resonate_faas._ports import Clock

LEASE_MARGIN_MS: Final = 2_000
"""A lease that was not confirmed until this long before its end counts as lost: clocks may disagree by a second."""


class Held:
    """The lease of one task, once it is claimed. Its owner locks; only :meth:`left_ms` may be asked from any thread.

    Args:
        task_id: the task.
        ttl_ms: how long a confirmation is good for.
        clock: the time.

    Attributes:
        version: of the task under this lease: every write is fenced by it.
    """

    def __init__(self, task_id: str, ttl_ms: int, clock: Clock) -> None:
        self.version = 0
        self._id = task_id
        self._ttl_ms = ttl_ms
        self._clock = clock
        self._confirmed_mono_ms = 0
        self._is_held = False

    def __bool__(self) -> bool:
        return self._is_held

    def begin(self, version: int, asked_mono_ms: int) -> None:
        """Note that the lease was given.

        Args:
            version: of the task.
            asked_mono_ms: when it was asked for: the store's time began to run no earlier.
        """
        self.version, self._confirmed_mono_ms, self._is_held = version, asked_mono_ms, True

    def extend(self, asked_mono_ms: int) -> None:
        """Note that it was extended."""
        self._confirmed_mono_ms = asked_mono_ms

    def end(self) -> None:
        """Note that it was given up."""
        self._is_held = False

    def lost(self, reason: str) -> TaskNotAcquiredError:
        """Note that it is not ours any more; return the error to raise."""
        self._is_held = False
        return TaskNotAcquiredError(self._id, self.version, reason)

    def a_commit_extends(self) -> bool:
        """True if a commit should extend the lease in the same write: more than a third of it has passed."""
        return self._is_held and self._clock.monotonic_ms() - self._confirmed_mono_ms > self._ttl_ms // 3

    def a_heartbeat_extends(self) -> bool:
        """True if a heartbeat should: half has passed. Later than commits do, so that frequent ones need none."""
        return self._is_held and self._clock.monotonic_ms() - self._confirmed_mono_ms >= self._ttl_ms // 2

    def left_ms(self) -> int:
        """Return how long it is ours; 0: it is not."""
        if not self._is_held:
            return 0
        margin = min(LEASE_MARGIN_MS, self._ttl_ms // 5)
        return self._confirmed_mono_ms + self._ttl_ms - margin - self._clock.monotonic_ms()

    def check(self) -> None:
        """Stop before a lease that may have ended.

        Raises:
            TaskNotAcquiredError: it may.
        """
        if self.left_ms() <= 0:
            raise self.lost("the lease was not confirmed in time")
