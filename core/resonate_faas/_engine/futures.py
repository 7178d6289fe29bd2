"""What context calls return: futures that only stored settlements settle.

There is no ``done()``: whether a future is settled by now differs between a first run and a replay.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from resonate_faas._errors import PromiseCanceledError
from resonate_faas._machine.objects import Promise, PromiseState

if TYPE_CHECKING:
    from resonate_faas._engine.codec import Codec
    from resonate_faas._engine.execution import Execution
    from resonate_faas._engine.frames import Frame

T_co = TypeVar("T_co", covariant=True)


class Watcher(Protocol):
    """Is told when a future it is made of settles."""

    def _member_done(self, member: Future[Any]) -> None: ...


class Future(Generic[T_co]):
    """Something a workflow can await (``await`` in coroutines, ``yield`` in generators), any number of times."""

    __slots__ = ("_done", "_waiters", "_watchers")

    def __init__(self) -> None:
        self._done = False
        self._waiters: list[Frame] = []
        self._watchers: list[Watcher] = []

    def __await__(self) -> Generator[Any, None, T_co]:
        if not self._done:
            yield self
        return self._result()

    __iter__ = __await__

    def _result(self) -> T_co:
        """Return the value or raise the error; called once settled."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Settle what is still pending as cancelled; awaiting it then raises PromiseCanceledError."""
        raise NotImplementedError

    def _needs(self) -> list[str]:
        """Return the smallest sufficient set of external promises to wait for.

        Empty: what it waits for is a frame or step of this activation, which has needs of its own.
        """
        raise NotImplementedError

    def _at(self) -> int:
        """Return when it was settled, epoch milliseconds; called once settled."""
        raise NotImplementedError


class RecordFuture(Future[T_co]):
    """A future over one durable promise."""

    __slots__ = ("_error", "_execution", "_hint", "_promise", "_settled_at", "_value", "id")

    def __init__(self, promise_id: str, hint: Any, execution: Execution) -> None:
        super().__init__()
        self.id = promise_id
        self._hint = hint
        self._execution = execution
        self._promise: Promise | None = None
        self._value: Any = None
        self._error: Exception | None = None

    @classmethod
    def settled(cls, promise: Promise, hint: Any, execution: Execution) -> RecordFuture[Any]:
        """Return a future over a promise that is settled already: the fast path of replay."""
        future: RecordFuture[Any] = cls.__new__(cls)
        future.id = promise.id
        future._hint = hint
        future._execution = execution
        future._promise = promise
        future._settled_at = promise.settled_at or 0
        future._error = None
        future._done = True
        return future

    def _take(self, promise: Promise) -> None:
        self._promise = promise
        self._settled_at = promise.settled_at or 0

    def _settle(self, promise: Promise) -> None:
        self._take(promise)
        self._execution.wake(self)

    def refused(self, error: Exception, at_ms: int) -> None:
        """Take an error that has no record of its own."""
        self._error, self._settled_at = error, at_ms

    def _result(self) -> T_co:
        promise = self._promise
        if promise is not None:  # decoded once, on first use
            self._promise = None
            codec: Codec = self._execution.codec
            if promise.state is PromiseState.RESOLVED:
                self._value = codec.decode(promise.value, self._hint, promise.id)
            else:
                self._error = codec.decode_error(promise)
            self._execution.delivered(promise)
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[no-any-return]

    def cancel(self) -> None:
        """Settle the promise as cancelled unless it is settled; a running step is abandoned."""
        if not self._done:
            self._execution.cancel(self)

    def _needs(self) -> list[str]:
        return [self.id]

    def _at(self) -> int:
        return self._settled_at


class Composite(Future[T_co]):
    """A future over other futures."""

    __slots__ = ("_members",)

    def __init__(self, members: Sequence[Future[Any]]) -> None:
        super().__init__()
        self._members = list(members)

    def _watch(self) -> None:
        for member in self._members:
            if not member._done:
                member._watchers.append(self)

    def _member_done(self, member: Future[Any]) -> None:
        """Count a member that settled."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Cancel every member that is still pending."""
        for member in self._members:
            if not member._done:
                member.cancel()

    def _at(self) -> int:
        return max((member._at() for member in self._members), default=0)


