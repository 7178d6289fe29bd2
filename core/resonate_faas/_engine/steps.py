"""Calls that run in this process: steps, outside the driver, and workflows, in frames of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import Context as ContextVars
from contextvars import copy_context
from dataclasses import dataclass
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from resonate_faas._engine.calls import Call, Kind
from resonate_faas._engine.codec import error_body
from resonate_faas._engine.ids import attempt_id
from resonate_faas._engine.options import milliseconds
from resonate_faas._engine.registry import Function
from resonate_faas._engine.retry import RetryPolicy
from resonate_faas._errors import EncodingError
from resonate_faas._machine.objects import SCOPE, TIMER, Promise, PromiseState, Value

if TYPE_CHECKING:
    from resonate_faas._engine.frames import Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """What a function may know of its own execution.

    Attributes:
        id: its promise; a stable idempotency key for a step's side effects.
        root_id: the execution it belongs to.
        parent_id: the promise of the caller; its own for a root.
        function: the registered or own name.
        version: of the function.
        attempt: from 1.
        timeout_at: deadline, epoch milliseconds.
        created_at: when the root was created, epoch milliseconds.
        tags: the root promise's.
    """

    id: str
    root_id: str
    parent_id: str
    function: str
    version: int
    attempt: int
    timeout_at: int
    created_at: int
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A step to be executed outside the driver, in a copy of its frame's context variables."""

    id: str
    function: Function
    call: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    info: Info
    contextvars: ContextVars


class LocalCall(Call[Any]):
    """A function called in this process; what it returns or raises is recorded."""

    __slots__ = ("args", "call", "function", "kwargs")

    def __init__(
        self,
        *args: Any,
        function: Function,
        call: Callable[..., Any],
        call_args: tuple[Any, ...],
        call_kwargs: Mapping[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.function = function
        self.call = call
        self.args = call_args
        self.kwargs = call_kwargs

    def returned(self, value: Any) -> None:
        """Record a result; one that a replay could not read rejects the call instead."""
        codec, where = self._execution.codec, self._where()
        if iscoroutine(value):
            value.close()
            reason = "it is a coroutine: pass the coroutine function itself, not a function that calls it"
            self.raised(EncodingError(where, reason))
            return
        try:
            encoded = codec.encode(value, self.function.result, where)
            self._read_back(encoded)
        except EncodingError as refused:
            self.raised(refused)
        else:
            self._execution.conclude(self, PromiseState.RESOLVED, encoded)

    def raised(self, error: BaseException) -> None:
        """Record a rejection."""
        self._execution.conclude(
            self, PromiseState.REJECTED, self._execution.codec.encode_error(error, self.id)
        )

    def _read_back(self, encoded: Value) -> None:
        try:
            self._execution.codec.decode(encoded, self.function.result, self.id)
        except Exception as error:
            reason = f"it does not read back as {self.function.result!r}: {error}"
            raise EncodingError(self._where(), reason) from error

    def _where(self) -> str:
        return f"the result of {self.function.name} ({self.id!r})"

    def _needs(self) -> list[str]:
        return []  # it goes on here: a frame, or a retry timer, has needs of its own


class StepCall(LocalCall):
    """A function run outside the driver, retried by its policy.

    Attributes:
        failures: attempts that failed and are on record.
        running: an attempt is under way.
        variables: the caller's context variables at the call.
    """

    __slots__ = ("failures", "non_retryable", "policy", "running", "timer", "variables")

    def __init__(
        self,
        *args: Any,
        policy: RetryPolicy,
        non_retryable: tuple[type[BaseException], ...],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.policy = policy
        self.non_retryable = non_retryable
        self.failures = 0
        self.running = False
        self.timer: RetryTimer | None = None
        self.variables = copy_context()

    def begin(self) -> None:
        """Start the first attempt, or go on after those on record: their number is the attempt count."""
        last = None
        while (recorded := self._execution.history.get(attempt_id(self.id, self.failures + 1))) is not None:
            self.failures += 1
            last = recorded
        if last is not None and last.state is PromiseState.PENDING:
            self._wait(last.param, last.timeout_at).is_durable = True
            return
        if self._execution.settings.creates_first and not self.is_durable:
            self._execution.emit(self.create())
        self._execution.launch(self)

    def failed(self, error: BaseException) -> None:
        """Record a failed attempt as the timer that starts the next one; or reject, when the policy gives up."""
        execution = self._execution
        retry = self.failures + 1
        wait = None if isinstance(error, self.non_retryable) else self.policy.wait(retry)
        until = None if wait is None else execution.now + milliseconds(wait, "a retry's wait")
        if until is None or until >= self.timeout_at:
            self.raised(error)
            return
        self.failures = retry
        note = {"kind": Kind.RETRY, "func": self.function.name, "attempt": retry, "error": error_body(error)}
        if not self.is_durable:
            execution.ride_along(self)
        execution.emit(self._wait(execution.codec.pack(to_json(note), self.id), until).create())

    def _wait(self, param: Value, timeout_at: int) -> RetryTimer:
        timer_id = attempt_id(self.id, self.failures)
        tags = self._execution.lineage.tags_of(
            timer_id, self.id, {SCOPE: "global", TIMER: "true"}, own_branch=True
        )
        self.timer = RetryTimer(
            timer_id,
            Any,
            self._execution,
            None,
            kind=Kind.RETRY,
            param=param,
            tags=tags,
            timeout_at=timeout_at,
            step=self,
        )
        self._execution.wait_for_retry(self.timer)
        return self.timer

    def stop(self) -> None:
        """Abandon the running attempt, forget the next."""
        self.abandoned = True
        self.timer = None
        self._execution.abandon(self)


class RetryTimer(Call[Any]):
    """A failed attempt: a timer whose param holds the error and whose end starts the next attempt."""

    __slots__ = ("step",)

    def __init__(self, *args: Any, step: StepCall, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.step = step

    def _settle(self, promise: Promise) -> None:
        super()._settle(promise)
        step = self.step
        if step.timer is self and not step._done and not step.abandoned:
            step.timer = None
            self._execution.launch(step)


class WorkflowCall(LocalCall):
    """A workflow run in this activation, in a frame of its own."""

    __slots__ = ("child",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.child: Frame | None = None

    def begin(self) -> None:
        """Open the frame; the create rides in the next commit of any kind."""
        self._execution.open_frame(self)

    def stop(self) -> None:
        """Close the frame and cancel what it started."""
        self.abandoned = True
        if self.child is not None:
            self._execution.close_frame(self.child)
