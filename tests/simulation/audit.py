"""What must hold at every state and of every step, and of everything that was ever acknowledged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tests.machine.invariants import StateInvariant, state_violations, told
from tests.machine.step_invariants import step_violations
from tests.machine.world import Cause, Internal, Snapshot, Transition

from resonate_faas._machine import decide, internal
from resonate_faas._machine.objects import (
    DEFAULT_RULES,
    Message,
    Object,
    Poke,
    PromiseObject,
    PromiseState,
    Rules,
    TaskState,
    Unblock,
)
from resonate_faas._machine.requests import Claim, Outcome, Reply, Yield
from resonate_faas._ports import Result

FULL_EVERY: Final = 60
"""Each write is checked with what it touched; every so many writes, everything is."""
UNCHECKED: Final = ("a_consumed_listener_was_sent_an_unblock",)
"""Its message goes out before the step (design section 5): :meth:`Audit.written` looks at what was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a transaction decided, and why it was made; None: an internal step."""

    cause: Any
    given: Mapping[str, Object | None]
    outcome: Outcome


@dataclass(eq=False)
class Audit:
    """Sees every write as it reaches the store, every message, and every answer that a process was given.

    Attributes:
        objects: everything stored, as it stands.
        past: every object that ever stood in the store, by key.
        violations: what did not hold.
        deleted: keys that were deleted; what an earlier execution of such a root left counts as absent.
    """

    rules: Rules = DEFAULT_RULES
    objects: dict[str, Object] = field(default_factory=dict)
    past: dict[str, list[Object]] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    writes: int = 0
    unblocked: set[tuple[str, str]] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)

    def promises(self) -> Iterator[PromiseObject]:
        return (found for found in self.objects.values() if isinstance(found, PromiseObject))

    def at(self, key: str) -> PromiseObject | None:
        found = self.objects.get(key)
        return found if isinstance(found, PromiseObject) else None

    def last(self, key: str) -> PromiseObject | None:
        """Return the object, or as it was before it was deleted."""
        return self.at(key) or next(iter(self._past(key)), None)

    def forget(self, key: str) -> None:
        """Know that the simulation itself removed an object, and all that was known of it."""
        self.objects.pop(key, None)
        self.past.pop(key, None)
        self.deleted.add(key)

    def check(self) -> None:
        """Complain of what was seen so far.

        Raises:
            AssertionError: something did not hold.
        """
        assert not self.violations, "\n".join(self.violations)

    # ---- what it sees

    def written(self, writes: Mapping[str, Object | None], decision: Decision | None) -> None:
        """Look at a write: at the step it is, and at the state it leaves."""
        keys = set(writes) | (set(decision.given) if decision is not None else set())
        before = {key: self.objects[key] for key in sorted(keys) if self._counts(key, writes)}
        for key, stored in writes.items():
            if stored is None:
                self._deleted(key)
            else:
                self.objects[key] = stored
                self.past.setdefault(key, []).append(stored)
        after = {key: self.objects[key] for key in sorted(keys) if key in self.objects}
        self.writes += 1
        if decision is not None and any(stored is not None for stored in writes.values()):
            for step in self._steps(before, after, writes, decision):
                self._report(step_violations(step), step)
        scope = self.objects if self.writes % FULL_EVERY == 0 else self._around(after)
        self.look(scope)
        self._look_at_listeners(before, after)

    def look(self, scope: Mapping[str, Object]) -> None:
        """Check the state invariants of these objects."""
        now = max((stored.at for stored in scope.values()), default=0)
        snapshot = Snapshot(objects=dict(scope), outbox={}, now=now, rules=self.rules)
        self.violations += state_violations(snapshot)

    def sent(self, message: Message) -> None:
        """Look at a message as the queue takes it; it may have been decided long before."""
        if isinstance(message, Unblock):
            self.unblocked.add((message.promise.id, message.address))
            stored = self.at(message.promise.id)
            if stored is None or told(stored.promise) != told(message.promise):
                self.violations.append(f"an unblock told {message.promise}, stored is {stored}")

    def acknowledged(self, result: Result) -> None:
        """Look at an answer: what it tells was stored, and what it wrote was written."""
        for record in _told(result.reply):
            if all(told(record.promise) != told(one.promise) for one in self._past(record.id)):
                self.violations.append(f"told but never stored: {record}")
        for key, written in result.outcome.writes.items():
            if written is not None and written not in self.past.get(key, ()):
                self.violations.append(f"acknowledged but never written: {written}")

    # ---- how it looks

    def _deleted(self, key: str) -> None:
        """Look at a deletion: only what is over may go (retention)."""
        self.deleted.add(key)
        found = self.objects.pop(key, None)
        if isinstance(found, PromiseObject) and (not is_settled(found) or found.promise.callbacks):
            self.violations.append(f"deleted although it is not over: {found}")

    def _counts(self, key: str, writes: Mapping[str, Object | None]) -> bool:
        """True if the object is there before a write, as the invariants see it: it is not left over, nor deleted."""
        found, written = self.objects.get(key), writes.get(key)
        if found is None or (key in writes and written is None):
            return False
        is_left_over = (
            key.partition(":")[0] in self.deleted
            and isinstance(found, PromiseObject)
            and isinstance(written, PromiseObject)
            and found.birth != written.birth
        )
        return not is_left_over

    def _past(self, key: str) -> list[PromiseObject]:
        return [one for one in reversed(self.past.get(key, ())) if isinstance(one, PromiseObject)]

    def _around(self, touched: Mapping[str, Object]) -> dict[str, Object]:
        """Return the objects, those that hold the callbacks of the suspended tasks among them, and so on."""
        around, fresh = dict(touched), dict(touched)
        while True:
            suspended = {
                one.id
                for one in fresh.values()
                if isinstance(one, PromiseObject) and one.task and one.task.state is TaskState.SUSPENDED
            }
            fresh = {
                one.id: one
                for one in (self.promises() if suspended else ())
                if one.id not in around and suspended.intersection(one.promise.callbacks)
            }
            if not fresh:
                return around
            around |= fresh

    def _steps(
        self,
        before: dict[str, Object],
        after: dict[str, Object],
        writes: Mapping[str, Object | None],
        decision: Decision,
    ) -> Iterator[Transition]:
        """Yield the write as steps of the protocol: a claim may have ended another's lease first."""
        now = max(stored.at for stored in writes.values() if stored is not None)
        outcome = decision.outcome
        cause: Cause = decision.cause or Internal("advance", next(iter(decision.given)))
        whole = Transition(
            cause=cause,
            now=now,
            before=self._snapshot(before, now),
            after=self._snapshot(after, now),
            reply=outcome.reply,
            messages=tuple(one for one in outcome.messages if not isinstance(one, Poke)),
        )
        if not isinstance(cause, Claim):
            yield whole
            return
        found, left = before.get(cause.id), after.get(cause.id)
        if _version(found) not in {None, _version(left)} and _is_held(found):
            freed = decide(
                lambda turn: internal.lease_timeout(turn, cause.id),
                {cause.id: found},
                now_ms=now,
                rules=self.rules,
            )
            assert isinstance(freed, Outcome)
            middle = {**before, **{key: one for key, one in freed.writes.items() if one is not None}}
            yield replace(
                whole, cause=Internal("R5", cause.id), after=self._snapshot(middle, now), messages=()
            )
            whole = replace(whole, before=self._snapshot(middle, now))
        yield whole

    def _snapshot(self, objects: Mapping[str, Object], now: int) -> Snapshot:
        return Snapshot(objects=objects, outbox={}, now=now, rules=self.rules)

    def _report(self, violations: list[str], step: Transition) -> None:
        spared = list(UNCHECKED)
        if isinstance(step.cause, Yield) and step.cause.is_interrupted:
            spared.append("barren_counts_our_acquisitions_since_the_last_progress")
        self.violations += [
            f"{one} (in {step.cause})" for one in violations if not one.startswith(tuple(spared))
        ]

    def _look_at_listeners(self, before: Mapping[str, Object], after: Mapping[str, Object]) -> None:
        for key, old in before.items():
            new = after.get(key)
            if isinstance(old, PromiseObject) and isinstance(new, PromiseObject):
                for address in set(old.promise.listeners) - set(new.promise.listeners):
                    if (key, address) not in self.unblocked:
                        self.violations.append(f"{address} was not told of {key}")


def _version(stored: Object | None) -> int | None:
    has_task = isinstance(stored, PromiseObject) and stored.task is not None
    return stored.task.version if has_task else None  # type: ignore[union-attr]


def _is_held(stored: Object | None) -> bool:
    return (
        isinstance(stored, PromiseObject)
        and stored.task is not None
        and stored.task.state is TaskState.ACQUIRED
    )


def _told(reply: Reply) -> Iterator[PromiseObject]:
    if reply.promise is not None:
        yield reply.promise
    yield from (reply.records or {}).values()
    if reply.inner is not None:
        yield from _told(reply.inner)


def is_settled(stored: PromiseObject | None) -> bool:
    return stored is not None and stored.promise.state is not PromiseState.PENDING


__all__ = ["Audit", "Decision", "StateInvariant", "is_settled"]
