"""The durable operations behind the context: what calls functions, and what waits for time, people and races."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutine
from typing import Any, Final

from resonate_faas._engine.calls import (
    Call,
    InstantCall,
    Kind,
    Race,
    local_param,
)
from resonate_faas._engine.functions import Functions
from resonate_faas._engine.futures import Future, RecordFuture
from resonate_faas._engine.options import Options
from resonate_faas._machine.objects import (
    BRANCH,
    EXTERNAL,
    TIMER,
    Value,
)


class Operations(Functions):
    """All operations of one frame."""

    __slots__ = ()

    def sleep_until(self, instant_ms: int) -> RecordFuture[Any]:
        """ctx.sleep and ctx.sleep_until: a timer promise, never beyond the frame's deadline."""
        self.enter("sleep")
        promise_id = self.next_id()
        param = Value(data=_SLEEP_PARAM)
        settled = self.recorded(promise_id, Any, param)
        if settled is not None:
            return settled
        tags = {**self.frame.global_tags, TIMER: "true", BRANCH: promise_id}
        timeout_at = min(max(instant_ms, 0), self.frame.timeout_at)
        return self.place(
            self._call(Call, promise_id, Any, kind=Kind.SLEEP, param=param, tags=tags, timeout_at=timeout_at)
        )

    def promise(
        self, options: Options, hint: Any, factory: Callable[..., RecordFuture[Any]]
    ) -> RecordFuture[Any]:
        """ctx.promise: settled from outside."""
        self.enter("promise")
        promise_id = self._explicit(options) or self.next_id()
        param = Value(data=_PROMISE_PARAM)
        execution = self.execution
        promise = execution.history.get(promise_id)
        settled = self.recorded(promise_id, hint, param)
        if settled is not None and promise is not None:
            return factory.settled(promise, hint, execution)  # type: ignore[attr-defined, no-any-return]
        tags = {**options.tags, **self.frame.global_tags, EXTERNAL: "true", BRANCH: promise_id}
        call: Call[Any] = self._call(
            factory,
            promise_id,
            hint,
            kind=Kind.PROMISE,
            param=param,
            tags=tags,
            timeout_at=self.deadline(options, None),
        )
        call.birth = self.execution.lineage.own_birth(promise_id)
        return self.place(call)

    def instant(self, value: Any, hint: Any) -> RecordFuture[Any]:
        """ctx.now: a value fixed here and now, recorded before it is given out."""
        self.enter("now")
        promise_id = self.next_id()
        param = Value(data=_NOW_PARAM)
        settled = self.recorded(promise_id, hint, param)
        if settled is not None:
            return settled
        call = self._call(
            InstantCall,
            promise_id,
            hint,
            kind=Kind.NOW,
            param=param,
            tags=self.frame.local_tags,
            timeout_at=self.frame.timeout_at,
            value=value,
        )
        return self.place(call)

    def race(self, members: tuple[Future[Any], ...], *, cancel: bool) -> Race[Any]:
        """ctx.race: the choice is a record."""
        self.enter("race")
        check_futures(members, "race")
        promise_id = self.next_id()
        execution = self.execution
        param = Value(data=local_param(Kind.RACE, "race", 1, str(len(members))))
        race: Race[Any] = self._call(
            Race,
            promise_id,
            int,
            kind=Kind.RACE,
            param=param,
            tags=self.frame.local_tags,
            timeout_at=self.frame.timeout_at,
            members=members,
            cancels=cancel,
        )
        settled = self.recorded(promise_id, int, param)
        promise = execution.history.get(promise_id)
        if settled is not None and promise is not None:
            race._settle(promise)
            if cancel and race._chosen is not None:
                race.drop_losers(
                    race._chosen
                )  # a crash between the commits of a large race may have left some
            return race
        self.place(race)
        return race


def check_futures(members: tuple[Any, ...], operation: str) -> None:
    """Refuse anything but futures of the context: a bare coroutine has no id and no place in the call order.

    Raises:
        TypeError: names the member and the cure.
    """
    if not members:
        raise ValueError(f"ctx.{operation} needs at least one future")
    strangers = [member for member in members if not isinstance(member, Future)]
    for stranger in strangers:
        if iscoroutine(stranger):
            stranger.close()  # it will not be awaited: the error below says what to do instead
    if strangers:
        raise TypeError(
            f"ctx.{operation} takes futures of the context, got {type(strangers[0]).__name__}: "
            "start it with ctx.run(fn, ...) and pass what that returns"
        )


def _plain_param(kind: Kind) -> str:
    return local_param(kind, str(kind), 1, "")


_SLEEP_PARAM: Final = _plain_param(Kind.SLEEP)
_PROMISE_PARAM: Final = _plain_param(Kind.PROMISE)
_NOW_PARAM: Final = _plain_param(Kind.NOW)
