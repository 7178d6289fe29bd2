"""One step of the machine over the objects it was given: reads project, writes are collected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from resonate_faas._machine.objects import (
    Message,
    Object,
    PromiseObject,
    Rules,
    ScheduleObject,
    project,
    schedule_key,
)
from resonate_faas._machine.requests import Need, Outcome, Reply


class MissingError(Exception):
    """Internal to the machine: a step read an object that it was not given. Becomes :class:`Need`."""

    def __init__(self, ids: frozenset[str]) -> None:
        super().__init__(ids)
        self.ids = ids


class Turn:
    """What one step reads and writes. Discarded when the step answers Need.

    Reads through :meth:`get` are projected: the deadline settlement of a dead promise is seen by every
    handler, and stored with whatever else the step writes to that object (protocol section 4.1).
    """

    __slots__ = ("_given", "_messages", "_nonce", "_written", "now", "rules")

    def __init__(self, given: Mapping[str, Object | None], now_ms: int, rules: Rules, nonce: str) -> None:
        self._given = given
        self._nonce = nonce
        self._written: dict[str, Object | None] = {}
        self._messages: list[Message] = []
        self.now = now_ms
        self.rules = rules

    def stored(self, key: str) -> Object | None:
        """Return the object as stored, or as written by this step; raise MissingError if it was not given."""
        if key in self._written:
            return self._written[key]
        try:
            return self._given[key]
        except KeyError:
            raise MissingError(frozenset((key,))) from None

    def given(self, key: str) -> Object | None:
        """Return the object as the step was given it; None: absent, or not given."""
        return self._given.get(key)

    def require(self, keys: Iterable[str]) -> None:
        """Ask for all absent objects at once, so that a step needs one more read and not one each."""
        missing = frozenset(key for key in keys if key not in self._given and key not in self._written)
        if missing:
            raise MissingError(missing)

    def get(self, promise_id: str) -> PromiseObject | None:
        """Return the projected promise object; None: absent."""
        found = self.stored(promise_id)
        return project(found, self.now) if isinstance(found, PromiseObject) else None

    def schedule(self, schedule_id: str) -> ScheduleObject | None:
        """Return the schedule object; None: absent."""
        found = self.stored(schedule_key(schedule_id))
        return found if isinstance(found, ScheduleObject) else None

    def put(self, changed: Object) -> None:
        """Write the object; its ``at`` becomes this step's now."""
        self._written[changed.id] = replace(changed, at=self.now)

    def materialise(self, promise_id: str) -> PromiseObject | None:
        """Return the projected object, stored if the deadline changed it: what is told must be durable."""
        found = self.get(promise_id)
        if found is not None and found is not self.stored(promise_id):
            self.put(found)
        return found

    def fresh_birth(self) -> str:
        """Return the birth mark of a promise that starts here: its createdAt and the step's nonce."""
        return f"{self.now}-{self._nonce}"

    def delete(self, key: str) -> None:
        """Remove the object."""
        self._written[key] = None

    def send(self, message: Message) -> None:
        """Send the message once the step is stored."""
        self._messages.append(message)

    def written(self) -> list[Object]:
        """Return the objects written so far by this step, deletions left out."""
        return [written for written in self._written.values() if written is not None]

    def end(self, reply: Reply) -> Outcome:
        """Close the step; a refusal writes nothing, unless it tells a record: what is told must be durable."""
        if reply.status >= 400 and reply.promise is None:
            return Outcome(reply=reply, writes={})
        return Outcome(reply=reply, writes=self._written, messages=tuple(self._messages))


Handler = Callable[[Turn], Reply]


def decide(
    handler: Handler, given: Mapping[str, Object | None], *, now_ms: int, rules: Rules, nonce: str = ""
) -> Outcome | Need:
    """Run a handler over the objects given; ``now`` never lies before an instant stored in any of them.

    Args:
        handler: reads and writes through the turn, answers the reply.
        given: the objects at hand by key, None for one known to be absent.
        now_ms: the instance's clock.
        rules: the machine's settings.
        nonce: a fresh random text; marks the birth of what the step creates.

    Source: design section 3 (per object, time never runs backwards).
    """
    now = max([now_ms, *(found.at for found in given.values() if found is not None)])
    turn = Turn(given, now, rules, nonce)
    try:
        return turn.end(handler(turn))
    except MissingError as missing:
        return Need(ids=missing.ids)