class Gather(Composite[list[Any]]):
    """All members, then their values in argument order; the first rejection in that order is raised."""

    __slots__ = ("_execution", "_left", "_return_exceptions")

    def __init__(
        self, members: Sequence[Future[Any]], execution: Execution, *, return_exceptions: bool = False
    ) -> None:
        super().__init__(members)
        self._execution = execution
        self._return_exceptions = return_exceptions
        self._left = sum(not member._done for member in self._members)
        self._done = self._left == 0
        if self._left:
            self._watch()

    def _member_done(self, member: Future[Any]) -> None:
        del member
        self._left -= 1
        if self._left == 0:
            self._execution.wake(self)

    def _result(self) -> list[Any]:
        values: list[Any] = []
        for member in self._members:
            try:
                values.append(member._result())
            except Exception as error:
                if not self._return_exceptions:
                    raise
                values.append(error)
        return values

    def _needs(self) -> list[str]:
        """ONE pending member is enough: the gather can't end before it (design section 4)."""
        needs = [member._needs() for member in self._members if not member._done]
        return min(needs, key=len, default=[])


class Map(Composite[list[Any]]):
    """A gather whose members are started in order, never more than ``limit`` in flight, by its frame alone."""

    __slots__ = (
        "_execution",
        "_frame",
        "_ids",
        "_in_flight",
        "_left",
        "_limit",
        "_pending",
        "_start",
        "_variables",
    )

    def __init__(
        self,
        start: Callable[[int], Future[Any]],
        ids: Sequence[str],
        execution: Execution,
        frame: Frame,
        *,
        limit: int,
        known: Sequence[int],
    ) -> None:
        """Start what is on record; :meth:`fill` starts as many more as the limit allows.

        Args:
            start: starts the call of an item by its index.
            ids: of the items' calls.
            execution: to be told when all are done.
            frame: the caller's; once it has ended nothing is started.
            limit: at most this many unsettled at a time.
            known: indexes whose call is on record: they are under way, whatever the limit.
        """
        super().__init__(())
        self._execution = execution
        self._frame = frame
        self._start = start
        self._ids = ids
        self._limit = limit
        self._variables = copy_context()  # of the call: every item sees these, whenever its turn comes
        self._left = len(ids)
        self._in_flight = 0
        slots: list[Future[Any] | None] = [None] * len(ids)
        under_way = set(known)
        self._pending = iter([index for index in range(len(ids)) if index not in under_way])
        self._members = slots  # type: ignore[assignment]
        for index in known:
            self._open(index)
        self._done = self._left == 0

    def _open(self, index: int) -> None:
        member = self._members[index] = self._start(index)
        if member._done:
            self._left -= 1
        else:
            self._in_flight += 1
            member._watchers.append(self)

    def fill(self) -> None:
        """Start items up to the limit."""
        self._variables.run(self._fill)

    def _fill(self) -> None:
        while self._in_flight < self._limit:
            index = next(self._pending, None)
            if index is None:
                break
            self._open(index)

    def _member_done(self, member: Future[Any]) -> None:
        del member
        self._in_flight -= 1
        self._left -= 1
        if self._left == 0:
            self._execution.wake(self)
        elif not self._frame.closed:
            self.fill()

    def cancel(self) -> None:
        """Cancel what is in flight and start nothing more."""
        self._pending = iter(())
        self._left = self._in_flight
        for member in self._members:
            if member is not None and not member._done:
                member.cancel()
        if self._left == 0:
            self._execution.wake(self)

    def _result(self) -> list[Any]:
        return [self._value(index, member) for index, member in enumerate(self._members)]

    def _value(self, index: int, member: Future[Any] | None) -> Any:
        if member is None:
            raise PromiseCanceledError(self._ids[index])  # cancelled before its turn came
        return member._result()

    def _at(self) -> int:
        return max((member._at() for member in self._members if member is not None), default=0)

    def _needs(self) -> list[str]:
        """All in flight, for each one that ends starts another; ONE, when nothing is left to start."""
        needs = [member._needs() for member in self._members if member is not None and not member._done]
        if any(member is None for member in self._members):
            return [need for some in needs for need in some]
        return min(needs, key=len, default=[])


__all__ = ["Composite", "Future", "Gather", "Map", "RecordFuture"]
