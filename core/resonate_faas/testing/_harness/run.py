"""Handles: an execution that was started, and a schedule that starts some."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from resonate_faas._machine.objects import SCHEDULE, Promise, PromiseState
from resonate_faas.testing._harness.deployed import Deployment, DeploymentError
from resonate_faas.testing._harness.history import History
from resonate_faas.testing._harness.places import skip

if TYPE_CHECKING:
    from resonate_faas.testing._harness.harness import Harness


@dataclass(frozen=True, slots=True)
class Run:
    """An execution.

    Attributes:
        harness: where it runs.
        id: its root promise.
        function: what it invokes; "" if the handle was made from an id.
    """

    harness: Harness
    id: str
    function: str

    @property
    def state(self) -> PromiseState:
        """Its state as it stands; no time passes.

        Raises:
            AssertionError: it is unknown.
        """
        found = self.harness.find(self.id)
        if found is None:
            raise AssertionError(f"{self.id!r} is unknown")
        return found.state

    def result(self) -> Any:
        """Let time pass until it has ended; return its result as JSON data, or raise its error.

        On a deployment real time passes, and an execution that waits for longer skips the test.

        Raises:
            AssertionError: it waits for something that never comes; the text shows its history.
        """
        self._wait()
        found = self.harness.find(self.id)
        if found is None or found.state is PromiseState.PENDING:
            raise AssertionError(f"{self.id!r} has not ended, and nothing is due any more:\n{self.history()}")
        codec = self.harness.resonate.codec
        if found.state is PromiseState.RESOLVED:
            return codec.decode(found.value, Any, self.id)
        error = codec.decode_error(found)
        error.add_note(f"history of {self.id}:\n{self.history()}")
        raise error

    def settled(self) -> Promise:
        """Let time pass until it has ended, as :meth:`result`; return its promise.

        Raises:
            AssertionError: as :meth:`result`.
        """
        self._wait()
        found = self.harness.find(self.id)
        if found is None or found.state is PromiseState.PENDING:
            raise AssertionError(f"{self.id!r} has not ended, and nothing is due any more:\n{self.history()}")
        return found

    def _wait(self) -> None:
        place = self.harness.place
        if not isinstance(place, Deployment):
            place.pass_time(until=lambda: self.state is not PromiseState.PENDING)
            return
        try:
            place.until(lambda: self.state is not PromiseState.PENDING, lambda: f"{self.id!r} has not ended")
        except DeploymentError:
            if not place.is_idle(self.id):
                raise
            skip(f"skip the time that {self.id!r} waits for (longer than wait_s={place.wait_s:g})", place)

    def history(self) -> History:
        """Return what it has on record."""
        return self.harness.history(self)

    def successors(self) -> list[Run]:
        """Return the executions it has started with ``ctx.detached``, and theirs, in the order of their calls."""
        found: list[Run] = []
        for entry in self.history().kinds("detached"):
            if entry.state is PromiseState.RESOLVED:
                child = Run(self.harness, str(entry.value), entry.function)
                found += [child, *child.successors()]
        return found


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule.

    Attributes:
        harness: where it fires.
        id: its name.
        function: what it starts.
    """

    harness: Harness
    id: str
    function: str

    def runs(self) -> list[Run]:
        """Return the executions it has started so far, oldest first."""
        found = [
            one.promise for one in self.harness.world.records() if one.promise.tags.get(SCHEDULE) == self.id
        ]
        found.sort(key=lambda one: (one.created_at, one.id))
        return [Run(self.harness, one.id, self.function) for one in found]
