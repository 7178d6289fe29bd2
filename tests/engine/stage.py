"""A deployment that can be cut anywhere: events at set instants, writes that kill, rivals that overtake."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from resonate_faas import Invocation, Resonate, StepContext, StoreError
from resonate_faas._engine.execution import Execution, Round
from resonate_faas._engine.invocation import invoked
from resonate_faas._machine.objects import Execute, Message, Object, Promise, PromiseObject, PromiseState
from resonate_faas._node import Node
from resonate_faas._optimistic import Stored
from resonate_faas._ports import Store, Versioned
from resonate_faas._worker import WorkerSettings
from resonate_faas.testing import MemoryQueue, MemoryStore, PrimitiveStore, WrappedStore
from resonate_faas.testing._deployment import TARGET, InlineRunner, MemoryDeployment

SLOT_S: Final = 600
"""Seconds between two events: far longer than what a crash costs, so that a cut never reorders them."""
STEPS_MAX: Final = 20_000
NAME: Final = "name"


class Crash(BaseException):
    """The process died here."""


class CutStore(WrappedStore):
    """Calls a hook before or after a chosen write; a hook that raises Crash leaves a dead process behind."""

    def __init__(self, inner: PrimitiveStore) -> None:
        super().__init__(inner, pause=lambda _: None)
        self.writes = 0
        self.before: dict[int, Callable[[], None]] = {}
        self.after: dict[int, Callable[[], None]] = {}
        self.dead = False

    def die(self) -> None:
        """Take nothing more from this process."""
        self.dead = True
        raise Crash

    def read(self, keys: Sequence[str]) -> Mapping[str, Stored]:
        self._require_life()
        return super().read(keys)

    def write(
        self, expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
    ) -> Mapping[str, int]:
        self._require_life()
        self.writes += 1
        number = self.writes
        if number in self.before:
            self.before.pop(number)()
        revisions = super().write(expected, writes, nonce)
        if number in self.after:
            self.after.pop(number)()
        return revisions

    def history(self, task_id: str, after: str | None = None) -> Iterator[list[Versioned]]:
        self._require_life()
        return super().history(task_id, after)

    def _require_life(self) -> None:
        if self.dead:
            raise Crash


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Somebody settles the promise tagged ``name``; a name that starts with ``bad`` is rejected."""

    name: str
    at_ms: int


