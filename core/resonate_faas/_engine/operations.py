"""The durable operations behind the context: what calls functions, and what waits for time, people and races."""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import iscoroutine
from typing import Any, Final

from resonate_faas._engine.calls import (
    Call,
    InstantCall,
    Kind,
    Patch,
    Race,
    local_param,
)
from resonate_faas._engine.functions import Functions
from resonate_faas._engine.futures import Future, RecordFuture
from resonate_faas._engine.ids import patch_id
from resonate_faas._engine.options import Options
from resonate_faas._errors import HistoryNotReadError
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

    def patched(self, name: str) -> bool:
        """ctx.patched: what is on record decides; else whether an earlier activation went on from here without it.

        The answer is the frame's, whatever comes later: all its branches of one name belong together.
        """
        self.enter("patched")
        answer = self.frame.patches.get(name)
        if answer is None:
            answer = self._is_on_record(name) or self._is_first(name)
            self.frame.patches[name] = answer
        return answer

    def deprecate_patch(self, name: str) -> None:
        """ctx.deprecate_patch: the record may stand or not; none is made."""
        self.enter("deprecate_patch")
        if name not in self.frame.patches:
            self.frame.patches[name] = self._is_on_record(name)

    def _is_on_record(self, name: str) -> bool:
        if not _PATCH_NAME.fullmatch(name):
            raise ValueError(f"a patch is named by 1 to 64 letters, digits, '-' and '_', got {name!r}")
        found = self.frame.unasked.pop(name, None) is not None
        if found:
            self.frame.held.clear()  # said by the activation that came here first
        return found

    def _is_first(self, name: str) -> bool:
        """Record a patch that no earlier activation went past; its record rides with what follows.

        Raises:
            HistoryNotReadError: it is not known how far earlier activations came.
        """
        if not self.execution.history.is_whole:
            self.execution.fail(HistoryNotReadError(self.frame.id, name))
        if self.execution.history.is_past(self.frame):
            return False
        promise_id = patch_id(self.frame.id, name)
        self.execution.reserve([promise_id])
        calls_before = str(self.frame.counter)
        param = Value(data=local_param(Kind.PATCH, name, 1, calls_before))
        self.execution.ride_along(
            self._call(
                Patch,
                promise_id,
                bool,
                kind=Kind.PATCH,
                param=param,
                tags=self.frame.local_tags,
                timeout_at=self.frame.timeout_at,
            )
        )
        return True

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


_PATCH_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SLEEP_PARAM: Final = _plain_param(Kind.SLEEP)
_PROMISE_PARAM: Final = _plain_param(Kind.PROMISE)
_NOW_PARAM: Final = _plain_param(Kind.NOW)
