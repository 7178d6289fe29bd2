"""Durable calls: what each kind records, and what happens when its record is new, pending or settled."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic_core import from_json, to_json

from resonate_faas._engine.futures import Future, RecordFuture, T_co
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
    PATCH = "patch"


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
    if fields.get("digest") and kind != Kind.PATCH:
        details.append(f"arguments {fields['digest']}")
    return f"{text} ({', '.join(details)})" if details else text


def marks_of(promise_id: str, param: Value, codec: Codec) -> dict[str, Any] | None:
    """Return {func, version, kind, digest} as a param has them; None: it does not say (a foreign SDK's)."""
    fields = _plain_fields(param)
    if fields is None:  # not a local call's: those hold nothing of the user's and are never encrypted
        try:
            encoded = codec.unpack(param, promise_id)
            fields = from_json(encoded) if encoded is not None else None
        except (DecodingError, ValueError):
            return None
    if not isinstance(fields, dict) or not isinstance(fields.get("kind"), str):
        return None
    return {name: fields.get(name) for name in MARKS}


def _plain_fields(param: Value) -> Any:
    if not param.data or param.headers:
        return None
    try:
        return from_json(b64decode(param.data, validate=True))
    except ValueError:
        return None


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

    def riding(self) -> Record:
        """Return the effect by which the promise goes out with the next commit of any kind."""
        return self.create()

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
    """Holds the place of a detached root in the caller's history; resolves to the new root's id.

    A root whose id the user chose may be another's: then its place is recorded once that is known.
    """

    __slots__ = ("has_own_id", "root")

    def __init__(self, *args: Any, root: Record, has_own_id: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.root = root
        self.has_own_id = has_own_id

    def begin(self) -> None:
        """Create the successor and, if that can't fail, the record of it in one commit."""
        self._execution.emit(self.root)
        if self.has_own_id:
            self._execution.expect_root(self)
        else:
            self.answered(None)

    def answered(self, conflict: Exception | None) -> None:
        """Record the root's id, or that it is taken."""
        codec = self._execution.codec
        if conflict is None:
            settled = self.create(PromiseState.RESOLVED, codec.encode(self.root.id, str, self.id))
        else:
            settled = self.create(PromiseState.REJECTED, codec.encode_error(conflict, self.id))
        self._execution.emit(settled)


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


class Patch(Call[bool]):
    """The record that a workflow came to a patch before it did what follows; it rides with what does."""

    __slots__ = ()

    def riding(self) -> Record:
        """Return the settled record."""
        return self.create(
            PromiseState.RESOLVED, self._execution.codec.encode(value=True, hint=bool, where=self.id)
        )


class Race(Call[T_co]):
    """The first settled member's outcome. Which one is recorded, so that every replay sees the same winner."""

    __slots__ = ("_chosen", "_was_awaited", "cancels", "members")

    def __init__(self, *args: Any, members: Sequence[Future[Any]], cancels: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.members = list(members)
        self.cancels = cancels
        self._chosen: int | None = None
        self._was_awaited = False

    @property
    def winner(self) -> int:
        """The index of the winner, once the race was awaited.

        Raises:
            RuntimeError: it was not.
        """
        if not self._was_awaited:
            raise RuntimeError("await the race before you ask for its winner")
        return self._winner()

    def _winner(self) -> int:
        return int(cast(int, super()._result()))

    def begin(self) -> None:
        """Decide at once if a member is settled, else when the first one is."""
        for member in self.members:
            if not member._done:
                member._watchers.append(self)
        if any(member._done for member in self.members):
            self._execution.decide(self)

    def _settle(self, promise: Promise) -> None:
        """Take the recorded choice; where the winner has yet to be read, as one with its own id, wait for it."""
        self._take(promise)
        if promise.state is PromiseState.RESOLVED:
            self._chosen = self._winner()
            member = self.members[self._chosen]
            if not member._done:
                member._watchers.append(self)
                return
        self._execution.wake(self)

    def _member_done(self, member: Future[Any]) -> None:
        if self._chosen is None:
            self._execution.decide(self)
        elif member is self.members[self._chosen]:
            self._execution.wake(self)

    def drop_losers(self, winner: int) -> None:
        """Cancel all members but the winner."""
        for index, member in enumerate(self.members):
            if index != winner and not member._done:
                member.cancel()

    def first(self) -> int:
        """Return the index of the earliest settled member, the lower one of two at the same instant."""
        return min((member._at(), index) for index, member in enumerate(self.members) if member._done)[1]

    def _result(self) -> T_co:
        self._was_awaited = True
        return self.members[self._winner()]._result()  # type: ignore[no-any-return]

    def cancel(self) -> None:
        """Cancel every member that is still pending; the first one to be cancelled decides the race."""
        for member in self.members:
            if not member._done:
                member.cancel()

    def _needs(self) -> list[str]:
        if self._chosen is not None:
            return self.members[self._chosen]._needs()
        return [need for member in self.members if not member._done for need in member._needs()]
