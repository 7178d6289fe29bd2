"""A world in memory: one deployment of some functions, a clock that skips, and people who answer."""

from __future__ import annotations

import threading
from collections import ChainMap
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final, cast

from resonate_faas._guards import Guard
from resonate_faas._invocation import Invocation
from resonate_faas._links import Links
from resonate_faas._machine.objects import (
    EXTERNAL,
    Execute,
    Message,
    Object,
    Promise,
    PromiseObject,
    PromiseState,
    Rules,
    TaskState,
)
from resonate_faas._machine.requests import ScheduleCreate, TaskRelease
from resonate_faas._node import Node
from resonate_faas._ports import Queue, Store
from resonate_faas._resonate import Resonate
from resonate_faas._server import ServerSettings
from resonate_faas._worker import Ended, WorkerSettings
from resonate_faas.testing._deployment import MESSAGES_MAX, MONTH_MS, TARGET
from resonate_faas.testing._fake_clock import FakeClock
from resonate_faas.testing._harness.cuts import Crash, CutQueue, CutStore, Knife
from resonate_faas.testing._harness.ledger import Ledger
from resonate_faas.testing._harness.runner import Difference, StepRunner
from resonate_faas.testing._harness.stubs import Stub, StubbedRegistry
from resonate_faas.testing._memory_queue import MemoryQueue
from resonate_faas.testing._memory_store import MemoryStore

ATTEMPTS_MAX: Final = 100
ROOTS_MAX: Final = 100
"""A world in which more executions were started is taken for one that never ends."""


class VirtualClock(FakeClock):
    """A clock that skips for whichever thread drives the harness: an async test may hand it to another one."""

    def take(self) -> None:
        """Let the waits of this thread advance the time."""
        self._driver = threading.get_ident()


@dataclass(frozen=True, slots=True)
class Written:
    """One write to the store, and when it was made."""

    at_ms: int
    writes: Mapping[str, Object | None]


class LoggedStore(MemoryStore):
    """Remembers every write, in order: the prefixes of the history.

    Attributes:
        log: the writes.
        objects: what they came to, by key, as it was given: looking costs no decoding.
    """

    def __init__(self, clock: FakeClock, rules: Rules) -> None:
        super().__init__(rules=rules, pause=lambda _: None)
        self._clock = clock
        self.log: list[Written] = []
        self.objects: dict[str, Object] = {}

    def write(
        self, expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
    ) -> Mapping[str, int]:
        """Write, and remember it if that succeeds."""
        revisions = super().write(expected, writes, nonce)
        self.log.append(Written(self._clock.now_ms(), dict(writes)))
        for key, written in writes.items():
            if written is None:
                self.objects.pop(key, None)
            else:
                self.objects[key] = written
        return revisions


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How the outside settles external promises as they appear.

    Attributes:
        state: what they become.
        value: JSON data; of a rejection, the message.
        tags: they must have these.
        promise_id: it must be this one; None: any.
        after_ms: how long after its creation.
    """

    state: PromiseState
    value: Any
    tags: Mapping[str, str]
    promise_id: str | None
    after_ms: int

    def is_for(self, promise: Promise) -> bool:
        """True if this answers the promise."""
        has_tags = all(promise.tags.get(name) == text for name, text in self.tags.items())
        return has_tags and self.promise_id in (None, promise.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a harness is told once, and each of its worlds is made from.

    Attributes:
        resonate: the business code.
        stubs: by name.
        answers: in the order they were given; the last one that fits a promise counts.
        dependencies: in addition to those of the business code, or in their place.
        rules: the machine's settings.
        worker: the worker's settings.
        promises_max: records of one root.
        guard: what becomes of a workflow that does what a replay can't repeat.
        attempts_max: a step that fails this often fails the test.
    """

    resonate: Resonate
    rules: Rules
    worker: WorkerSettings
    promises_max: int
    stubs: dict[str, Stub] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    dependencies: dict[str, Any] = field(default_factory=dict)
    guard: Guard = "error"
    attempts_max: int = ATTEMPTS_MAX


