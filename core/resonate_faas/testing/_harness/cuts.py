"""Where a process can die: each operation on the store and the queue, and each declared effect of a step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from resonate_faas._errors import OutcomeUnknownError, QueueError
from resonate_faas._machine.objects import Message, Object, PromiseObject, Unblock
from resonate_faas._optimistic import Stored
from resonate_faas._ports import Versioned
from resonate_faas.testing._memory_queue import MemoryQueue
from resonate_faas.testing._wrappers import PrimitiveStore, WrappedStore


class Crash(BaseException):
    """The process died here. Not an Exception: nothing may survive it."""


class Cut(Enum):
    """What happens at an operation."""

    BEFORE = "the process died before it"
    AFTER = "the process died after it"
    ANSWER_LOST = "it was done, but its answer was lost"


STORE_WRITE: Final = (Cut.BEFORE, Cut.AFTER, Cut.ANSWER_LOST)
STORE_READ: Final = (Cut.BEFORE,)
"""Dying after a read is dying before the next operation: nothing lies between them."""
QUEUE_SEND: Final = (Cut.BEFORE, Cut.AFTER, Cut.ANSWER_LOST)
EFFECT: Final = (Cut.BEFORE, Cut.AFTER)


@dataclass(frozen=True, slots=True)
class Point:
    """An operation that was made: its place in the order of all, what it was, and how it can be cut.

    ``since`` says in which delivery, and after how many executions of steps: two operations with the same one have
    nothing between them.
    """

    number: int
    what: str
    cuts: tuple[Cut, ...]
    since: tuple[int, int]


def places(points: Sequence[Point]) -> list[tuple[Point, Cut]]:
    """Return where to crash, and how.

    A read right after another operation is left out: dying before it is dying after that one.
    """
    found = []
    before: Point | None = None
    for point in points:
        if point.cuts != STORE_READ or before is None or before.since != point.since:
            found += [(point, cut) for cut in point.cuts]
        before = point
    return found


class Knife:
    """Counts the operations of one process after another, and cuts one of them.

    Args:
        number: which operation to cut, from 1; 0: none.
        cut: how.

    Attributes:
        points: the operations so far.
        deliveries: messages delivered so far.
        steps: executions of steps begun so far.
        dead: the process takes nothing more.
        fell: the cut was made.
    """

    def __init__(self, number: int = 0, cut: Cut = Cut.BEFORE) -> None:
        self._number = number
        self._cut = cut
        self.points: list[Point] = []
        self.deliveries = 0
        self.steps = 0
        self.dead = False
        self.fell = False

    def meet(self, what: str, cuts: tuple[Cut, ...]) -> Cut | None:
        """Note an operation that is about to be made; return how it is cut, unless it dies at once.

        Raises:
            Crash: the process is dead.
        """
        if self.dead:
            raise Crash
        number = len(self.points) + 1
        self.points.append(Point(number, what, cuts, (self.deliveries, self.steps)))
        if number != self._number or self._cut not in cuts:
            return None
        self.fell = True
        if self._cut is Cut.BEFORE:
            self.die()
        return self._cut

    def die(self) -> None:
        """End the process.

        Raises:
            Crash: always.
        """
        self.dead = True
        raise Crash


class CutStore(WrappedStore):
    """The store as one process sees it."""

    def __init__(self, inner: PrimitiveStore, knife: Knife) -> None:
        super().__init__(inner, pause=lambda _: None)
        self._knife = knife

    def read(self, keys: Sequence[str]) -> Mapping[str, Stored]:
        """Read, if the process lives."""
        self._knife.meet(f"read {', '.join(keys)}", STORE_READ)
        return super().read(keys)

    def write(
        self, expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
    ) -> Mapping[str, int]:
        """Write, if the process lives to do it; tell, if it lives on."""
        cut = self._knife.meet(f"write {_written(writes)}", STORE_WRITE)
        revisions = super().write(expected, writes, nonce)
        if cut is Cut.AFTER:
            self._knife.die()
        if cut is Cut.ANSWER_LOST:
            raise OutcomeUnknownError(tuple(writes), "the test kit lost the answer")
        return revisions

    def history(self, task_id: str, after: str | None = None) -> Iterator[list[Versioned]]:
        """Read pages, if the process lives."""
        self._knife.meet(f"read the history of {task_id}", STORE_READ)
        return super().history(task_id, after)


class CutQueue:
    """The queue as one process sees it.

    Args:
        inner: the queue that keeps the messages.
        knife: cuts.
    """

    def __init__(self, inner: MemoryQueue, knife: Knife) -> None:
        self._inner = inner
        self._knife = knife

    @property
    def delay_max_ms(self) -> int:
        """How far ahead a poke can be sent."""
        return self._inner.delay_max_ms

    def send(self, *messages: Message) -> list[QueueError]:
        """Send, if the process lives to do it; a lost answer reads as a refusal of every message."""
        cut = self._knife.meet(f"send {', '.join(map(_sent, messages))}", QUEUE_SEND)
        refused = self._inner.send(*messages)
        if cut is Cut.AFTER:
            self._knife.die()
        if cut is Cut.ANSWER_LOST:
            return [QueueError(_id_of(message), "the test kit lost the answer") for message in messages]
        return refused


def _written(writes: Mapping[str, Object | None]) -> str:
    words = []
    for key, written in writes.items():
        state = "deleted"
        if isinstance(written, PromiseObject):
            state = written.promise.state.value
            if written.task is not None and state == "pending":
                state = f"task {written.task.state.value}"
        words.append(f"{key} ({state})")
    return ", ".join(words)


def _sent(message: Message) -> str:
    return f"{type(message).__name__.lower()} {_id_of(message)}"


def _id_of(message: Message) -> str:
    return message.promise.id if isinstance(message, Unblock) else message.id
