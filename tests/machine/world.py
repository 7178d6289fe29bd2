"""A store, a queue and a cron small enough to see through: the machine's steps over a dict, one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal, assert_never

from resonate_faas._machine import decide, handler_of, internal, keys_of
from resonate_faas._machine.objects import (
    DEFAULT_RULES,
    EMPTY,
    EXTERNAL,
    SCOPE,
    TARGET,
    TIMER,
    Execute,
    Message,
    Object,
    Poke,
    Promise,
    PromiseObject,
    PromiseState,
    Rules,
    ScheduleObject,
    Task,
    TaskState,
    Unblock,
    Value,
    due,
    schedule_key,
)
from resonate_faas._machine.requests import Need, Outcome, Reply, Request, ScheduleCreate
from resonate_faas._machine.turn import Handler, Turn

NEEDS_MAX: Final = 3

LOCAL: Final[Mapping[str, str]] = MappingProxyType({SCOPE: "local"})
GLOBAL: Final[Mapping[str, str]] = MappingProxyType({SCOPE: "global"})
OUTSIDE: Final[Mapping[str, str]] = MappingProxyType({EXTERNAL: "true"})
SLEEP: Final[Mapping[str, str]] = MappingProxyType({TIMER: "true"})
TARGETED: Final[Mapping[str, str]] = MappingProxyType({TARGET: "U"})
SLEEP_TARGETED: Final[Mapping[str, str]] = MappingProxyType({TIMER: "true", TARGET: "U"})

OutboxKey = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Internal:
    """An internal step of protocol section 4.2 on one object; ``address`` is R3's."""

    step: Literal["R1", "R3", "R4", "R5", "R6", "R7", "advance"]
    id: str
    address: str = ""


Cause = Request | Internal


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything stored at one moment."""

    objects: Mapping[str, Object]
    outbox: Mapping[OutboxKey, Message]
    now: int
    rules: Rules

    def promises(self) -> Iterator[PromiseObject]:
        return (found for found in self.objects.values() if isinstance(found, PromiseObject))

    def schedules(self) -> Iterator[ScheduleObject]:
        return (found for found in self.objects.values() if isinstance(found, ScheduleObject))

    def at(self, promise_id: str) -> PromiseObject | None:
        found = self.objects.get(promise_id)
        return found if isinstance(found, PromiseObject) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One step: what it began with, what it left, at which now it was decided."""

    cause: Cause
    now: int
    before: Snapshot
    after: Snapshot
    reply: Reply
    messages: tuple[Message, ...]

    def pairs(self) -> Iterator[tuple[PromiseObject | None, PromiseObject]]:
        """Every promise object after the step, with itself before."""
        return ((self.before.at(after.id), after) for after in self.after.promises())

    def changed(self) -> Iterator[tuple[PromiseObject, PromiseObject]]:
        """The promise objects that were there before and differ now."""
        return (
            (before, after) for before, after in self.pairs() if before is not None and before is not after
        )


