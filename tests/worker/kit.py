"""What the worker tests are written with: stores that remember writes, activations in threads, a queue emptied by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from resonate_faas import Invocation, Resonate
from resonate_faas._engine.steps import Launch
from resonate_faas._machine.objects import (
    DEFAULT_RULES,
    TARGET,
    Execute,
    Message,
    Object,
    Poke,
    Promise,
    PromiseObject,
    PromiseState,
    Rules,
    Task,
    TaskState,
    Value,
)
from resonate_faas._machine.requests import PromiseCreate
from resonate_faas._node import Node
from resonate_faas._ports import Clock, Event, Queue, Store, Versioned
from resonate_faas._runner import Done, Runner
from resonate_faas._server import ServerSettings
from resonate_faas._worker import Ended, WorkerSettings
from resonate_faas.testing import EPOCH_MS, FakeClock, MemoryQueue, MemoryStore, PrimitiveStore, WrappedStore

ADDRESS = "local://default"
JOIN_S = 20.0
"""Never reached by a test that passes."""
DAY_MS = 86_400_000
LEASE_MS = 30_000

T = TypeVar("T")


class WatchedStore(WrappedStore):
    """Remembers every write that was stored; calls ``before_write`` and ``on_history`` where a test interleaves."""

    def __init__(self, inner: PrimitiveStore) -> None:
        super().__init__(inner, pause=lambda _: None)
        self.written: list[dict[str, Object | None]] = []
        self.before_write: Callable[[Mapping[str, Object | None]], None] = lambda _: None
        self.on_history: Callable[[], None] = lambda: None

    def write(
        self, expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
    ) -> Mapping[str, int]:
        self.before_write(writes)
        revisions = self.inner.write(expected, writes, nonce)
        self.written.append(dict(writes))
        return revisions

    def history(self, task_id: str, after: str | None = None) -> Iterator[list[Versioned]]:
        pages = list(self.inner.history(task_id, after))
        self.on_history()
        yield from pages

    def extensions(self, task_id: str = "root") -> list[tuple[int, bool]]:
        """Return (expires_at, was it a heartbeat of its own) of every write that moved the lease's end."""
        found: list[tuple[int, bool]] = []
        before: Task | None = None
        for writes in self.written:
            stored = writes.get(task_id)
            if not isinstance(stored, PromiseObject) or stored.task is None:
                continue
            task = stored.task
            same = before is not None and (before.state, before.version) == (task.state, task.version)
            if same and before is not None and task.expires_at != before.expires_at and task.expires_at:
                found.append((task.expires_at, len(writes) == 1))
            before = task
        return found


class SteppedClock(FakeClock):
    """A fake clock whose ticks end only when every thread that slept through one has gone back to sleep."""

    def __init__(self, now_ms: int = EPOCH_MS, *, auto: bool = False) -> None:
        super().__init__(now_ms, auto=auto)
        self._turns = threading.Condition()
        self._sleepers: dict[int, int] = {}

    def wait(self, event: Event, timeout_ms: int) -> bool:
        thread = threading.get_ident()
        with self._turns:
            self._sleepers[thread] = self.monotonic_ms() + timeout_ms
            self._turns.notify_all()
        try:
            return super().wait(event, timeout_ms)
        finally:
            with self._turns:
                del self._sleepers[thread]
                self._turns.notify_all()

    def await_sleepers(self, count: int) -> None:
        """Block until so many threads sleep, each beyond this moment."""
        with self._turns:
            assert self._turns.wait_for(lambda: self._asleep(count), JOIN_S), f"asleep: {self._sleepers}"

    def tick(self, ms: int, *, sleepers: int) -> None:
        """Let time pass once so many threads sleep, and again block until they do."""
        self.await_sleepers(sleepers)
        self.advance(ms)
        self.await_sleepers(sleepers)

    def _asleep(self, count: int) -> bool:
        now = self.monotonic_ms()
        return len(self._sleepers) >= count and all(until > now for until in self._sleepers.values())


class SkewedClock:
    """The clock of a process whose wall clock is off by some milliseconds."""

    def __init__(self, base: FakeClock, offset_ms: int) -> None:
        self._base, self._offset_ms = base, offset_ms

    def now_ms(self) -> int:
        return self._base.now_ms() + self._offset_ms

    def monotonic_ms(self) -> int:
        return self._base.monotonic_ms()

    def wait(self, event: Event, timeout_ms: int) -> bool:
        return self._base.wait(event, timeout_ms)


