"""The debug surface: time and delivery held still, moved by hand (protocol section 3.4). Never on by default.

While it is held, nothing happens by itself: messages collect in an outbox instead of the queue, timers wait for a
tick. What requests do at once, they still do: a settlement resumes its awaiters in the same breath.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

from resonate_faas._errors import QueueError
from resonate_faas._machine import Turn
from resonate_faas._machine.objects import (
    Execute,
    Message,
    Object,
    Poke,
    PromiseObject,
    Unblock,
    is_schedule_key,
)
from resonate_faas._machine.requests import OK, Reply
from resonate_faas._ports import DUE_SHARDS, SEARCH_LIMIT_MAX, Kind, Queue
from resonate_faas._requests import Snapshot
from resonate_faas._server import Server

TICK_ROUNDS_MAX: Final = 10_000
RESET_CHUNK: Final = 50


class DebugQueue:
    """A queue that can be held: then it keeps the messages, the newest of a task, one of a listener.

    Args:
        queue: where messages go while it is not held.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._lock = threading.Lock()
        self._outbox: dict[tuple[str, ...], Message] = {}
        self._held = False

    @property
    def delay_max_ms(self) -> int:
        """See :class:`resonate_faas.Queue`."""
        return self._queue.delay_max_ms

    @property
    def is_held(self) -> bool:
        """True between debug.start and debug.stop."""
        return self._held

    def send(self, *messages: Message) -> list[QueueError]:
        """Hand messages over, or keep them while held; a poke is a timer, which waits for a tick."""
        return self._queue.send(*(message for message in messages if not self.keep(message)))

    def keep(self, message: Message) -> bool:
        """Keep a message if the queue is held; also for one that was on its way when the holding began.

        Returns:
            True if it is held: it must not be delivered.
        """
        with self._lock:
            if not self._held:
                return False
            match message:
                case Execute(id=task_id, version=version):
                    kept = self._outbox.get(("execute", task_id))
                    if not isinstance(kept, Execute) or kept.version <= version:
                        self._outbox[("execute", task_id)] = message
                case Unblock(address=address, promise=promise):
                    self._outbox[("unblock", promise.id, address)] = message
                case Poke():
                    pass
            return True

    def hold(self) -> None:
        """Deliver nothing from now on."""
        with self._lock:
            self._held = True

    def release(self) -> None:
        """Deliver what was kept, and go on."""
        with self._lock:
            self._held = False
            kept, self._outbox = list(self._outbox.values()), {}
        self._queue.send(*kept)

    def clear(self) -> None:
        """Forget what was kept."""
        with self._lock:
            self._outbox = {}

    def outbox(self) -> tuple[Message, ...]:
        """Return what is kept, ordered by kind and id."""
        with self._lock:
            return tuple(self._outbox[key] for key in sorted(self._outbox))


class Debug:
    """The debug operations over a server whose queue can be held.

    Args:
        server: made with ``queue`` as its queue.
        queue: what holds its messages.
    """

    def __init__(self, server: Server, queue: DebugQueue) -> None:
        self._server = server
        self._queue = queue

    def start(self) -> None:
        """Hold the background back."""
        self._queue.hold()

    def stop(self) -> None:
        """Let the background go on: what was kept is delivered, the sweep finds what became due."""
        self._queue.release()
        self._server.sweep()

    def reset(self) -> None:
        """Delete everything: promises, tasks, schedules, messages."""
        for kind in ("promise", "schedule"):
            keys = [found.id for found in self._all(kind)]
            for start in range(0, len(keys), RESET_CHUNK):
                self._delete(keys[start : start + RESET_CHUNK])
        self._queue.clear()

    def tick(self, time_ms: int) -> None:
        """Run every internal step due at this instant, and what follows from it; deliver nothing.

        Raises:
            RuntimeError: it does not come to rest: a bug of the machine.
        """
        was_held = self._queue.is_held
        self._queue.hold()
        try:
            before: list[tuple[str, int]] = []
            for _ in range(TICK_ROUNDS_MAX):
                due = self._due(time_ms)
                if not due or due == before:
                    return
                for key, _ in due:
                    self._server.advance(key, now_ms=time_ms)
                before = due
            raise RuntimeError(f"steps are still due after {TICK_ROUNDS_MAX} rounds")
        finally:
            if not was_held:
                self._queue.release()

    def snapshot(self) -> Snapshot:
        """Return everything as stored."""
        return Snapshot(
            objects=tuple(self._all("promise")), messages=self._queue.outbox(), rules=self._server.rules
        )

    def _due(self, time_ms: int) -> list[tuple[str, int]]:
        """Return what is due: deadlines and tasks first, schedules last (protocol section 4.5)."""
        found = [
            entry
            for shard in range(DUE_SHARDS)
            for entry in self._server.store.due(time_ms, shard, SEARCH_LIMIT_MAX)
        ]
        return sorted(found, key=lambda entry: (is_schedule_key(entry[0]), entry[1], entry[0]))

    def _all(self, kind: Kind) -> Iterator[Object]:
        after: str | None = None
        while True:
            page = self._server.store.search(kind, limit=SEARCH_LIMIT_MAX, after=after)
            yield from page
            if len(page) < SEARCH_LIMIT_MAX:
                return
            last = page[-1]
            after = last.id if isinstance(last, PromiseObject) else last.schedule.id

    def _delete(self, keys: list[str]) -> None:
        def handler(turn: Turn) -> Reply:
            turn.require(keys)
            for key in keys:
                if turn.stored(key) is not None:
                    turn.delete(key)
            return Reply(status=OK)

        self._server.run(keys, handler, drain=False)


__all__ = ["Debug", "DebugQueue"]