class World:
    """One world; its processes die and are replaced, the store and the queue stay.

    Args:
        plan: what it is made from; live: stubs and answers that are added later count.
        knife: cuts one operation; none by default.
        again: where differences between two executions of each step go; None: each is executed once.

    Attributes:
        ended: how each activation ended.
        deaths: processes that crashed.
    """

    def __init__(
        self, plan: Plan, *, knife: Knife | None = None, again: list[Difference] | None = None
    ) -> None:
        self.plan = plan
        self.knife = knife or Knife()
        self.ledger = Ledger(self.knife)
        self.again = again
        self.clock = VirtualClock(auto=True)
        self.store = LoggedStore(self.clock, plan.rules)
        self.queue = MemoryQueue(self.clock, delay_max_ms=MONTH_MS)
        self.resonate = copy(plan.resonate)
        self.resonate.registry = StubbedRegistry(plan.resonate.registry, plan.stubs)
        self.dependencies = ChainMap(plan.dependencies, plan.resonate.dependencies)
        self.resonate.dependencies = cast("dict[str, Any]", self.dependencies)  # only ever looked up
        self.ended: list[Ended] = []
        self.deaths = 0
        self.outside = self._node(self.store, self.queue)
        self.inside = self._process()

    def _process(self) -> Node:
        return self._node(CutStore(self.store, self.knife), CutQueue(self.queue, self.knife))

    def _node(self, store: Store, queue: Queue) -> Node:
        plan = self.plan
        return Node(
            self.resonate,
            store,
            queue,
            clock=self.clock,
            target=TARGET,
            server=ServerSettings(rules=plan.rules),
            worker=plan.worker,
            promises_max=plan.promises_max,
            links=Links("http://test.invalid", b"0123456789abcdef"),
            runner=lambda: StepRunner(
                self.ledger, plan.stubs, self.dependencies, plan.attempts_max, self.again
            ),
            guard=plan.guard,
        )

    # ---- from outside

    def now_ms(self) -> int:
        """Return the virtual time, epoch milliseconds."""
        return self.clock.now_ms()

    def invoke(self, wanted: Invocation) -> None:
        """Start an execution. Its birth is fixed, so that random draws and detached ids repeat from run to run."""
        is_new = wanted.id not in self.store.objects
        made = self.outside.client.invoke(wanted)
        row = self.store.read((made.id,))[made.id]
        if is_new and isinstance(row.object, PromiseObject):
            born = replace(row.object, birth=f"{made.promise.created_at}-{made.id[-32:]}")
            self.store.write({made.id: row.revision}, {made.id: born}, row.nonce)

    def schedule(self, wanted: ScheduleCreate) -> None:
        """Create a schedule.

        Raises:
            CronError: the expression or zone is wrong.
        """
        self.outside.server.create_schedule(wanted)

    def find(self, promise_id: str) -> Promise | None:
        """Return a promise as it stands; None: unknown."""
        found = self.object(promise_id)
        return None if found is None else found.promise

    def object(self, promise_id: str) -> PromiseObject | None:
        """Return what is stored of a promise; None: nothing."""
        found = self.store.objects.get(promise_id)
        return found if isinstance(found, PromiseObject) else None

    def records(self) -> list[PromiseObject]:
        """Return everything on record."""
        return [one for one in self.store.objects.values() if isinstance(one, PromiseObject)]

    def tree(self, root_id: str) -> list[Promise]:
        """Return the promises of a root's tree."""
        prefix = f"{root_id}:"
        return [one.promise for one in self.records() if one.id == root_id or one.id.startswith(prefix)]

    def asked(self) -> list[Promise]:
        """Return the external promises that wait for somebody, oldest first."""
        pending = [
            one.promise
            for one in self.records()
            if one.promise.state is PromiseState.PENDING and one.promise.tags.get(EXTERNAL) == "true"
        ]
        return sorted(pending, key=lambda one: (one.created_at, one.id))

    def settle(self, promise_id: str, state: PromiseState, value: Any) -> None:
        """Settle a promise from outside.

        Raises:
            RequestRefusedError: unknown.
        """
        self.outside.client.settle(promise_id, state, value)

    # ---- time

    def settle_down(self) -> None:
        """Do what is due now; time stands still."""
        self.pass_time(until_ms=self.clock.now_ms())

    def pass_time(self, *, until_ms: int | None = None, until: Callable[[], bool] = lambda: False) -> None:
        """Let time pass and do what comes due.

        Args:
            until_ms: up to this instant; what is due at it is done. None: until nothing is due any more.
            until: stop earlier when this holds.

        Raises:
            AssertionError: it does not come to rest, or an activation was given up.
        """
        self.clock.take()
        for _ in range(MESSAGES_MAX):
            if until() or not self._go_on(until_ms):
                return
        raise AssertionError(f"it does not come to rest in {MESSAGES_MAX} turns: {self.queue.held()[:3]}")

    def finish(self) -> None:
        """Let time pass until every task has ended.

        Raises:
            AssertionError: some never will, or they start others again and again.
        """
        self.clock.take()
        while True:
            self.settle_down()
            tasks = [one for one in self.records() if one.task is not None]
            left = [one.id for one in tasks if one.promise.state is PromiseState.PENDING]
            if not left:
                return
            roots = sum(":" not in one.id for one in tasks)
            if roots > ROOTS_MAX:
                cure = "a check needs scenario= for what never ends by itself: start it, let some of it pass, return what must be equal"
                raise AssertionError(f"{roots} executions by now, and {left[0]!r} still goes on; {cure}")
            if not self._go_on(None):
                raise AssertionError(
                    f"nothing is due any more, and these have not ended: {', '.join(left[:5])}"
                )

    def _go_on(self, until_ms: int | None) -> bool:
        """Do what is due, or let time pass to the next instant; False: there is none up to ``until_ms``."""
        if self._deliver_due() or self._answer_due():
            return True
        instants = (self.queue.next_instant(), self.store.next_due(), self._next_answer())
        instant = min((at for at in instants if at is not None), default=None)
        if instant is None or (until_ms is not None and instant > until_ms):
            self.clock.advance_to(until_ms or 0)
            return False
        self.clock.advance_to(instant)
        due = instants[1]
        if due is not None and due <= self.clock.now_ms() and not self._has_message():
            self.outside.server.sweep()
        return True

    def _has_message(self) -> bool:
        sent = self.queue.next_instant()
        return sent is not None and sent <= self.clock.now_ms()

    def _deliver_due(self) -> int:
        messages = self.queue.pop_due(self.clock.now_ms())
        for message in messages:
            self._deliver(message)
        return len(messages)

    def _deliver(self, message: Message) -> None:
        try:
            self.ledger.is_driving = True
            self.knife.deliveries += 1
            ended = self.inside.deliver(message)
        except Crash:
            self._recover(message)
        else:
            self.ended.append(ended)
            if ended is Ended.RELEASED and isinstance(message, Execute):
                self._refuse(message.id)
        finally:
            self.ledger.is_driving = False

    def _refuse(self, task_id: str) -> None:
        """Fail at once: on a deployment the task would be tried ten times and halted."""
        found = self.object(task_id)
        reason = found.reason if found is not None and found.reason else "no reason is on record"
        raise AssertionError(f"{task_id!r} can't go on: {reason}")

    def _recover(self, lost: Message) -> None:
        """Replace a process that died: what it held is free again, at once, as if the leases had run out by now."""
        self.deaths += 1
        self.inside.worker.close()
        self.knife.dead = False
        self.inside = self._process()
        self.queue.send(lost)  # the delivery was not acknowledged
        for record in self.records():
            task = record.task
            if task is None:
                continue
            if task.state is TaskState.ACQUIRED:
                self.outside.server.ask(TaskRelease(id=record.id, version=task.version))
            elif task.state is TaskState.PENDING:
                self.queue.send(Execute(id=record.id, version=task.version, target=TARGET))

    # ---- answers

    def _due_answers(self) -> list[tuple[int, Promise, Answer]]:
        if not self.plan.answers:
            return []
        found = []
        for promise in self.asked():
            answer = next((one for one in reversed(self.plan.answers) if one.is_for(promise)), None)
            if answer is not None:
                found.append((promise.created_at + answer.after_ms, promise, answer))
        return sorted(found, key=lambda one: (one[0], one[1].id))

    def _next_answer(self) -> int | None:
        due = self._due_answers()
        return due[0][0] if due else None

    def _answer_due(self) -> bool:
        for at_ms, promise, answer in self._due_answers():
            if at_ms <= self.clock.now_ms():
                self.settle(promise.id, answer.state, answer.value)
                return True
        return False


def milliseconds_of(duration: timedelta | float) -> int:
    """Return a duration, seconds or timedelta, in whole milliseconds.

    Raises:
        ValueError: it is negative.
    """
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else float(duration)
    if seconds < 0:
        raise ValueError(f"time does not run backwards, got {seconds} s")
    return round(seconds * 1000)
