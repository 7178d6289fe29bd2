"""The frames of an activation: opened, run until they wait, concluded when they end, closed when they are given up."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from resonate_faas._engine.calls import Call
from resonate_faas._engine.frames import Frame
from resonate_faas._engine.futures import Future, Gather
from resonate_faas._engine.guard import guarded
from resonate_faas._engine.watch import Scene
from resonate_faas._machine.objects import SCOPE

if TYPE_CHECKING:
    from typing import Any

    from resonate_faas._engine.execution import Execution
    from resonate_faas._engine.steps import WorkflowCall


class Scheduler:
    """Runs the frames of one execution, one at a time, in the order in which they can go on.

    Attributes:
        current: the frame that is being run right now.
    """

    def __init__(self, execution: Execution) -> None:
        self.current: Frame | None = None
        self._execution = execution
        self._ready: deque[Frame] = deque()
        self._open: dict[str, Frame] = {}

    def open(self, call: WorkflowCall) -> Frame:
        """Return a frame that starts running the workflow with the next run."""
        from resonate_faas._engine.context import Context  # noqa: PLC0415 - the context calls back into executions

        execution, lineage = self._execution, self._execution.lineage
        frame = Frame(call.id, call=call, timeout_at=call.timeout_at, seed=str(execution.root.created_at))
        frame.local_tags = lineage.tags_of(call.id, call.id, {SCOPE: "local"}, own_branch=False)
        frame.global_tags = lineage.tags_of(call.id, call.id, {SCOPE: "global"}, own_branch=True)
        frame.live = not execution.history or not call.is_durable
        frame.unasked = execution.history.patches(frame.id)
        context = Context(execution, frame, execution.info_of(call, attempt=1))
        self._open[frame.id] = frame
        routine = call.call(context, *call.args, **call.kwargs)
        frame.routines.append(routine)
        frame.scene = Scene(
            promise_id=call.id,
            function=call.function.name,
            routine=routine,
            refuse=execution.interrupt,
        )
        self._ready.append(frame)
        return frame

    def resume(self, frames: Iterable[Frame]) -> None:
        """Let frames go on whose future is settled."""
        self._ready.extend(frames)

    def run(self) -> None:
        """Run every frame until all wait."""
        while self._ready:
            frame = self._ready.popleft()
            if not frame.closed:
                self._step(frame)

    def awaited(self) -> Iterator[Future[Any]]:
        """Yield what the open frames wait for."""
        for frame in self._open.values():
            if frame.waiting is not None and not frame.waiting._done:
                yield frame.waiting

    def opened(self) -> list[Frame]:
        """Return the frames that have not ended."""
        return list(self._open.values())

    def close(self, frame: Frame) -> None:
        """Close a cancelled frame, with every context dead."""
        self._open.pop(frame.id, None)
        current, self.current = self.current, None
        with guarded():
            frame.close()
        self.current = current

    def close_all(self) -> None:
        """End the activation."""
        with guarded():
            for frame in self.opened():
                frame.close()
        self._open.clear()

    def _step(self, frame: Frame) -> None:
        execution = self._execution
        if frame.outcome is None:
            future = self._advance(frame)
            if execution.fatal is not None:
                raise execution.fatal  # even if the workflow swallowed it
            if frame.outcome is None or frame.outcome[1] is None:
                frame.fill()
            if future is not None:
                frame.held.clear()  # said when an earlier activation came to wait here
                frame.live = frame.live or not (isinstance(future, Call) and future.birth)
                future._waiters.append(frame)
                return
        self._conclude(frame)

    def _advance(self, frame: Frame) -> Future[Any] | None:
        watch, self.current = self._execution.settings.watch, frame
        if watch is not None and frame.scene is not None:
            watch.enter(frame.scene)
        try:
            return frame.advance()
        finally:
            self.current = None
            if watch is not None:
                watch.leave()

    def _conclude(self, frame: Frame) -> None:
        """Join the children of a frame that returned, cancel those of one that raised, then settle it."""
        execution = self._execution
        value, error = frame.outcome or (None, None)
        execution.diverge(execution.history.unread(frame))
        pending = [child for child in frame.children.values() if not child._done]
        if error is None and pending:
            frame.waiting = Gather(pending, execution, return_exceptions=True)
            frame.waiting._waiters.append(frame)
            return
        frame.go_live()
        frame.closed = True
        self._open.pop(frame.id, None)
        call = frame.call
        if call is None:
            raise RuntimeError("a frame without a call")
        for child in pending:
            execution.cancel(child)
        if error is None:
            call.returned(value)
        else:
            call.raised(error)
