"""Frames: one running workflow function each, stepped by hand, with no event loop."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from types import CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, NoReturn

from resonate_faas._engine.futures import Future, Map
from resonate_faas._engine.guard import routine_line
from resonate_faas._engine.ids import DeterministicRandom, child_prefix
from resonate_faas._engine.watch import Scene
from resonate_faas._errors import ForeignAwaitError, WorkflowInterrupt

if TYPE_CHECKING:
    from resonate_faas._engine.calls import Call
    from resonate_faas._engine.steps import WorkflowCall

Routine = Coroutine[Any, Any, Any] | Generator[Any, Any, Any]


class Frame:
    """A workflow function being run or replayed: its routines, its child counter, what it waits for.

    Attributes:
        id: the promise it settles.
        call: the call that started it; None: the root.
        timeout_at: no child outlives it, epoch milliseconds.
        counter: children so far; the next child's number is one more.
        visited: children found in the history.
        children: not settled when last seen, detached ones left out.
        patches: the answers of ctx.patched so far, by name.
        unasked: patches on record that the code has not asked for yet: how many calls came before each.
        unfilled: maps on record whose next items are started once the frame waits or returns.
        waiting: what its innermost routine awaits.
        scene: what a watch is told of it.
        live: past what earlier activations did; log lines come out again.
        held: log lines since the last call, while it is not known whether this is still a replay.
    """

    __slots__ = (
        "call",
        "children",
        "closed",
        "contextvars",
        "counter",
        "global_tags",
        "held",
        "id",
        "live",
        "local_tags",
        "outcome",
        "patches",
        "prefix",
        "random",
        "routines",
        "scene",
        "timeout_at",
        "unasked",
        "unfilled",
        "visited",
        "waiting",
    )

    def __init__(self, frame_id: str, *, call: WorkflowCall | None, timeout_at: int, seed: str) -> None:
        self.id = frame_id
        self.call = call
        self.timeout_at = timeout_at
        self.prefix = child_prefix(frame_id)
        self.counter = 0
        self.visited = 0
        self.children: dict[str, Call[Any]] = {}
        self.unfilled: list[Map] = []
        self.patches: dict[str, bool] = {}
        self.unasked: dict[str, int] = {}
        self.waiting: Future[Any] | None = None
        self.live = False
        self.held: list[Callable[[], None]] = []
        self.closed = False
        self.outcome: tuple[Any, Exception | None] | None = None
        self.random = DeterministicRandom(f"{frame_id}\x00{seed}")
        self.contextvars = contextvars.copy_context()
        self.scene: Scene | None = None
        self.routines: list[Routine] = []
        self.local_tags: dict[str, str] = {}
        self.global_tags: dict[str, str] = {}

    def say(self, line: Callable[[], None]) -> None:
        """Let a log line out; or hold it, for the next call tells whether an earlier activation said it."""
        if self.live:
            line()
        else:
            self.held.append(line)

    def go_live(self) -> None:
        """Let the held lines out, and every later one at once: no earlier activation came this far."""
        self.live = True
        held, self.held = self.held, []
        for line in held:
            line()

    def advance(self) -> Future[Any] | None:
        """Run until the frame waits for a future, which is returned, or has an ``outcome``.

        Raises:
            WorkflowInterrupt: the activation ends here.
        """
        value, error = None, None
        if self.waiting is not None:
            value, error = _outcome(self.waiting)
            self.waiting = None
        while self.routines:
            routine = self.routines[-1]
            try:
                if error is None:
                    yielded = self.contextvars.run(routine.send, value)
                else:
                    yielded = self.contextvars.run(routine.throw, error)
            except StopIteration as stop:
                self.routines.pop()
                value, error = stop.value, None
            except ForeignAwaitError as refused:
                if refused.line:
                    raise
                raise ForeignAwaitError(refused.what, self._line()) from refused
            except Exception as raised:  # noqa: BLE001 - whatever the workflow raises is its outcome
                self.routines.pop()
                value, error = None, raised
            else:
                if isinstance(yielded, Future) and not yielded._done:
                    self.waiting = yielded
                    return yielded
                value, error = self._resume_with(routine, yielded)
        self.outcome = (value, error)
        return None

    def fill(self) -> None:
        """Start the next items of maps that earlier activations began."""
        unfilled, self.unfilled = self.unfilled, []
        for every in unfilled:
            every.fill()

    def _resume_with(self, routine: Routine, yielded: Any) -> tuple[Any, Exception | None]:
        """Return what to send or throw into the routine on top after it yielded something that needs no waiting."""
        if isinstance(yielded, Future):
            return _outcome(yielded)
        if not isinstance(yielded, CoroutineType | GeneratorType):
            self._refuse(routine, yielded)
        self.routines.append(yielded)  # `yield helper(ctx)` in a generator runs inline, in this frame
        return None, None

    def _refuse(self, routine: Routine, yielded: Any) -> NoReturn:
        """Raise the interrupt inside the workflow, so that its line shows in the traceback, then out of it."""
        what = (
            "a bare yield" if yielded is None else f"{type(yielded).__name__} (not a future of the context)"
        )
        interrupt = ForeignAwaitError(what, self._line())
        try:
            self.contextvars.run(routine.throw, interrupt)
        except WorkflowInterrupt:
            raise
        except BaseException:  # noqa: BLE001, S110 - the interrupt wins whatever the workflow makes of it
            pass
        raise interrupt

    def _line(self) -> str:
        """Return "file:line" of the innermost user code that the frame stands at."""
        lines = (routine_line(routine) for routine in reversed(self.routines))
        return next((line for line in lines if line), "an unknown line")

    def close(self) -> None:
        """End the frame unfinished: finally blocks run, with the context dead; nothing is recorded."""
        self.closed = True
        while self.routines:
            routine = self.routines.pop()
            with suppress(BaseException):  # a frame that is given up can't be heard any more
                self.contextvars.run(routine.close)


def _outcome(future: Future[Any]) -> tuple[Any, Exception | None]:
    """Return a settled future as (value, None) or (None, error)."""
    try:
        return future._result(), None
    except Exception as error:  # noqa: BLE001 - the recorded rejection, thrown into the frame
        return None, error
