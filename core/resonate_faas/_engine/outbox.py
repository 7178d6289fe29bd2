"""What a round sends to the store, and what is remembered of it until the answer comes."""

from __future__ import annotations

from typing import Any

from resonate_faas._engine.calls import Call
from resonate_faas._machine.requests import Effect, PromiseSettle, Record


class Outbox:
    """The effects of the round, the creates that ride along, and the creates under way.

    Attributes:
        finish: settles the root in the round's last commit.
    """

    def __init__(self) -> None:
        self.finish: PromiseSettle | None = None
        self._effects: list[Effect] = []
        self._riding: dict[str, Call[Any]] = {}
        self._sent: dict[str, Record] = {}

    def emit(self, effect: Effect) -> None:
        """Let an effect go out in this round's commit."""
        self._effects.append(effect)
        self._riding.pop(effect.id, None)

    def replace(self, call: Call[Any], effect: Effect) -> None:
        """Emit a settlement; it takes the place of a create that has not gone out yet."""
        if isinstance(effect, PromiseSettle) or call.id not in {waiting.id for waiting in self._effects}:
            self.emit(effect)
            return
        self._effects = [effect if waiting.id == call.id else waiting for waiting in self._effects]

    def ride_along(self, call: Call[Any]) -> None:
        """Let a call's create go out with the next commit of any kind."""
        self._riding[call.id] = call

    def get_off(self, promise_id: str) -> None:
        """Forget that a create rides: the promise is durable."""
        self._riding.pop(promise_id, None)

    def take(self) -> tuple[Effect, ...]:
        """Return this round's effects, creates that ride along first; none, if nothing needs to go out."""
        if not self._effects and self.finish is None:
            return ()
        riding = self.take_riding() if self.finish is None else ()
        effects, self._effects = (*riding, *self._effects), []
        self._sent.update({effect.id: effect for effect in effects if isinstance(effect, Record)})
        return effects

    def take_riding(self) -> tuple[Record, ...]:
        """Return the creates that ride along, to go out now."""
        riding = tuple(
            call.riding() for call in self._riding.values() if not call.is_durable and not call._done
        )
        self._riding.clear()
        self._sent.update({record.id: record for record in riding})
        return riding

    def answered(self, promise_id: str) -> Record | None:
        """Return the create that a record answers, once; None: it was no create of ours."""
        return self._sent.pop(promise_id, None)
