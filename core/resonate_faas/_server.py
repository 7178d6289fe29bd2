"""A request in, a reply out: one machine step in one store transaction, then messages, then the drain."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from resonate_faas import _cron, _retention
from resonate_faas._errors import StoreError
from resonate_faas._machine import Handler, Turn, decide, handler_of, internal, keys_of
from resonate_faas._machine.objects import (
    BRANCH,
    DEFAULT_RULES,
    TARGET,
    Message,
    Object,
    Poke,
    Promise,
    PromiseObject,
    PromiseState,
    Rules,
    ScheduleObject,
    Unblock,
    due,
    is_schedule_key,
    project,
    schedule_key,
)
from resonate_faas._machine.requests import (
    Commit,
    Effect,
    Need,
    Observe,
    Outcome,
    PromiseCreate,
    Record,
    RegisterListener,
    Reply,
    Request,
    ScheduleCreate,
    TaskCreate,
    TaskFence,
)
from resonate_faas._parts import joined, parts
from resonate_faas._ports import (
    DUE_SHARDS,
    NOTHING_KNOWN,
    SEARCH_LIMIT_MAX,
    Clock,
    Kind,
    Queue,
    Result,
    Store,
    Versioned,
)
from resonate_faas._waiters import Waiters
from resonate_faas._wakes import Rearmed, WakePolicy, arm

log = logging.getLogger("resonate_faas.server")

DRAIN_ROUNDS_MAX: Final = 64
SWEEP_MAX: Final = 10_000
"""Pokes of one shard in one sweep; what is due beyond them is the next sweep's."""
SWEEP_CHUNK: Final = 100
"""Pokes handed over at once; between chunks the sweep looks at its time."""
POLL_MS: Final = 250
SKEW_MAX_MS: Final = 1_000
"""How far the clocks of two machines may lie apart (design section 3)."""
OCCURRENCES_MAX: Final = 99
"""Occurrences fired by one step, next to the schedule itself (DynamoDB: 100 items); the rest follow in the next."""
OCCURRENCE_BYTES: Final = 1_000
FIRE_BYTES_MAX: Final = 3_500_000
"""Payload bytes of one transaction (DynamoDB and Firestore: 4 MB)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What an operator decides about a server.

    Attributes:
        rules: the machine's settings.
        sweep_interval_ms: how often the sweep runs; what is due sooner gets a poke of its own.
        fast_recovery: arm a poke for the end of every lease.
        permits: whether a target or listener address may be stored; the adapter's allow-list (design section 8).
    """

    rules: Rules = DEFAULT_RULES
    sweep_interval_ms: int = 60_000
    fast_recovery: bool = False
    permits: Callable[[str], bool] = field(default=lambda _: True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What a sweep did: pokes sent, sends that failed, and whether it stopped at its bounds with more to do."""

    pokes: int
    failures: int
    complete: bool


class Server:
    """The machine over a store and a queue. Thread-safe: it keeps nothing that a crash could lose.

    Args:
        store: where objects live.
        queue: how messages travel.
        clock: the time.
        settings: the operator's decisions.
    """

    def __init__(
        self, store: Store, queue: Queue, *, clock: Clock, settings: ServerSettings | None = None
    ) -> None:
        self.store = store
        self.queue = queue
        self.clock = clock
        self.settings = settings or ServerSettings()
        self.rules = self.settings.rules
        self._wake_policy = WakePolicy(
            horizon_ms=queue.delay_max_ms,
            blind_ms=2 * self.settings.sweep_interval_ms,
            fast_recovery=self.settings.fast_recovery,
        )
        self._waiters = Waiters()
        self._rearmed = Rearmed()
        self._next_shard = 0
        self._is_quiet = False

    def ask(
        self, request: Request, *, known: Mapping[str, Versioned] = NOTHING_KNOWN, now_ms: int | None = None
    ) -> Result:
        """Run one request: in one transaction, or in several if it names more objects than one holds.

        Args:
            request: any of the machine's.
            known: objects the caller believes in (:meth:`Store.transact`).
            now_ms: overrides the clock; debug mode only.

        Returns:
            The last transaction's result, with the objects and records of all; its reply carries the status.

        Raises:
            StoreError: nothing was answered; see the leaf for whether something may have been written.
        """
        refusal = self._refusal(request)
        if refusal is not None:
            return Result(outcome=Outcome(reply=refusal, writes={}), objects={})
        first, *others = parts(request)
        result = self.run(keys_of(first), handler_of(first), known=known, now_ms=now_ms)
        for part in others:
            if not result.reply.ok:
                break
            known = {**known, **result.objects}
            result = joined(result, self.run(keys_of(part), handler_of(part), known=known, now_ms=now_ms))
        return result

    def run(
        self,
        keys: Sequence[str],
        handler: Handler,
        *,
        known: Mapping[str, Versioned] = NOTHING_KNOWN,
        now_ms: int | None = None,
        drain: bool = True,
    ) -> Result:
        """Run a handler in one transaction, send what it emits, then drain what it settled."""
        nonce = secrets.token_hex(6)

        def composed(turn: Turn) -> Reply:
            reply = handler(turn)
            if not self._is_quiet:
                internal.dispatch_written(turn)
                arm(turn, self._wake_policy)
            return reply

        def step(given: Mapping[str, Object | None]) -> Outcome | Need:
            now = self.clock.now_ms() if now_ms is None else now_ms
            return decide(composed, given, now_ms=now, rules=self.rules, nonce=nonce)

        result = self.store.transact(keys, step, known=known)
        self.send(*result.outcome.messages)
        settled = [
            written for written in result.outcome.writes.values() if isinstance(written, PromiseObject)
        ]
        settled = [written for written in settled if _is_settled(written)]
        for written in settled:
            self._waiters.tell(written.id)
        if drain and not self._is_quiet:
            for written in settled:
                self._drain_quietly(written, result.objects, now_ms)
        return result

    def observe(self, ids: Sequence[str]) -> Mapping[str, PromiseObject]:
        """Return the promises that exist, what their deadlines decided stored first."""
        return self.ask(Observe(ids=tuple(ids))).reply.records or {}

    def advance(self, key: str, *, now_ms: int | None = None, not_before_ms: int = 0) -> None:
        """Run every internal step enabled on one object: what a poke asks for. Harmless at any time.

        Args:
            key: the object.
            now_ms: overrides the clock; debug mode only.
            not_before_ms: the instant the poke was sent for, if there was one.
        """
        if is_schedule_key(key):
            self._fire(key, now_ms, not_before_ms)
            return
        result = self.run((key,), lambda turn: internal.advance(turn, key), now_ms=now_ms)
        found = result.objects[key].object
        if not isinstance(found, PromiseObject):
            return
        if not result.outcome.writes and _is_settled(found):
            self._drain_quietly(found, result.objects, now_ms)
            _retention.expire(self, found, self._now(now_ms))
        instant = due(found, self.rules)
        if not result.outcome.writes and instant is not None and self._now(now_ms) < instant:
            self._rearm(key, instant, self._now(now_ms), not_before_ms)

    def sweep(self, *, until_mono_ms: int | None = None) -> Sweep:
        """Send a poke for everything due before the next sweep: the safety net of every timer and message.

        Args:
            until_mono_ms: stop at this monotonic instant; the shards take turns, so none starves.
        """
        before = self.clock.now_ms() + self.settings.sweep_interval_ms
        pokes = failures = 0
        complete = True
        first, self._next_shard = self._next_shard, (self._next_shard + 1) % DUE_SHARDS
        for turn_count in range(DUE_SHARDS):
            shard = (first + turn_count) % DUE_SHARDS
            found = self.store.due(before, shard, SWEEP_MAX)
            complete = complete and len(found) < SWEEP_MAX
            for start in range(0, len(found), SWEEP_CHUNK):
                if until_mono_ms is not None and self.clock.monotonic_ms() >= until_mono_ms:
                    return Sweep(pokes=pokes, failures=failures, complete=False)
                chunk = found[start : start + SWEEP_CHUNK]
                refused = self.send(*(Poke(id=key, not_before=instant) for key, instant in chunk))
                pokes, failures = pokes + len(chunk) - refused, failures + refused
        return Sweep(pokes=pokes, failures=failures, complete=complete)

    def quiesce(self) -> None:
        """Dispatch and drain nothing more, and let the waiting go: this process is about to end.

        What it would have sent stays due, so that the next sweep of any process finds it at once.
        """
        self._is_quiet = True
        self._waiters.dismiss()

    def preload(self, reply: Reply, task_id: str, *, now_ms: int | None = None) -> list[Promise]:
        """Return the branch siblings shipped with a task (protocol section 3.5), projected, ordered by id."""
        root = reply.promise
        found = root if root is not None and root.id == task_id else self._stored(task_id, now_ms)
        branch = found.promise.tags.get(BRANCH) if found is not None else None
        if found is None or not branch or found.promise.state is not PromiseState.PENDING:
            return []
        siblings: list[Promise] = []
        after: str | None = None
        while True:
            page = self.search(
                "promise", tags={BRANCH: branch}, limit=SEARCH_LIMIT_MAX, after=after, now_ms=now_ms
            )
            siblings += [one.promise for one in page if isinstance(one, PromiseObject) and one.id != task_id]
            if len(page) < SEARCH_LIMIT_MAX:
                return siblings
            after = page[-1].id

    def _stored(self, promise_id: str, now_ms: int | None) -> PromiseObject | None:
        found = self.store.transact((promise_id,), read_only).objects[promise_id].object
        return project(found, self._now(now_ms)) if isinstance(found, PromiseObject) else None

    def search(
        self,
        kind: Kind,
        *,
        state: str | None = None,
        tags: Mapping[str, str],
        limit: int,
        after: str | None,
        now_ms: int | None = None,
    ) -> list[Object]:
        """Return matching objects, each projected at this instant; the state filter is on what is stored (D15)."""
        now = self._now(now_ms)
        found = self.store.search(kind, state=state, tags=tags, limit=limit, after=after)
        return [project(one, now) if isinstance(one, PromiseObject) else one for one in found]

    def wait(self, promise_id: str, timeout_ms: int) -> PromiseObject | None:
        """Return the promise once it is settled, or as it stands when the time is up; None: unknown.

        A settlement by this process wakes the waiter at once; one by another process is seen within 250 ms.
        """
        deadline = self.clock.monotonic_ms() + timeout_ms
        with self._waiters.waiting(promise_id) as event:
            while True:
                found = self.observe((promise_id,)).get(promise_id)
                left = deadline - self.clock.monotonic_ms()
                if found is None or found.promise.state is not PromiseState.PENDING or left <= 0:
                    return found
                if self._waiters.are_dismissed:
                    return found
                self.clock.wait(event, min(left, POLL_MS))

    def create_schedule(self, request: ScheduleCreate, *, now_ms: int | None = None) -> Result:
        """Create a schedule whose next instant is computed here; ``next_run_at`` of the request is ignored.

        Raises:
            CronError: the expression or zone is wrong; nothing was stored.
        """
        refusal = self._refusal(request)
        if refusal is not None:
            return Result(outcome=Outcome(reply=refusal, writes={}), objects={})

        def create(turn: Turn) -> Reply:  # a retry may come long after the first try: its now decides
            instant = _cron.next_run(request.cron, request.zone, turn.now)
            return handler_of(replace(request, next_run_at=instant))(turn)

        return self.run(keys_of(request), create, now_ms=now_ms)

    def _now(self, now_ms: int | None) -> int:
        return self.clock.now_ms() if now_ms is None else now_ms

    def _refusal(self, request: Request) -> Reply | None:
        """Refuse an address outside the allow-list before anything is stored."""
        match request:
            case PromiseCreate(tags=tags) | TaskCreate(action=PromiseCreate(tags=tags)):
                address = tags.get(TARGET)
            case TaskFence(action=PromiseCreate(tags=tags)):
                address = tags.get(TARGET)
            case ScheduleCreate(promise_tags=tags):
                address = tags.get(TARGET)
            case Commit(effects=effects):
                address = next((one for one in map(_target, effects) if not self._is_permitted(one)), None)
            case RegisterListener(address=listener):
                if not self.settings.permits(listener):
                    return Reply(status=400, error="Invalid listener address")
                return None
            case _:
                return None
        if not self._is_permitted(address):
            return Reply(status=400, error="Invalid resonate:target address")
        return None

    def _is_permitted(self, address: str | None) -> bool:
        return address is None or self.settings.permits(address)

    def _drain_quietly(self, awaited: Object, objects: Mapping[str, Versioned], now_ms: int | None) -> None:
        """Drain after a settlement; a drain that fails is repaired by the sweep, the settlement stands."""
        try:
            self.drain(awaited, objects, now_ms=now_ms)
        except StoreError as error:
            log.warning("drain failed", extra={"promise_id": awaited.id, "error": error.code})

    def drain(self, awaited: Object, objects: Mapping[str, Versioned], *, now_ms: int | None = None) -> None:
        """Resume the awaiters (R4), a chunk a commit, and tell the listeners (R3), each before it is forgotten."""
        if not isinstance(awaited, PromiseObject):
            return
        promise_id = awaited.id
        known = {promise_id: objects[promise_id]} if promise_id in objects else NOTHING_KNOWN
        for _ in range(DRAIN_ROUNDS_MAX):
            if not awaited.promise.callbacks:
                break
            chunk = awaited.promise.callbacks[: self.rules.drain_chunk]
            result = self.run(
                (promise_id, *chunk),
                lambda turn: internal.callback_drain(turn, promise_id),
                known=known,
                now_ms=now_ms,
                drain=False,
            )
            known = {promise_id: result.objects[promise_id]}
            after = known[promise_id].object
            if not isinstance(after, PromiseObject):
                return
            awaited = after
        for address in awaited.promise.listeners:
            if not self.send(Unblock(address=address, promise=awaited.promise)):
                self.run((promise_id,), _forget(promise_id, address), now_ms=now_ms, drain=False)

    def _fire(self, key: str, now_ms: int | None, not_before_ms: int) -> None:
        """R7, with the cron computed outside the step."""
        found = self.store.transact((key,), read_only).objects[key].object
        now = self._now(now_ms)
        if not isinstance(found, ScheduleObject):
            return
        schedule = found.schedule
        if schedule.next_run_at > now:
            self._rearm(key, schedule.next_run_at, now, not_before_ms)
            return
        occurrence_bytes = len(schedule.promise_param.data or "") + OCCURRENCE_BYTES
        instants, following = _cron.occurrences(
            schedule.cron,
            schedule.zone,
            schedule.next_run_at,
            now,
            count_max=max(1, min(OCCURRENCES_MAX, FIRE_BYTES_MAX // occurrence_bytes)),
        )
        ids = [internal.occurrence_id(schedule, instant) for instant in instants]
        self.run(
            tuple(dict.fromkeys((schedule_key(schedule.id), *ids))),
            lambda turn: internal.schedule_fire(turn, schedule.id, instants, following),
            now_ms=now_ms,
        )

    def _rearm(self, key: str, instant_ms: int, now_ms: int, not_before_ms: int) -> None:
        """A poke found nothing due: send it again, if the queue reaches that far and the sweep would be late.

        One that came before its own instant did so by a clock ahead of ours: it is sent for as much later, else it
        would come back at once, until our clock has caught up. Any other found that its object has moved on (a
        lease was extended): of those, one goes on, else each sweep and each duplicate would add another for ever.
        """
        if instant_ms - now_ms > min(self._wake_policy.horizon_ms, self._wake_policy.blind_ms):
            return
        early_ms = min(max(not_before_ms - now_ms, 0), SKEW_MAX_MS)
        if early_ms or self._rearmed.is_first(key, instant_ms):
            self.send(Poke(id=key, not_before=instant_ms + early_ms))

    def send(self, *messages: Message) -> int:
        """Send messages, after the commit they follow from; a failed send is repaired by the sweep (design section 5).

        Returns:
            How many the queue did not take.
        """
        errors = self.queue.send(*messages) if messages else ()
        for error in errors:
            log.warning("send failed", extra={"promise_id": error.message_id, "cause": error.cause})
        return len(errors)


def _is_settled(stored: Object | None) -> bool:
    return isinstance(stored, PromiseObject) and stored.promise.state is not PromiseState.PENDING


def _forget(promise_id: str, address: str) -> Handler:
    return lambda turn: internal.listener_drain(turn, promise_id, address)


def _target(effect: Effect) -> str | None:
    return effect.tags.get(TARGET) if isinstance(effect, Record) else None


def read_only(given: Mapping[str, Object | None]) -> Outcome:
    """A step that only reads."""
    del given
    return Outcome(reply=internal.DONE, writes={})