class Stage:
    """One deployment under test, a second one beside it for the outside world and for rivals.

    Attributes:
        store: what the deployment under test writes through.
        ran: the ids of the steps in the order they ran.
        reruns: ids of steps that ran although their outcome was on record.
    """

    def __init__(self, resonate: Resonate, *, store_type: type[CutStore] = CutStore) -> None:
        self.memory = MemoryStore(pause=lambda _: None)
        self.store = store_type(self.memory)
        self.inside = MemoryDeployment(resonate, store=self.store)
        self.clock, self.queue = self.inside.clock, self.inside.queue
        self.outside = self.beside(resonate)
        self.events: list[Event] = []
        self.ran: list[str] = []
        self.reruns: list[str] = []
        self.at_rest: Callable[[], None] = lambda: None
        resonate.set_dependency("stage", self)

    def beside(
        self, resonate: Resonate, store: Store | None = None, queue: MemoryQueue | None = None
    ) -> Node:
        """Return another process over the same store and queue; its code may differ."""
        return Node(
            resonate,
            self.memory if store is None else store,
            self.queue if queue is None else queue,
            clock=self.clock,
            target=TARGET,
            worker=WorkerSettings(heartbeats=False),
            runner=lambda: InlineRunner(resonate.dependencies),
        )

    # ---- time passes

    def start(self, function: str, *args: Any, names: Sequence[str] = (), root: str = "root") -> None:
        """Start an execution whose named promises are settled one a slot, in this order."""
        self.outside.client.invoke(Invocation(function=function, args=args, id=root))
        now = self.clock.now_ms()
        self.events = [
            Event(name=name, at_ms=now + 1000 * SLOT_S * place) for place, name in enumerate(names, start=1)
        ]

    def play(self, *, until_ms: int | None = None) -> None:
        """Deliver, sweep, settle and let time pass until nothing is left to do."""
        for _ in range(STEPS_MAX):
            messages = self.queue.pop_due(self.clock.now_ms())
            if messages:
                for message in messages:
                    self.deliver(message)
                continue
            due = self.memory.next_due()
            if due is not None and due <= self.clock.now_ms():
                self.outside.server.sweep()
                continue
            self.at_rest()
            times = (self.queue.next_instant(), due, self.events[0].at_ms if self.events else None)
            instant = min((at for at in times if at is not None), default=None)
            if instant is None or (until_ms is not None and instant > until_ms):
                return
            self.clock.advance_to(instant)
            if self.events and self.events[0].at_ms <= self.clock.now_ms():
                self.settle(self.events.pop(0))
        raise AssertionError("the deployment does not come to rest")

    def deliver(self, message: Message) -> None:
        """Deliver one message; a process that dies of it is replaced by a fresh one."""
        try:
            self.inside.ended.append(self.inside.node.deliver(message))
        except Crash:
            self.store.dead = False
        except StoreError:
            pass  # the delivery failed; the sweep comes back to it

    def settle(self, event: Event) -> None:
        """Settle a named promise; one that does not exist yet is settled a slot later."""
        found = self.memory.search("promise", tags={NAME: event.name})
        if not found:
            if self.inside.client.get("root") is not None and self.root().settled_at is None:
                later = Event(name=event.name, at_ms=event.at_ms + 1000 * SLOT_S)
                self.events = sorted([*self.events, later], key=lambda one: one.at_ms)
            return
        state = PromiseState.REJECTED if event.name.startswith("bad") else PromiseState.RESOLVED
        self.outside.client.settle(found[0].id, state, f"{event.name}!")

    def rival(self, task_id: str) -> None:
        """Let the lease run out unseen and another process run an activation of the task."""
        self.clock.advance(self.inside.node.worker.settings.lease_ms + 1)
        self.outside.server.advance(task_id)
        self.outside.deliver(Execute(id=task_id, version=0, target=""))

    # ---- what came of it

    def heard(self, step: StepContext) -> None:
        """Take note of a step that runs; one that does although its outcome is on record is reported."""
        self.ran.append(step.info.id)
        found = self.memory.read((step.info.id,))[step.info.id].object
        if isinstance(found, PromiseObject) and found.promise.state is not PromiseState.PENDING:
            self.reruns.append(step.info.id)

    def root(self, root: str = "root") -> Promise:
        return self.object(root).promise

    def object(self, promise_id: str) -> PromiseObject:
        found = self.memory.read((promise_id,))[promise_id].object
        assert isinstance(found, PromiseObject), f"{promise_id!r} does not exist"
        return found

    def outcome(self, root: str = "root") -> tuple[str, Any]:
        """Return the result of the execution, or the type and text of its error."""
        promise = self.root(root)
        assert promise.state is not PromiseState.PENDING, f"{root!r} never ended"
        try:
            return "value", self.outside.client.result(promise)
        except Exception as error:  # noqa: BLE001 - whatever the workflow raised
            return type(error).__name__, str(error)

    def records(self) -> dict[str, PromiseObject]:
        found = self.memory.search("promise", limit=1_000)
        return {one.id: one for one in found if isinstance(one, PromiseObject)}

    def story(self) -> dict[str, tuple[Any, ...]]:
        """Return everything on record but instants; ids of detached roots by their place."""
        records = self.records()
        births: dict[str, str] = {}
        for promise_id, record in records.items():
            for detached in re.findall(r"[^\"]*-d[0-9a-f]{32}", text(record.promise.value.data)):
                births.setdefault(detached, f"detached@{promise_id}")

        def plain(encoded: str | None) -> str:
            words = text(encoded)
            for detached, place in births.items():
                words = words.replace(detached, place)
            return words

        story = {}
        for promise_id, record in records.items():
            promise = record.promise
            is_instant = '"kind":"now"' in text(promise.param.data)
            tags = {name: plain(tag) for name, tag in promise.tags.items()}
            value = "" if is_instant else plain(promise.value.data)
            story[plain(promise_id)] = (promise.state, plain(promise.param.data), value, tags)
        return story

    def history(self, task_id: str) -> dict[str, Promise]:
        rows = [row.object for page in self.memory.history(task_id) for row in page]
        return {row.id: row.promise for row in rows if isinstance(row, PromiseObject)}

    def replay(self, task_id: str = "root") -> tuple[list[str], Round]:
        """Replay the history as it stands, without a store; return what it awaits and its first round.

        A settled root is replayed as if it were pending.
        """
        held = self.object(task_id)
        worker = self.inside.node.worker
        function, args, kwargs = invoked(held.promise, worker.registry, worker.codec)
        execution = Execution(
            held.promise,
            held.birth,
            function,
            args,
            kwargs,
            history=self.history(task_id),
            registry=worker.registry,
            codec=worker.codec,
            settings=worker.engine,
        )
        turn = execution.advance(self.clock.now_ms())
        awaiting = execution.awaiting()
        execution.close()
        return awaiting, turn


def note(step: StepContext, word: str) -> str:
    """Say a word, and let the stage hear of it."""
    step.get_dependency("stage").heard(step)
    return f"{word}."


def text(encoded: str | None) -> str:
    """Return a payload as text; what is not base64 stands for itself."""
    if not encoded:
        return ""
    try:
        return b64decode(encoded, validate=True).decode()
    except ValueError:
        return encoded


def staged(*functions: Callable[..., Any]) -> Stage:
    """Return a stage that serves these functions."""
    resonate = Resonate()
    for function in functions:
        resonate.register(function)
    return Stage(resonate)


def begun(*functions: Callable[..., Any], args: Sequence[Any] = (), within_ms: int = 1_000) -> Stage:
    """Start the first function as ``root`` and play what happens within moments."""
    stage = staged(*functions)
    stage.start(functions[0].__name__, *args)
    stage.play(until_ms=stage.clock.now_ms() + within_ms)
    return stage
