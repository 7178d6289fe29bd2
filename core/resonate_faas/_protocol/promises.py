"""The data of promise requests, and the rules between their fields (protocol sections 3.0 and 3.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from resonate_faas._machine.objects import DELAY, TARGET
from resonate_faas._machine.requests import (
    PromiseCreate,
    PromiseGet,
    PromiseSettle,
    RegisterCallback,
    RegisterListener,
)
from resonate_faas._protocol.fields import (
    INTEGER_MAX,
    AnyPromiseState,
    AwaitedId,
    AwaiterId,
    Cursor,
    Deadline,
    FinalState,
    Limit,
    ListenerAddress,
    Payload,
    PromiseId,
    Tags,
    Wire,
    tags_of,
    value_of,
)
from resonate_faas._requests import PromiseSearch, WireRequest

_DIGITS: Final = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What the rules between fields need besides the data.

    Attributes:
        permits: whether an address may be stored.
        debug_time: the head's, already dropped unless debug mode is on.
    """

    permits: Callable[[str], bool]
    debug_time: int | None


class RequestData(Wire):
    """The ``data`` of one kind of request."""

    def broken_rule(self, scope: Scope) -> str | None:
        """Return the first broken rule between fields; None: all hold. Asked only when every field is right."""
        del scope
        return None

    def to_request(self) -> WireRequest:
        """Return the plain request."""
        raise NotImplementedError


def delay_of(tags: Mapping[str, str]) -> int | None:
    """Return the instant before which nothing is dispatched; None: the tag is no instant."""
    text = tags.get(DELAY, "")
    delay = int(text) if _DIGITS.fullmatch(text) else INTEGER_MAX + 1
    return delay if delay <= INTEGER_MAX else None


def broken_tag(tags: Mapping[str, str], timeout_at: int, scope: Scope) -> str | None:
    """Return the first of rules 6 to 9 that the tags break. Rules 1 to 5 are not ours: ids are neutral (D4)."""
    if DELAY in tags:
        delay = delay_of(tags)
        if delay is None:
            return "resonate:delay must be a non-negative integer"
        if delay >= timeout_at:
            return "resonate:delay must be less than timeoutAt"
        if TARGET not in tags:
            return "resonate:delay requires a resonate:target tag"
    if TARGET in tags and not scope.permits(tags[TARGET]):
        return "Invalid resonate:target address"
    return None


class PromiseGetData(RequestData):
    """promise.get."""

    id: PromiseId

    def to_request(self) -> PromiseGet:
        """Return the plain request."""
        return PromiseGet(id=self.id)


class PromiseCreateData(RequestData):
    """promise.create."""

    id: PromiseId
    timeout_at: Deadline
    param: Payload = None
    tags: Tags = None

    def broken_rule(self, scope: Scope) -> str | None:
        """Return the first broken tag rule."""
        return broken_tag(tags_of(self.tags), self.timeout_at, scope)

    def to_request(self) -> PromiseCreate:
        """Return the plain request."""
        return PromiseCreate(
            id=self.id, timeout_at=self.timeout_at, param=value_of(self.param), tags=tags_of(self.tags)
        )


class PromiseSettleData(RequestData):
    """promise.settle."""

    id: PromiseId
    state: FinalState
    value: Payload = None

    def to_request(self) -> PromiseSettle:
        """Return the plain request."""
        return PromiseSettle(id=self.id, state=self.state, value=value_of(self.value))


class RegisterCallbackData(RequestData):
    """promise.register_callback."""

    awaited: AwaitedId
    awaiter: AwaiterId

    def to_request(self) -> RegisterCallback:
        """Return the plain request."""
        return RegisterCallback(awaited=self.awaited, awaiter=self.awaiter)


class RegisterListenerData(RequestData):
    """promise.register_listener."""

    awaited: AwaitedId
    address: ListenerAddress

    def broken_rule(self, scope: Scope) -> str | None:
        """Refuse an address that is none, or outside the allow-list."""
        return None if scope.permits(self.address) else "Invalid listener address"

    def to_request(self) -> RegisterListener:
        """Return the plain request."""
        return RegisterListener(awaited=self.awaited, address=self.address)


class PromiseSearchData(RequestData):
    """promise.search."""

    state: AnyPromiseState | None = None
    tags: Tags = None
    limit: Limit | None = None
    cursor: Cursor | None = None

    def to_request(self) -> PromiseSearch:
        """Return the plain request."""
        limit = 100 if self.limit is None else self.limit
        return PromiseSearch(state=self.state, tags=tags_of(self.tags), limit=limit, cursor=self.cursor)
