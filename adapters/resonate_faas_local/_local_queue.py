"""The queue of the laptop: messages in memory, delivered by threads at their instant.

Nothing here survives the process; what must happen stands in the store's due index, and the sweep brings it back.
"""

from __future__ import annotations

import heapq
import logging
import threading
from collections.abc import Callable
from typing import Final

from resonate_faas._addresses import parse_address
from resonate_faas._errors import QueueError, StoreError
from resonate_faas._machine.objects import Execute, Message, Poke, Unblock
from resonate_faas._ports import Clock

log = logging.getLogger("resonate_faas_local.queue")

DELAY_MAX_MS: Final = 3_600_000
"""How far ahead a poke is held in memory; the sweep sees to what is farther."""

MESSAGES_MAX: Final = 200_000
"""Held in memory; more are refused, and stay due."""

TIMER_THREADS: Final = 2
LOOK_MS: Final = 1_000
"""How often a waiting thread looks at the clock anew: the wall clock may jump."""

SCHEME: Final = "local"

Deliver = Callable[[Message], object]


class LocalQueue:
    """The Queue port in memory. Thread-safe.

    Pokes have threads of their own, so that timers stay precise while every worker thread runs a workflow.

    Args:
        deliver: takes a message; called from any thread. What it raises is logged, the sweep repairs it.
        clock: the time.
        workers: threads that run activations, so many at a time.
        delay_max_ms: the farthest poke held.
    """

    def __init__(
        self, deliver: Deliver, *, clock: Clock, workers: int, delay_max_ms: int = DELAY_MAX_MS
    ) -> None:
        self._deliver = deliver
        self._clock = clock
        self._delay_max_ms = delay_max_ms
        self._is_closed = False
        self._timers = _Lane("resonate-timer", TIMER_THREADS, self._hand_over, clock)
        self._work = _Lane("resonate-worker", workers, self._hand_over, clock)

    @property
    def delay_max_ms(self) -> int:
        """How far ahead a poke can be sent."""
        return self._delay_max_ms

    def start(self) -> None:
        """Begin to deliver; what was sent before is delivered too."""
        self._timers.start()
        self._work.start()

    def send(self, *messages: Message) -> list[QueueError]:
        """Hold messages until their instants; refuse while closed or full, and for addresses of elsewhere."""
        causes = ((_name(message), self._refusal(message)) for message in messages)
        return [QueueError(name, cause) for name, cause in causes if cause is not None]

    def _refusal(self, message: Message) -> str | None:
        """Return why a message is not held; None: it is."""
        if self._is_closed:
            return "the queue is closed"
        match message:
            case Poke(not_before=instant):
                lane, at_ms = self._timers, instant
            case Execute(target=address) | Unblock(address=address):
                found = parse_address(address)
                if found is None or found.scheme != SCHEME:
                    return f"{address[:200]!r} is not delivered by this process"
                lane, at_ms = self._work, self._clock.now_ms()
        return None if lane.put(at_ms, message) else f"{MESSAGES_MAX} messages are waiting"

    def stop(self, timeout_s: float) -> bool:
        """Deliver nothing more, and wait for what is being delivered.

        Messages can still be sent, but wait for ever: they stay due in the store.

        Returns:
            True if every thread ended in time.
        """
        self._timers.stop()
        self._work.stop()
        deadline = self._clock.monotonic_ms() + int(timeout_s * 1000)
        return all(lane.join(deadline, self._clock) for lane in (self._timers, self._work))

    def close(self) -> None:
        """Refuse every later send."""
        self._is_closed = True

    def _hand_over(self, message: Message) -> None:
        """Deliver; a thread of the queue outlives whatever comes of it."""
        try:
            self._deliver(message)
        except StoreError as error:
            log.warning("delivery failed", extra={"promise_id": _name(message), "code": error.code})
        except BaseException:
            log.exception("delivery failed", extra={"promise_id": _name(message)})


class _Lane:
    """Messages by instant, and the threads that hand them over."""

    def __init__(self, name: str, threads: int, hand_over: Callable[[Message], None], clock: Clock) -> None:
        self._hand_over = hand_over
        self._clock = clock
        self._changed = threading.Condition()
        self._heap: list[tuple[int, int, Message]] = []
        self._pokes: set[Poke] = set()
        self._count = 0
        self._is_stopped = False
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True)
            for number in range(1, threads + 1)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def put(self, at_ms: int, message: Message) -> bool:
        """Hold a message; a poke that is held already is not held twice. False: there is no room."""
        with self._changed:
            if isinstance(message, Poke) and message in self._pokes:
                return True
            if len(self._heap) >= MESSAGES_MAX:
                return False
            if isinstance(message, Poke):
                self._pokes.add(message)
            self._count += 1
            heapq.heappush(self._heap, (at_ms, self._count, message))
            self._changed.notify()
        return True

    def stop(self) -> None:
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def join(self, deadline_mono_ms: int, clock: Clock) -> bool:
        for thread in self._threads:
            if thread.ident is not None and thread is not threading.current_thread():
                thread.join(max(deadline_mono_ms - clock.monotonic_ms(), 0) / 1000)
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while True:
            message = self._next()
            if message is None:
                return
            self._hand_over(message)

    def _next(self) -> Message | None:
        """Wait for the next message that is due; None: the lane is stopped."""
        with self._changed:
            while not self._is_stopped:
                left_ms = self._heap[0][0] - self._clock.now_ms() if self._heap else LOOK_MS
                if self._heap and left_ms <= 0:
                    message = heapq.heappop(self._heap)[2]
                    if isinstance(message, Poke):
                        self._pokes.discard(message)
                    return message
                self._changed.wait(min(left_ms, LOOK_MS) / 1000)
        return None


def _name(message: Message) -> str:
    return message.promise.id if isinstance(message, Unblock) else message.id
