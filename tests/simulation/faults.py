"""What goes wrong, how often, and the ports of one process through which it does: store, queue, clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from random import Random
from types import MappingProxyType
from typing import Any, Final, TypeVar

from tests.simulation.audit import Audit, Decision
from tests.simulation.fibres import Killed, Process, Scheduler

from resonate_faas import OutcomeUnknownError, QueueError, StoreUnavailableError
from resonate_faas._machine.objects import Execute, Message, Object, Poke, Unblock
from resonate_faas._machine.requests import Need, Outcome
from resonate_faas._optimistic import MovedError, Stored
from resonate_faas._ports import NOTHING_KNOWN, Event, Kind, Result, Step, Versioned
from resonate_faas._server import SKEW_MAX_MS
from resonate_faas.testing import PrimitiveStore, WrappedStore

T = TypeVar("T")

EPOCH_MS: Final = 1_700_000_000_000
LATENCY_MS: Final = 30
STALL_MS: Final = 70_000
"""A store or a process may be silent for longer than two leases."""
LATE_MS: Final = 90_000
QUEUE_HORIZON_MS: Final = 15 * 60_000
OLD_MAX: Final = 40


@dataclass(slots=True)
class Odds:
    """The probability of each fault, at each occasion for it."""

    crash: float = 0.004
    lost_answer: float = 0.02
    lost_request: float = 0.01
    late_request: float = 0.01
    moved: float = 0.02
    unavailable: float = 0.01
    slow: float = 0.02
    stall: float = 0.003
    drop: float = 0.1
    refuse: float = 0.03
    duplicate: float = 0.15
    late: float = 0.2

    @classmethod
    def drawn(cls, random: Random) -> Odds:
        """Return odds for one seed: some faults are left out, some come often, so that seeds differ in kind."""
        base = cls()
        return cls(
            **{one.name: getattr(base, one.name) * random.choice([0, 0.5, 1, 1, 2, 3]) for one in fields(cls)}
        )

    @classmethod
    def none(cls) -> Odds:
        """Return the odds of a world in which nothing goes wrong."""
        return cls(**{one.name: 0 for one in fields(cls)})


@dataclass(eq=False)
class World:
    """What all processes share.

    Attributes:
        base: the store that keeps the objects.
        odds: of faults, now.
        kill: ends a process.
        trace: one line for each thing that happened.
    """

    scheduler: Scheduler
    base: PrimitiveStore
    audit: Audit
    odds: Odds
    kill: Callable[[Process], None]
    trace: list[str]

    def tell(self, words: str) -> None:
        current = self.scheduler.current
        who = f"{current.process.name} {current.name}" if current is not None else "world"
        self.trace.append(f"{self.scheduler.now:>9} {who}: {words}")

    def chance(self, probability: float) -> bool:
        return probability > 0 and self.scheduler.random.random() < probability

    def travel(self) -> None:
        """Let a request or an answer travel."""
        draw = self.scheduler.random
        if self.chance(self.odds.stall):
            process = self.scheduler.current.process if self.scheduler.current else None
            if process is not None:
                process.stalled_until = self.scheduler.now + draw.randrange(STALL_MS)
                self.tell(f"stalls until {process.stalled_until}")
        slow = self.chance(self.odds.slow)
        self.scheduler.pause(draw.randrange(STALL_MS) if slow else draw.randrange(LATENCY_MS))

    def fall(self, process: Process, when: str) -> None:
        """Let the process die here, by chance."""
        if self.chance(self.odds.crash):
            self.tell(f"dies {when}")
            self.kill(process)
            raise Killed


class ProcessStore(WrappedStore):
    """The store as one process reaches it: each operation travels there and back, and may go wrong on the way."""

    def __init__(self, world: World, process: Process) -> None:
        super().__init__(world.base, pause=self._rest)
        self._world, self._process = world, process
        self.reads_at_once = world.scheduler.random.random() < 0.5

    def _rest(self, seconds: float) -> None:
        self._world.scheduler.pause(math.ceil(seconds * 1000))

    def transact(
        self, ids: Sequence[str], step: Step, *, known: Mapping[str, Versioned] = NOTHING_KNOWN
    ) -> Result:
        """Note what the step decides, so that the write can be held to it; look at what is acknowledged."""
        fibre = self._world.scheduler.current

        def noted(given: Mapping[str, Object | None]) -> Outcome | Need:
            outcome = step(given)
            if fibre is not None and isinstance(outcome, Outcome):
                fibre.decided = Decision(cause=fibre.cause, given=dict(given), outcome=outcome)
            return outcome

        result = super().transact(ids, noted, known=known)
        self._world.audit.acknowledged(result)
        return result

    def read(self, keys: Sequence[str]) -> Mapping[str, Stored]:
        return self._operate(f"read {_few(keys)}", lambda: self.inner.read(keys))

    def write(
        self, expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
    ) -> Mapping[str, int]:
        world, keys = self._world, tuple(writes)
        current = world.scheduler.current
        decision = current.decided if current is not None else None

        def apply() -> Mapping[str, int]:
            revisions = self.put(expected, writes, nonce)
            world.audit.written(writes, decision)
            return revisions

        def put() -> Mapping[str, int]:
            if world.chance(world.odds.moved):
                raise MovedError(keys)
            if world.chance(world.odds.lost_request):
                raise OutcomeUnknownError(keys, "the request was lost")
            if world.chance(world.odds.late_request):
                self._apply_later(apply)
                raise OutcomeUnknownError(keys, "the request is late")
            revisions = apply()
            if world.chance(world.odds.lost_answer):
                raise OutcomeUnknownError(keys, "the answer was lost")
            return revisions

        return self._operate(f"write {_few(keys)}", put)

    def put(
        self, expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
    ) -> Mapping[str, int]:
        """Write to the store that keeps the objects."""
        return self.inner.write(expected, writes, nonce)

    def _apply_later(self, apply: Callable[[], object]) -> None:
        """Let a write that its sender has given up reach the store all the same, some time."""
        world = self._world

        def land() -> None:
            with suppress(MovedError):
                apply()
                world.tell("a write given up long ago lands")

        world.scheduler.after(world.scheduler.random.choice([5, 50, 500, 5_000, 50_000]), land)

    def history(self, task_id: str, after: str | None = None) -> Iterator[list[Versioned]]:
        """Yield the pages, each an operation of its own: others write between them."""
        pages = iter(self.inner.history(task_id, after))
        while True:
            page = self._operate(f"history {task_id}", lambda: next(pages, None))
            if page is None:
                return
            yield page

    def due(self, before_ms: int, shard: int, limit: int) -> list[tuple[str, int]]:
        """Ask the index; only the first shard's question travels, for speed."""
        if shard == 0:
            return self._operate("due", lambda: self.inner.due(before_ms, shard, limit))
        self._world.scheduler.live()
        return self.inner.due(before_ms, shard, limit)

    def search(
        self,
        kind: Kind,
        *,
        state: str | None = None,
        tags: Mapping[str, str] = MappingProxyType({}),
        limit: int = 100,
        after: str | None = None,
    ) -> list[Object]:
        return self._operate(
            f"search {kind}",
            lambda: self.inner.search(kind, state=state, tags=tags, limit=limit, after=after),
        )

    def _operate(self, name: str, apply: Callable[[], T]) -> T:
        world = self._world
        world.scheduler.live()
        world.fall(self._process, f"before {name}")
        world.travel()
        if world.chance(world.odds.unavailable):
            world.tell(f"{name}: unavailable")
            raise StoreUnavailableError(name.partition(" ")[0], "by chance")
        try:
            answer = apply()
        except (MovedError, OutcomeUnknownError) as error:
            world.tell(f"{name}: {error}")
            world.travel()
            raise
        world.tell(name)
        world.fall(self._process, f"after {name}")
        world.travel()
        return answer


