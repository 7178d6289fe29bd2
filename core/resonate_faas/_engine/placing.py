"""What all durable operations share: an id from the frame's counter, a look at the record, a start."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from resonate_faas._engine.calls import (
    Call,
)
from resonate_faas._engine.futures import RecordFuture
from resonate_faas._engine.guard import caller_line
from resonate_faas._engine.ids import patch_id, twin_id
from resonate_faas._engine.options import Options, milliseconds
from resonate_faas._engine.recorded import Difference
from resonate_faas._engine.registry import DEFAULT_TIMEOUT, Function
from resonate_faas._errors import ContextClosedError
from resonate_faas._machine.ids import REMOTE_MARK, id_error
from resonate_faas._machine.objects import (
    PromiseState,
    Value,
)

if TYPE_CHECKING:
    from resonate_faas._engine.execution import Execution
    from resonate_faas._engine.frames import Frame


class Placing:
    """Gives ids and places calls, for one frame; all draw from its one counter, in call order."""

    __slots__ = ("execution", "frame")

    def __init__(self, execution: Execution, frame: Frame) -> None:
        self.execution = execution
        self.frame = frame

    def enter(self, operation: str) -> None:
        """Check that the frame is being run right now.

        Raises:
            ContextClosedError: it ended, or another frame or thread uses its context.
        """
        self.execution.fail(self.execution.fatal)
        if self.execution.frames.current is not self.frame or self.frame.closed:
            raise ContextClosedError(self.frame.id, operation)

    def next_id(self, mark: str = "") -> str:
        """Return the next child's id."""
        self.frame.counter += 1
        return f"{self.frame.prefix}{self.frame.counter}{mark}"

    def recorded(self, promise_id: str, hint: Any, param: Value) -> RecordFuture[Any] | None:
        """Return the settled future of a call on record; None: there is no record, or it is pending.

        Raises:
            NonDeterminismError: the record is of another call.
        """
        history = self.execution.history
        promise = history.get(promise_id)
        if promise is None:
            twin = history.get(twin_id(promise_id))
            if twin is not None:  # a local call became remote, or a remote one local
                self.execution.diverge(history.check(twin, param, caller_line))
            return None
        if promise.param.data != param.data:
            self.execution.diverge(history.check(promise, param, caller_line))
        self.frame.visited += 1
        self.frame.held.clear()  # said by the activation that made this call
        if promise.state is PromiseState.PENDING:
            return None
        return RecordFuture.settled(promise, hint, self.execution)

    def place(self, call: Call[Any]) -> Call[Any]:
        """Track a call that is not settled and start it.

        Raises:
            LimitExceededError: the root has too many promises; nothing is recorded.
        """
        execution = self.execution
        recorded = execution.history.get(call.id)
        if recorded is not None:  # the instants are those of the call, whichever activation goes on with it
            call.is_durable = True
            call.created_at, call.timeout_at = recorded.created_at, recorded.timeout_at
        else:
            if self.frame.unasked:
                self._check_patches(call)
            if not call.birth:  # an id of the user's own is never in this history
                self.frame.go_live()
            execution.reserve([call.id])
        execution.track(call)
        call.begin()
        return call

    def _check_patches(self, call: Call[Any]) -> None:
        """Stop code that goes on where a patch stands on record, and does not ask for it.

        Raises:
            NonDeterminismError: it is older or newer than the code that may follow the patch.
        """
        frame, last = self.frame, call.id.removeprefix(self.frame.prefix).removesuffix(REMOTE_MARK)
        number = int(last) if last.isdecimal() else frame.counter
        for name, calls_before in frame.unasked.items():
            if calls_before < number:
                present = f"its call {number} without asking ctx.patched({name!r}) before"
                self.execution.diverge(
                    Difference(
                        promise_id=patch_id(frame.id, name),
                        recorded=f"patch {name}",
                        present=present,
                        line=caller_line(),
                    )
                )

    def _explicit(self, options: Options) -> str | None:
        """Return the id the user chose, checked: it becomes a root of its own."""
        chosen = options.id
        if chosen is None:
            return None
        reason = id_error(chosen) or ("a root id must not hold ':'" if ":" in chosen else None)
        if reason is not None:
            raise ValueError(f"options(id={chosen!r}): {reason}")
        return chosen

    def deadline(self, options: Options, function: Function | None) -> int:
        """Return a child's deadline: its timeout from now, never beyond the frame's (protocol section 7.7)."""
        timeout = options.timeout or (function.timeout if function is not None else None) or DEFAULT_TIMEOUT
        return min(self.execution.now + milliseconds(timeout, "timeout"), self.frame.timeout_at)

    def _call(self, factory: Callable[..., Any], promise_id: str, hint: Any, **fields: Any) -> Any:
        return factory(promise_id, hint, self.execution, self.frame, **fields)