def tick_every(cron: str, after_ms: int) -> int:
    """The fake cron: ``every N`` fires at the multiples of N."""
    period = int(cron.removeprefix("every "))
    return (after_ms // period + 1) * period


class World:
    """The objects, the keyed outbox and the clock.

    ``dispatching``: R6 runs in the step that made the task pending, as the server does it.
    """

    def __init__(self, rules: Rules = DEFAULT_RULES, *, dispatching: bool = False) -> None:
        self.rules = rules
        self.objects: dict[str, Object] = {}
        self.outbox: dict[OutboxKey, Message] = {}
        self.clock = 0
        self.last: Transition | None = None
        self._dispatching = dispatching
        self._nonces = 0

    def snapshot(self) -> Snapshot:
        return Snapshot(
            objects=dict(self.objects), outbox=dict(self.outbox), now=self.clock, rules=self.rules
        )

    def ask(self, request: Request, now: int) -> Reply:
        """Run a request as a store would: read, decide, answer Need by reading more, write."""
        return self.run(request, handler_of(request), keys_of(request), now).reply

    def fire(self, step: Internal, now: int) -> Outcome:
        """Run an internal step."""
        key = schedule_key(step.id) if step.step == "R7" else step.id
        return self.run(step, lambda turn: self._internal(turn, step), (key,), now)

    def run(self, cause: Cause, handler: Handler, keys: Iterable[str], now: int) -> Outcome:
        self.clock = max(self.clock, now)
        self._nonces += 1
        seen: list[int] = []

        def composed(turn: Turn) -> Reply:
            seen.append(turn.now)
            reply = handler(turn)
            if self._dispatching:
                internal.dispatch_written(turn)
            return reply

        before = self.snapshot()
        outcome = self._settle_needs(composed, list(keys), now)
        for key, written in outcome.writes.items():
            if written is None:
                self.objects.pop(key, None)
            else:
                assert written.id == key
                self.objects[key] = written
        for message in outcome.messages:
            self.send(message)
        self.last = Transition(
            cause=cause,
            now=seen[-1],
            before=before,
            after=self.snapshot(),
            reply=outcome.reply,
            messages=outcome.messages,
        )
        return outcome

    def _settle_needs(self, handler: Handler, keys: list[str], now: int) -> Outcome:
        for _ in range(NEEDS_MAX):
            given = {key: self.objects.get(key) for key in keys}
            decided = decide(handler, given, now_ms=now, rules=self.rules, nonce=f"n{self._nonces}")
            if isinstance(decided, Outcome):
                assert set(decided.writes) <= set(keys), "a step writes only what it was given"
                return decided
            assert isinstance(decided, Need)
            assert not decided.ids & set(keys), "a step asks only for what it was not given"
            keys.extend(sorted(decided.ids))
        raise AssertionError("a step must have all it needs within 3 calls")

    def _internal(self, turn: Turn, step: Internal) -> Reply:
        match step.step:
            case "R1":
                return internal.promise_timeout(turn, step.id)
            case "R3":
                return self._tell(turn, step)
            case "R4":
                return internal.callback_drain(turn, step.id)
            case "R5":
                return internal.lease_timeout(turn, step.id)
            case "R6":
                return internal.dispatch(turn, step.id)
            case "R7":
                return self._fire_schedule(turn, step.id)
            case "advance":
                return internal.advance(turn, step.id)
            case _:
                assert_never(step.step)

    def _tell(self, turn: Turn, step: Internal) -> Reply:
        """R3 as the server does it: the message first, then the listener is forgotten."""
        found = turn.materialise(step.id)
        if found is not None and found.promise.settled_at is not None:
            if step.address in found.promise.listeners:
                turn.send(Unblock(address=step.address, promise=found.promise))
            return internal.listener_drain(turn, step.id, step.address)
        return internal.listener_drain(turn, step.id, step.address)

    def _fire_schedule(self, turn: Turn, schedule_id: str) -> Reply:
        found = turn.schedule(schedule_id)
        occurrences: list[int] = []
        following = 0
        if found is not None:
            following = found.schedule.next_run_at
            while following <= turn.now and len(occurrences) < 10:
                occurrences.append(following)
                following = tick_every(found.schedule.cron, following)
        return internal.schedule_fire(turn, schedule_id, occurrences, following)

    def send(self, message: Message) -> None:
        """Put a message in the keyed outbox: a newer one for the same task or listener replaces the older."""
        match message:
            case Execute():
                self.outbox["execute", message.id] = message
            case Unblock():
                self.outbox["unblock", message.promise.id, message.address] = message
            case Poke():
                self.outbox["poke", message.id] = message

    def has(self, *objects: PromiseObject) -> None:
        """Store objects as they are."""
        for given in objects:
            self.objects[given.id] = given

    def object(self, promise_id: str) -> PromiseObject:
        found = self.objects[promise_id]
        assert isinstance(found, PromiseObject)
        return found

    def promise(self, promise_id: str) -> Promise:
        return self.object(promise_id).promise

    def task(self, task_id: str) -> Task:
        task = self.object(task_id).task
        assert task is not None
        return task

    def due(self, promise_id: str) -> int | None:
        return due(self.objects[promise_id], self.rules)


def schedule_create(schedule_id: str, cron: str, now: int, **fields: object) -> ScheduleCreate:
    """A schedule.create whose next instant the fake cron computes."""
    create = ScheduleCreate(
        id=schedule_id,
        cron=cron,
        promise_id="{{.id}}.{{.timestamp}}",
        promise_timeout=1_000,
        next_run_at=tick_every(cron, now),
        promise_tags=TARGETED,
    )
    return replace(create, **fields)  # type: ignore[arg-type]


def record(
    promise_id: str,
    tags: Mapping[str, str] = TARGETED,
    *,
    state: PromiseState = PromiseState.PENDING,
    timeout_at: int = 100_000,
    settled_at: int | None = None,
    value: Value = EMPTY,
    task: Task | None = None,
    callbacks: tuple[str, ...] = (),
    listeners: tuple[str, ...] = (),
    barren: int = 0,
    birth: str = "",
    not_before: int = 0,
) -> PromiseObject:
    """A stored object, created at 0."""
    if task is None and TARGET in tags:
        task = pending() if state is PromiseState.PENDING else fulfilled()
    if state is not PromiseState.PENDING and settled_at is None:
        settled_at = timeout_at if state is PromiseState.TIMEDOUT else 1
    return PromiseObject(
        promise=Promise(
            id=promise_id,
            state=state,
            param=EMPTY,
            value=value,
            tags=tags,
            timeout_at=timeout_at,
            created_at=0,
            settled_at=settled_at,
            callbacks=callbacks,
            listeners=listeners,
        ),
        task=task,
        at=0 if settled_at is None else settled_at,
        birth=birth,
        barren=barren,
        not_before=not_before,
    )


def pending(version: int = 1, *, retry_at: int = 0, resumes: tuple[str, ...] = ()) -> Task:
    return Task(state=TaskState.PENDING, version=version, retry_at=retry_at, resumes=resumes)


def acquired(
    version: int = 1,
    *,
    pid: str = "w",
    ttl: int = 10_000,
    expires_at: int = 10_000,
    resumes: tuple[str, ...] = (),
) -> Task:
    return Task(
        state=TaskState.ACQUIRED, version=version, ttl=ttl, pid=pid, expires_at=expires_at, resumes=resumes
    )


def suspended(version: int = 1) -> Task:
    return Task(state=TaskState.SUSPENDED, version=version)


def halted(version: int = 1, *, resumes: tuple[str, ...] = ()) -> Task:
    return Task(state=TaskState.HALTED, version=version, resumes=resumes)


def fulfilled(version: int = 1) -> Task:
    return Task(state=TaskState.FULFILLED, version=version)
