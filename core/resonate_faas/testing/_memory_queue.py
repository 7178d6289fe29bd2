"""A queue in memory: it keeps messages with their instants, and can be told to misbehave under a seed."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import Final

from resonate_faas._errors import QueueError
from resonate_faas._machine.objects import Message, Poke, Unblock
from resonate_faas._ports import Clock

DELAY_MAX_MS: Final = 15 * 60_000
"""How far ahead a poke can be sent by default: the shortest of the platforms' bounds (SQS)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disorder:
    """How a queue misbehaves; each is a probability from 0 to 1, drawn from ``seed``.

    Attributes:
        drop: a message taken is never delivered.
        duplicate: a message is delivered twice.
        late: a message is delivered up to ``late_ms`` after its instant.
        late_ms: the longest delay of a late message.
        refuse: a message is not taken, and the sender is told.
        shuffle: messages due together come in any order.
    """

    seed: int = 0
    drop: float = 0.0
    duplicate: float = 0.0
    late: float = 0.0
    late_ms: int = 0
    refuse: float = 0.0
    shuffle: bool = False


class MemoryQueue:
    """The Queue port in memory. Thread-safe.

    Args:
        clock: tells how far ahead a poke lies.
        delay_max_ms: the farthest poke it takes.
        disorder: how it misbehaves; None: each message once, by instant, then in order of sending.
    """

    def __init__(
        self, clock: Clock, *, delay_max_ms: int = DELAY_MAX_MS, disorder: Disorder | None = None
    ) -> None:
        self._clock = clock
        self._delay_max_ms = delay_max_ms
        self._disorder = disorder or Disorder()
        self._random = random.Random(self._disorder.seed)  # noqa: S311 - repeatable, not a secret
        self._lock = threading.Lock()
        self._held: list[tuple[int, int, Message]] = []
        self._count = 0
        self._closed = False

    @property
    def delay_max_ms(self) -> int:
        """How far ahead a poke can be sent."""
        return self._delay_max_ms

    def send(self, *messages: Message) -> list[QueueError]:
        """Keep messages until their instants; a closed queue and its disorder refuse.

        Raises:
            ValueError: a poke lies beyond ``delay_max_ms``; the sender has a bug, since farther wakes are the sweep's.
        """
        causes = ((_name(message), self._refusal(message)) for message in messages)
        return [QueueError(name, cause) for name, cause in causes if cause is not None]

    def _refusal(self, message: Message) -> str | None:
        """Return why a message is not kept; None: it is, or the disorder dropped it."""
        now_ms = self._clock.now_ms()
        at_ms = max(now_ms, message.not_before) if isinstance(message, Poke) else now_ms
        if at_ms - now_ms > self._delay_max_ms:
            raise ValueError(f"{message} lies {at_ms - now_ms} ms ahead, more than {self._delay_max_ms}")
        with self._lock:
            if self._closed:
                return "the queue is closed"
            if self._happens(self._disorder.refuse):
                return "refused by its disorder"
            if self._happens(self._disorder.drop):
                return None
            for _ in range(2 if self._happens(self._disorder.duplicate) else 1):
                late = (
                    self._random.randint(0, self._disorder.late_ms)
                    if self._happens(self._disorder.late)
                    else 0
                )
                self._count += 1
                self._held.append((at_ms + late, self._count, message))
        return None

    def pop_due(self, now_ms: int) -> list[Message]:
        """Take the messages whose instant has come, earliest first (any order if shuffled)."""
        with self._lock:
            ready = sorted((held for held in self._held if held[0] <= now_ms), key=lambda held: held[:2])
            self._held = [held for held in self._held if held[0] > now_ms]
            if self._disorder.shuffle:
                self._random.shuffle(ready)
        return [message for _, _, message in ready]

    def next_instant(self) -> int | None:
        """Return the earliest instant of a message held; None: the queue is empty."""
        with self._lock:
            return min((at_ms for at_ms, _, _ in self._held), default=None)

    def held(self) -> list[Message]:
        """Return the messages held, by instant, without taking them."""
        with self._lock:
            return [message for _, _, message in sorted(self._held, key=lambda held: held[:2])]

    def __len__(self) -> int:
        with self._lock:
            return len(self._held)

    def close(self) -> None:
        """Refuse every later send; what is held can still be taken."""
        with self._lock:
            self._closed = True

    def _happens(self, chance: float) -> bool:
        return chance > 0 and self._random.random() < chance


def _name(message: Message) -> str:
    return message.promise.id if isinstance(message, Unblock) else message.id
