"""The steps of an activation, which run outside the driver: to be started, running, to be tried again, given up."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from resonate_faas._engine.ids import attempt_id
from resonate_faas._engine.steps import RetryTimer, StepCall


class Attempts:
    """Which attempts are due, under way or abandoned; what they are told and what came of them is the step's.

    Attributes:
        running: ids of the steps that run now.
        retrying: timers of next attempts, by their ids.
    """

    def __init__(self) -> None:
        self.running: set[str] = set()
        self.retrying: dict[str, RetryTimer] = {}
        self._queued: deque[StepCall] = deque()
        self._abandoned: list[str] = []

    def queue(self, step: StepCall) -> None:
        """Let a step's next attempt start with the next launches."""
        self.retrying.pop(attempt_id(step.id, step.failures), None)
        self._queued.append(step)

    def start(self) -> list[StepCall]:
        """Return the queued steps, which run from now on."""
        steps = [step for step in self._queued if not step.abandoned and not step._done]
        self._queued.clear()
        for step in steps:
            step.running = True
            self.running.add(step.id)
        return steps

    def ended(self, step: StepCall) -> None:
        """Note that a step's attempt came to its end."""
        step.running = False
        self.running.discard(step.id)

    def wait(self, timer: RetryTimer) -> None:
        """Wait for the timer of a step's next attempt."""
        self.retrying[timer.id] = timer

    def stop_waiting(self, timer_id: str) -> None:
        """Forget a timer that ended."""
        self.retrying.pop(timer_id, None)

    def abandon(self, step: StepCall) -> None:
        """Drop a step's running attempt, pending retry or outstanding launch."""
        self.retrying = {key: timer for key, timer in self.retrying.items() if timer.step is not step}
        if step.running:
            self.ended(step)
            self._abandoned.append(step.id)

    def take_abandoned(self) -> Iterable[str]:
        """Return the steps whose attempts must be stopped, once."""
        abandoned, self._abandoned = self._abandoned, []
        return abandoned