class ProcessClock:
    """The time as one process sees it: its wall clock is off by a constant."""

    def __init__(self, scheduler: Scheduler, skew_ms: int) -> None:
        self._scheduler, self._skew_ms = scheduler, skew_ms

    def now_ms(self) -> int:
        return EPOCH_MS + self._scheduler.now + self._skew_ms

    def monotonic_ms(self) -> int:
        return self._scheduler.now

    def wait(self, event: Event, timeout_ms: int) -> bool:
        return self._scheduler.wait(event.is_set, max(timeout_ms, 0))


class Network:
    """Where messages travel between processes; it loses, doubles, delays and reorders them.

    Attributes:
        deliver: takes a message at its time.
        old: messages that were sent, to be delivered once more long after.
    """

    def __init__(self, world: World, deliver: Callable[[Message], None]) -> None:
        self.world, self.deliver = world, deliver
        self.old: list[Message] = []

    def take(self, message: Message, not_before: int) -> None:
        """Carry a message, or lose it."""
        world, draw = self.world, self.world.scheduler.random
        world.audit.sent(message)
        self.old = [*self.old[-OLD_MAX:], message]
        if world.chance(world.odds.drop):
            world.tell(f"lost: {words(message)}")
            return
        for _ in range(2 if world.chance(world.odds.duplicate) else 1):
            late = draw.randrange(LATE_MS) if world.chance(world.odds.late) else draw.randrange(LATENCY_MS)
            wait = max(not_before - EPOCH_MS - world.scheduler.now, 0)
            world.scheduler.after(wait + late, lambda: self.deliver(message))


class ProcessQueue:
    """The queue as one process reaches it."""

    delay_max_ms: int = QUEUE_HORIZON_MS

    def __init__(self, network: Network, process: Process, clock: ProcessClock) -> None:
        self._network, self._process, self._clock = network, process, clock

    def send(self, *messages: Message) -> list[QueueError]:
        """Send, unless the queue refuses or the process dies."""
        world = self._network.world
        world.scheduler.live()
        world.fall(self._process, "before sending")
        world.travel()
        refused = []
        for message in messages:
            not_before = message.not_before if isinstance(message, Poke) else 0
            ahead_ms = (
                not_before - self._clock.now_ms() - 2 * SKEW_MAX_MS
            )  # an object's time may be ahead of ours
            assert ahead_ms <= self.delay_max_ms, f"{message} lies too far ahead"
            if world.chance(world.odds.refuse):
                refused.append(QueueError(words(message), "by chance"))
                continue
            world.tell(f"send {words(message)}")
            self._network.take(message, not_before)
        world.fall(self._process, "after sending")
        return refused


def words(message: Message) -> str:
    """Return a message in a few words."""
    match message:
        case Execute(id=task_id, version=version):
            return f"execute {task_id} v{version}"
        case Poke(id=key, not_before=instant):
            return f"poke {key} at {instant - EPOCH_MS}"
        case Unblock(address=address, promise=promise):
            return f"unblock {address} of {promise.id}"


def _few(keys: Sequence[Any]) -> str:
    return " ".join(keys[:6]) + (f" and {len(keys) - 6} more" if len(keys) > 6 else "")
