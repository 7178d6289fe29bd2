"""Durable calls: what each kind records, and what happens when its record is new, pending or settled."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context as ContextVars
from contextvars import copy_context
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic_core import from_json, to_json

from resonate_faas._engine.futures import Future, RecordFuture, T_co
from resonate_faas._engine.registry import Function
from resonate_faas._engine.retry import RetryPolicy
from resonate_faas._errors import DecodingError
from resonate_faas._machine.objects import EMPTY, Promise, PromiseState, Value
from resonate_faas._machine.requests import Effect, PromiseSettle, Record

if TYPE_CHECKING:
    from resonate_faas._engine.codec import Codec
    from resonate_faas._engine.execution import Execution
    from resonate_faas._engine.frames import Frame


class Kind(StrEnum):
    """What a promise records; stands in its param."""

    RUN = "run"
    RPC = "rpc"
    DETACHED = "detached"
    SLEEP = "sleep"
    PROMISE = "promise"
    NOW = "now"
    RACE = "race"
    RETRY = "retry"


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


_NAMES: dict[str, str] = {}


def local_param(kind: Kind, name: str, version: int, digest: str) -> str:
    """Return the param data of a local call: base64 of {func, version, kind, digest}."""
    quoted = _NAMES.get(name)
    if quoted is None:
        quoted = _NAMES[name] = to_json(name).decode()
    text = f'{{"func":{quoted},"version":{version},"kind":"{kind}","digest":"{digest}"}}'
    return b64encode(text.encode()).decode()


MARKS: Final = ("func", "version", "kind", "digest")


def described(fields: Mapping[str, Any]) -> str:
    """Return a call in words, for divergence messages: run charge (version 1, arguments 3f2a...)."""
    kind = fields.get("kind") or ("rpc" if "func" in fields else "a promise")
    name = fields.get("func")
    text = f"{kind} {name}" if name else str(kind)
    details = []
    if fields.get("version") not in (None, 1):
        details.append(f"version {fields['version']}")
    if fields.get("digest"):
        details.append(f"arguments {fields['digest']}")
    return f"{text} ({', '.join(details)})" if details else text


def marks_of(promise_id: str, param: Value, codec: Codec) -> dict[str, Any] | None:
    """Return {func, version, kind, digest} as a param has them; None: it does not say (a foreign SDK's)."""
    try:
        encoded = codec.unpack(param, promise_id)
        fields = from_json(encoded) if encoded is not None else None
    except (DecodingError, ValueError):
        return None
    if not isinstance(fields, dict) or not isinstance(fields.get("kind"), str):
        return None
    return {name: fields.get(name) for name in MARKS}


class Call(RecordFuture[T_co]):
    """A durable call whose promise is not settled yet.

    Attributes:
        is_durable: the promise exists in the store.
        created_at: when the call was made, epoch milliseconds.
        rides: its create goes out with the next commit of any kind.
        birth: "" for a child; an id of the user's own starts a tree of its own.
    """

    __slots__ = (
        "abandoned",
        "birth",
        "created_at",
        "frame",
        "is_durable",
        "kind",
        "param",
        "rides",
        "tags",
        "timeout_at",
    )

    def __init__(
        self,
        promise_id: str,
        hint: Any,
        execution: Execution,
        frame: Frame | None,
        *,
        kind: Kind,
        param: Value = EMPTY,
        tags: Mapping[str, str],
        timeout_at: int,
    ) -> None:
        super().__init__(promise_id, hint, execution)
        self.frame = frame
        self.kind = kind
        self.param = param
        self.tags = tags
        self.timeout_at = timeout_at
        self.created_at = execution.now
        self.is_durable = False
        self.rides = False
        self.birth = ""
        self.abandoned = False

    def create(self, state: PromiseState = PromiseState.PENDING, value: Value = EMPTY) -> Record:
        """Return the effect that creates the promise, settled at once if so asked."""
        return Record(
            id=self.id,
            timeout_at=self.timeout_at,
            created_at=self.created_at,
            param=self.param,
            tags=self.tags,
            state=state,
            value=value,
            birth=self.birth,
        )

    def settle(self, state: PromiseState, value: Value = EMPTY) -> Effect:
        """Return the effect that settles the promise, creating it in the same write if need be."""
        if self.is_durable:
            return PromiseSettle(id=self.id, state=state, value=value)
        return self.create(state, value)

    def begin(self) -> None:
        """Start what the call stands for; its promise is pending, recorded or not."""
        if not self.is_durable:
            self._execution.emit(self.create())

    def stop(self) -> None:
        """Give up what runs in this activation on the call's behalf."""


class DetachedCall(Call[str]):
    """Holds the place of a detached root in the caller's history; resolves to the new root's id."""

    __slots__ = ("is_joinable", "root")

    def __init__(self, *args: Any, root: Record, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.root = root
        self.is_joinable = False

    def begin(self) -> None:
        """Create the successor and the record of it in one commit."""
        codec = self._execution.codec
        self._execution.emit(self.root, joinable=self.is_joinable)
        self._execution.emit(self.create(PromiseState.RESOLVED, codec.encode(self.root.id, str, self.id)))


class InstantCall(Call[Any]):
    """A value fixed at the call and recorded (``ctx.now``)."""

    __slots__ = ("value",)

    def __init__(self, *args: Any, value: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.value = value

    def begin(self) -> None:
        """Record the value; it is given out once stored."""
        value = self._execution.codec.encode(self.value, self._hint, self.id)
        self._execution.emit(self.create(PromiseState.RESOLVED, value))


class StepCall(Call[Any]):
    """A function run outside the driver, in this process, retried by its policy."""

    __slots__ = (
        "args",
        "call",
        "failures",
        "function",
        "kwargs",
        "non_retryable",
        "policy",
        "running",
        "timer",
        "variables",
    )

    def __init__(
        self,
        *args: Any,
        function: Function,
        call: Callable[..., Any],
        call_args: tuple[Any, ...],
        call_kwargs: Mapping[str, Any],
        policy: RetryPolicy,
        non_retryable: tuple[type[BaseException], ...],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.function = function
        self.call = call
        self.args = call_args
        self.kwargs = call_kwargs
        self.policy = policy
        self.non_retryable = non_retryable
        self.failures = 0
        self.running = False
        self.timer: RetryTimer | None = None
        self.variables = copy_context()

    def begin(self) -> None:
        """Start the first attempt, or go on where the recorded attempts ended."""
        self._execution.resume_attempts(self)

    def stop(self) -> None:
        """Abandon the running attempt, forget the next."""
        self.abandoned = True
        self.timer = None
        self._execution.abandon(self)

    def _needs(self) -> list[str]:
        return []  # the attempt runs here; a pending retry timer is a need of its own


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


class WorkflowCall(Call[Any]):
    """A workflow run in this activation, in a frame of its own."""

    __slots__ = ("args", "call", "child", "function", "kwargs")

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
        self.child: Frame | None = None

    def begin(self) -> None:
        """Open the frame; the create rides in the next commit of any kind."""
        self._execution.open_frame(self)

    def stop(self) -> None:
        """Close the frame and cancel what it started."""
        self.abandoned = True
        if self.child is not None:
            self._execution.close_frame(self.child)

    def _needs(self) -> list[str]:
        return []  # its frame has needs of its own


class Race(Call[T_co]):
    """The first settled member's outcome. Which one is recorded, so that every replay sees the same winner."""

    __slots__ = ("cancels", "members")

    def __init__(self, *args: Any, members: Sequence[Future[Any]], cancels: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.members = list(members)
        self.cancels = cancels

    @property
    def winner(self) -> int:
        """The index of the winner, once the race was awaited.

        Raises:
            RuntimeError: it was not.
        """
        if not self._done:
            raise RuntimeError("await the race before you ask for its winner")
        return int(cast(int, super()._result()))

    def begin(self) -> None:
        """Decide at once if a member is settled, else when the first one is."""
        for member in self.members:
            if not member._done:
                member._watchers.append(self)
        if any(member._done for member in self.members):
            self._execution.decide(self)

    def _member_done(self, member: Future[Any]) -> None:
        del member
        self._execution.decide(self)

    def first(self) -> int:
        """Return the index of the earliest settled member, the lower one of two at the same instant."""
        return min((member._at(), index) for index, member in enumerate(self.members) if member._done)[1]

    def _result(self) -> T_co:
        return self.members[self.winner]._result()  # type: ignore[no-any-return]

    def cancel(self) -> None:
        """Cancel every member that is still pending; the first one to be cancelled decides the race."""
        for member in self.members:
            if not member._done:
                member.cancel()

    def _needs(self) -> list[str]:
        return [need for member in self.members if not member._done for need in member._needs()]
