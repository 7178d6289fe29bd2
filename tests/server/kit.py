"""Servers without workers, and queues that watch or lose what is sent."""

from __future__ import annotations

from collections.abc import Callable

from tests.worker.kit import ADDRESS, DAY_MS, World

from resonate_faas import QueueError, Resonate
from resonate_faas._machine.objects import EXTERNAL, TARGET, TIMER, Message, Poke, PromiseState
from resonate_faas._machine.requests import (
    PromiseCreate,
    PromiseSettle,
    TaskAcquire,
    TaskSuspend,
)
from resonate_faas._ports import Queue
from resonate_faas._server import Server, ServerSettings
from resonate_faas.testing import EPOCH_MS

FAR_MS = EPOCH_MS + 100 * DAY_MS


class HookedQueue:
    """Passes messages on, one by one; a hook may look at each one first, or refuse it."""

    def __init__(self, inner: Queue) -> None:
        self._inner = inner
        self.sent: list[Message] = []
        self.on_send: Callable[[Message], None] = lambda _: None

    @property
    def delay_max_ms(self) -> int:
        return self._inner.delay_max_ms

    def send(self, *messages: Message) -> list[QueueError]:
        errors: list[QueueError] = []
        for message in messages:
            try:
                self.on_send(message)
            except QueueError as error:
                errors.append(error)
                continue
            self.sent.append(message)
            errors += self._inner.send(message)
        return errors


def refuse(message: Message) -> None:
    """Refuse every message."""
    raise QueueError(str(message), "as the test wants it")


def server(world: World, queue: Queue | None = None, *, settings: ServerSettings | None = None) -> Server:
    """Return a server over the world's store."""
    chosen = settings or ServerSettings(rules=world.rules)
    return Server(world.store, world.queue if queue is None else queue, clock=world.clock, settings=chosen)


def task(promise_id: str, *, timeout_at: int = FAR_MS) -> PromiseCreate:
    """Return the create of a promise with a task."""
    return PromiseCreate(id=promise_id, timeout_at=timeout_at, tags={TARGET: ADDRESS})


def external(promise_id: str, *, timeout_at: int = FAR_MS) -> PromiseCreate:
    """Return the create of a promise that others may wait for."""
    return PromiseCreate(id=promise_id, timeout_at=timeout_at, tags={EXTERNAL: "true"})


def timer(promise_id: str, timeout_at: int) -> PromiseCreate:
    """Return the create of a timer."""
    return PromiseCreate(id=promise_id, timeout_at=timeout_at, tags={TIMER: "true"})


def resolve(promise_id: str) -> PromiseSettle:
    """Return the settlement of a promise."""
    return PromiseSettle(id=promise_id, state=PromiseState.RESOLVED)


def suspended(owner: Server, task_id: str, awaited: str) -> None:
    """Create a task that waits for a promise."""
    assert owner.ask(task(task_id)).reply.ok
    assert owner.ask(TaskAcquire(id=task_id, version=0, pid="p", ttl=60_000)).reply.ok
    assert owner.ask(TaskSuspend(id=task_id, version=1, awaited=(awaited,))).reply.ok


def drop(world: World) -> None:
    """Lose every message, whenever it is due."""
    world.queue.pop_due(FAR_MS)


def run_due(world: World, owner: Server) -> list[Message]:
    """Deliver the pokes that are due; return the other messages."""
    messages = world.take()
    for message in messages:
        if isinstance(message, Poke):
            owner.advance(message.id, not_before_ms=message.not_before)
    return [message for message in messages if not isinstance(message, Poke)]


EMPTY_RESONATE = Resonate()
