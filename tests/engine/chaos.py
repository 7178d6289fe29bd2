"""One seed drives it all: clock, messages, store faults, crashes between any two store operations, rivals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from random import Random
from typing import Any

from tests.engine.shapes import Shape, resonate
from tests.engine.stage import NAME, SLOT_S, Crash, CutStore, Event, Stage
from tests.machine.invariants import state_violations
from tests.machine.world import Snapshot

from resonate_faas import OutcomeUnknownError, StoreError, StoreUnavailableError
from resonate_faas._machine.objects import Execute, Message, Object, Promise, PromiseState, TaskState
from resonate_faas._machine.requests import TaskContinue
from resonate_faas._optimistic import MovedError, Stored
from resonate_faas._ports import Versioned
from resonate_faas.testing import Disorder, MemoryQueue, PrimitiveStore
from resonate_faas.testing._deployment import MONTH_MS

ROUNDS = 400
"""Deliveries and idle turns under faults; then the faults stop."""


@dataclass(slots=True)
class Odds:
    """Probabilities of what goes wrong with one store operation."""

    crash: float = 0.03
    lost_answer: float = 0.03
    lost_request: float = 0.02
    moved: float = 0.03
    unavailable: float = 0.02
    rival: float = 0.04


class ChaosStore(CutStore):
    """Fails by the dice."""

    def __init__(self, inner: PrimitiveStore) -> None:
        super().__init__(inner)
        self.odds = Odds(crash=0, lost_answer=0, lost_request=0, moved=0, unavailable=0, rival=0)
        self.random = Random(0)
        self.meet_rival: Callable[[], None] = lambda: None

    def read(self, keys: Sequence[str]) -> Mapping[str, Stored]:
        self._roll(self.odds.crash / 2)
        if self.random.random() < self.odds.unavailable:
            raise StoreUnavailableError("read", "by chance")
        return super().read(keys)

    def history(self, task_id: str, after: str | None = None) -> Iterator[list[Versioned]]:
        self._roll(self.odds.crash)
        return super().history(task_id, after)

    def write(
        self, expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
    ) -> Mapping[str, int]:
        self._roll(self.odds.crash)
        keys, odds = tuple(writes), self.odds
        if self.random.random() < odds.rival:
            self.meet_rival()
        if self.random.random() < odds.moved:
            raise MovedError(keys)
        if self.random.random() < odds.unavailable:
            raise StoreUnavailableError("write", "by chance")
        if self.random.random() < odds.lost_request:
            raise OutcomeUnknownError(keys, "the request was lost")
        revisions = self.put(expected, writes, nonce)
        if self.random.random() < odds.lost_answer:
            raise OutcomeUnknownError(keys, "the answer was lost")
        self._roll(odds.crash)
        return revisions

    def put(
        self, expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
    ) -> Mapping[str, int]:
        return super().write(expected, writes, nonce)

    def _roll(self, chance: float) -> None:
        if not self.dead and self.random.random() < chance:
            self.die()


class Chaos(Stage):
    """A shape played under faults by two processes, then to its end without."""

    def __init__(self, shape: Shape, seed: int, *, store: type[ChaosStore] = ChaosStore) -> None:
        super().__init__(resonate, store_type=store)
        self.shape = shape
        self.random = Random(seed)
        self.order = self.random.sample(shape.names, len(shape.names))
        self.settled: dict[str, Promise] = {}
        disorder = Disorder(
            seed=seed, drop=0.15, duplicate=0.2, late=0.2, late_ms=20_000, refuse=0.05, shuffle=True
        )
        self.disorderly = MemoryQueue(self.clock, delay_max_ms=MONTH_MS, disorder=disorder)
        self.processes = [self.beside(resonate, self.store, self.disorderly) for _ in range(2)]
        self.chaos: ChaosStore = self.store  # type: ignore[assignment]
        self.chaos.random = self.random
        self.chaos.meet_rival = self.meet_rival
        self.is_nested = False

    def run(self) -> None:
        """Safety under faults, then liveness without.

        Raises:
            AssertionError: an invariant is broken, or it does not end as a plain run ends.
        """
        self.start(self.shape.function, self.order)
        self.events = [Event(name=name, at_ms=0) for name in self.order]
        self.outside.server.sweep()
        self.chaos.odds = Odds()
        for _ in range(ROUNDS):
            if self.object("root").task.state is TaskState.FULFILLED:  # type: ignore[union-attr]
                break
            self.turn()
            self.check()
        self.chaos.odds = Odds(crash=0, lost_answer=0, lost_request=0, moved=0, unavailable=0, rival=0)
        self.calm()
        self.check()
        assert not self.reruns, f"steps on record ran again: {self.reruns}"
        plain = [("value", self.shape.expected(list(order))) for order in permutations(self.shape.names)]
        plain += [("value", result) for result in self.shape.together]
        assert self.outcome() in plain, f"{self.outcome()} is none of {plain}"

    def turn(self) -> None:
        """Deliver what is due, or let time pass and the world go on."""
        for message in self.disorderly.pop_due(self.clock.now_ms()):
            self.deliver(message)
        dice = self.random.random()
        if dice < 0.2:
            self.attempt(self.random.choice(self.processes).server.sweep)
        elif dice < 0.3 and self.events:
            self.settle_next()
        else:
            self.clock.advance(self.random.choice([1, 1_000, 7_000, 40_000, 1000 * SLOT_S]))

    def deliver(self, message: Message) -> None:
        self.attempt(lambda: self.random.choice(self.processes).deliver(message))

    def attempt(self, act: Any) -> None:
        """Let a process act; one that dies of it is replaced."""
        try:
            act()
        except Crash:
            self.store.dead = False
        except StoreError:
            pass

    def settle_next(self) -> None:
        """Let the first event happen whose promise exists."""
        for event in self.events:
            found = self.memory.search("promise", tags={NAME: event.name})
            if found:
                self.events.remove(event)
                state = PromiseState.REJECTED if event.name.startswith("bad") else PromiseState.RESOLVED
                self.outside.client.settle(found[0].id, state, f"{event.name}!")
                return
        if self.root().settled_at is not None:
            self.events.clear()

    def meet_rival(self) -> None:
        """Let another process deliver the task in the middle of this one's write, its lease over or not."""
        if self.is_nested:
            return
        self.is_nested = True
        held = [
            key for key, one in self.records().items() if one.task and one.task.state is TaskState.ACQUIRED
        ]
        if held and self.random.random() < 0.5:
            self.clock.advance(31_000)
        try:
            for task_id in held:
                self.outside.server.advance(task_id)
                self.outside.deliver(Execute(id=task_id, version=0, target=""))
        finally:
            self.is_nested = False

    def calm(self) -> None:
        """Deliver, sweep and settle until everything has ended."""
        for _ in range(ROUNDS):
            for message in self.disorderly.pop_due(self.clock.now_ms()) + self.queue.pop_due(
                self.clock.now_ms()
            ):
                self.attempt(lambda message=message: self.outside.deliver(message))
            for key, one in self.records().items():
                if one.task and one.task.state is TaskState.HALTED:
                    self.outside.server.ask(TaskContinue(id=key))
            if self.events:
                self.settle_next()
            self.outside.server.sweep()
            waking = [self.queue.next_instant(), self.memory.next_due(), self.disorderly.next_instant()]
            instant = min((at for at in waking if at is not None), default=None)
            if instant is None and not self.events:
                return
            self.clock.advance_to(min(instant or 0, self.clock.now_ms() + 1000 * SLOT_S))
        raise AssertionError(f"it never ended: {self.object('root')}")

    def check(self) -> None:
        """Check the machine's invariants, and that no settled record ever changes."""
        records = self.records()
        violations = state_violations(
            Snapshot(
                objects=dict(records), outbox={}, now=self.clock.now_ms(), rules=self.outside.server.rules
            )
        )
        assert not violations, violations
        for key, one in records.items():
            kept = self.settled.get(key)
            promise = one.promise
            if kept is not None:
                assert (promise.state, promise.value, promise.param, promise.settled_at) == (
                    kept.state,
                    kept.value,
                    kept.param,
                    kept.settled_at,
                ), f"the record of {key} changed"
            elif promise.state is not PromiseState.PENDING:
                self.settled[key] = promise
        assert set(self.settled) <= set(records), "a record is gone"