class StuckRunner:
    """Steps that start and never end."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def start(self, launch: Launch, done: Done) -> None:
        del done
        self.started.append(launch.id)

    def abandon(self, step_id: str) -> None:
        """Nothing ends."""

    def close(self) -> None:
        """Nothing ends."""


class World:
    """One store, one queue, any number of nodes; the clock stands still unless a test moves it."""

    def __init__(
        self,
        store: PrimitiveStore | None = None,
        *,
        auto: bool = False,
        rules: Rules = DEFAULT_RULES,
        queue: Queue | None = None,
    ) -> None:
        self.clock = SteppedClock(auto=auto)
        self.rules = rules
        self.store = WatchedStore(store if store is not None else MemoryStore(rules=rules))
        self.queue = MemoryQueue(self.clock, delay_max_ms=30 * DAY_MS)
        self._queue = self.queue if queue is None else queue
        self.nodes: list[Node] = []
        self.ended: list[Ended] = []

    def node(
        self,
        resonate: Resonate,
        *,
        clock: Clock | None = None,
        store: Store | None = None,
        worker: WorkerSettings | None = None,
        fast_recovery: bool = False,
        promises_max: int = 10_000,
        runner: Callable[[], Runner] | None = None,
    ) -> Node:
        """Return a process of its own; steps run in threads unless a runner is given."""
        node = Node(
            resonate,
            store or self.store,
            self._queue,
            clock=clock or self.clock,
            target=ADDRESS,
            server=ServerSettings(rules=self.rules, fast_recovery=fast_recovery),
            worker=worker or WorkerSettings(lease_ms=LEASE_MS),
            promises_max=promises_max,
            runner=runner,
        )
        self.nodes.append(node)
        return node

    def take(self) -> list[Message]:
        """Take what the queue would deliver now."""
        return self.queue.pop_due(self.clock.now_ms())

    def deliver(self, node: Node, *, limit_ms: int | None = None) -> int:
        """Deliver what is due now to the node; each delivery may take ``limit_ms``."""
        messages = self.take()
        for message in messages:
            deadline = None if limit_ms is None else self.clock.monotonic_ms() + limit_ms
            ended = node.deliver(message, deadline_mono_ms=deadline)
            if isinstance(message, Execute):
                self.ended.append(ended)
        return len(messages)

    def settle(
        self, node: Node, *, until_ms: int | None = None, sweep: bool = False, limit_ms: int | None = None
    ) -> None:
        """Deliver, letting time pass to each message's instant (with ``sweep``: from minute to minute), until rest."""
        next_sweep = 0
        for _ in range(20_000):
            if self.deliver(node, limit_ms=limit_ms):
                continue
            if sweep and self.clock.now_ms() >= next_sweep:
                node.server.sweep()
                next_sweep = self.clock.now_ms() + 60_000
            instant = self.queue.next_instant()
            if sweep and self.store.next_due() is not None:
                instant = next_sweep if instant is None else min(instant, next_sweep)
            if instant is None or (until_ms is not None and instant > until_ms):
                if until_ms is not None:
                    self.clock.advance_to(until_ms)
                return
            self.clock.advance_to(instant)
        raise AssertionError("it does not come to rest")

    def get(self, key: str = "root") -> PromiseObject:
        """Return an object as stored."""
        found = self.store.read((key,))[key].object
        assert isinstance(found, PromiseObject), f"{key} is not stored"
        return found

    def task(self, key: str = "root") -> Task:
        """Return a task as stored."""
        task = self.get(key).task
        assert task is not None
        return task

    def history(self, key: str = "root") -> dict[str, Promise]:
        """Return the records of a root as stored."""
        return {
            found.object.id: found.object.promise
            for page in self.store.inner.history(key)
            for found in page
            if isinstance(found.object, PromiseObject)
        }

    def close(self) -> None:
        """End the threads of every node."""
        for node in self.nodes:
            node.worker.close()


class Running(Generic[T]):
    """A call in a thread of its own."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._answers: list[T] = []
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._body, args=(call,), daemon=True)
        self._thread.start()

    def _body(self, call: Callable[[], T]) -> None:
        try:
            self._answers.append(call())
        except BaseException as error:  # noqa: BLE001 - told to the thread that waits
            self._errors.append(error)

    @property
    def ended(self) -> bool:
        """True once the call returned."""
        return not self._thread.is_alive()

    def join(self) -> T:
        """Return what the call returned, or raise what it raised."""
        self._thread.join(JOIN_S)
        assert not self._thread.is_alive(), "the call did not end"
        if self._errors:
            raise self._errors[0]
        return self._answers[0]


class Gate:
    """A step that stands still until it is let go; tells how often it was entered."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.left = threading.Event()
        self.count = 0

    def __call__(self) -> str:
        self.count += 1
        self.entered.set()
        assert self.opened.wait(JOIN_S), "the gate was never opened"
        self.left.set()
        return "through"

    def await_entered(self) -> None:
        assert self.entered.wait(JOIN_S), "the step was never started"


def start(node: Node, function: str, *args: Any, id: str = "root", **options: Any) -> PromiseObject:  # noqa: A002
    """Start an execution."""
    return node.client.invoke(Invocation(function=function, args=args, id=id, **options))


def activate(node: Node, task_id: str = "root", *, deadline_mono_ms: int | None = None) -> Running[Ended]:
    """Run an activation in a thread."""
    return Running(lambda: node.worker.activate(task_id, deadline_mono_ms=deadline_mono_ms))


def garbage(promise_id: str = "root", data: str = "!!!", *, timeout_ms: int = 10 * DAY_MS) -> PromiseCreate:
    """Return a root that no worker can decode."""
    return PromiseCreate(
        id=promise_id, timeout_at=EPOCH_MS + timeout_ms, param=Value(data=data), tags={TARGET: ADDRESS}
    )


def pokes(messages: Sequence[Message], key: str = "root") -> list[int]:
    """Return the instants of the pokes for a key."""
    return [message.not_before for message in messages if isinstance(message, Poke) and message.id == key]


def executes(messages: Sequence[Message], key: str = "root") -> list[int]:
    """Return the versions of the executes for a key."""
    return [message.version for message in messages if isinstance(message, Execute) and message.id == key]


__all__ = [
    "ADDRESS",
    "DAY_MS",
    "JOIN_S",
    "LEASE_MS",
    "Gate",
    "PromiseState",
    "Running",
    "SkewedClock",
    "SteppedClock",
    "StuckRunner",
    "TaskState",
    "WatchedStore",
    "World",
    "activate",
    "executes",
    "garbage",
    "pokes",
    "start",
]
