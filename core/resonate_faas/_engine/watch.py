"""What is seen of a workflow besides its durable calls. Seeing takes hooks of the interpreter: it is done outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from resonate_faas._errors import WorkflowInterrupt


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Something that a workflow did itself and that a replay does not repeat.

    Attributes:
        what: completes "the workflow ...": reads the clock (time.time).
        line: "file:line".
        cure: what to write instead.
    """

    what: str
    line: str
    cure: str

    def __str__(self) -> str:
        return f"{self.what} at {self.line}"


@dataclass(slots=True, kw_only=True)
class Scene:
    """The workflow that is being run on this thread, for whoever watches it.

    Attributes:
        promise_id: its promise.
        function: its name.
        routine: its coroutine or generator.
        refuse: ends the activation, whatever the workflow makes of the exception.
    """

    promise_id: str
    function: str
    routine: Any
    refuse: Callable[[WorkflowInterrupt], None]


class Watch(Protocol):
    """Sees what the code of workflows does on the thread that runs them."""

    def enter(self, scene: Scene) -> None:
        """Watch this thread from now on."""

    def leave(self) -> None:
        """Watch this thread no more."""

    def seen(self, function: str) -> Sequence[Sighting]:
        """Return what this process has seen of a workflow, the latest last."""
