"""Threads that run one at a time, in virtual time, in an order that one seed decides.

A fibre is a thread that holds the baton or waits for it. It gives the baton away where it would wait for the world: at a
store or queue operation, a clock, a lock, a queue. So two activations can be in the middle of their work at once, and a
seed repeats it all: nothing depends on the interpreter's own switching.
"""

from __future__ import annotations

import contextvars
import heapq
import itertools
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace, TracebackType
from typing import Any, Final

STUCK_S: Final = 60.0
"""Never reached by a run that passes: a fibre waits for something outside of the simulation."""
STACK_BYTES: Final = 512 * 1024


class Killed(BaseException):
    """The process of this fibre died."""


@dataclass(eq=False)
class Process:
    """What dies as a whole.

    Attributes:
        name: in the trace.
        dead: nothing of it reaches the world any more.
        stalled_until: no fibre of it goes on before this instant (a frozen sandbox).
    """

    name: str
    dead: bool = False
    stalled_until: int = 0


@dataclass(eq=False)
class Fibre:
    """One thread of a process. ``cause`` and ``decided`` are notes of whoever wraps the store."""

    name: str
    process: Process
    body: Callable[[], object]
    ticket: int = 0
    condition: Callable[[], bool] | None = None
    carrier: _Carrier | None = None
    done: bool = False
    cause: Any = None
    decided: Any = None
    task_id: str = ""
    parent: Fibre | None = None


class _Carrier:
    """A real thread that carries one fibre after another: threads are dear, fibres are many."""

    idle: Final[list[_Carrier]] = []

    def __init__(self) -> None:
        self.baton = threading.Lock()
        self.baton.acquire()
        self._work: tuple[Fibre, Scheduler] | None = None
        threading.Thread(target=self._carry, name="fibre", daemon=True).start()

    def take(self, fibre: Fibre, scheduler: Scheduler) -> None:
        self._work = (fibre, scheduler)

    def _carry(self) -> None:
        while True:
            self.baton.acquire()
            assert self._work is not None
            fibre, scheduler = self._work
            contextvars.Context().run(scheduler.carried, fibre)
            self._work = None
            _Carrier.idle.append(self)
            scheduler.baton.release()


@dataclass
class Scheduler:
    """Virtual time, the events in it, and the fibres.

    Attributes:
        random: breaks ties between events of one instant; also the source of everything else that is drawn.
        now: milliseconds since the start.
        current: the fibre that holds the baton; None: the scheduler does.
        failure: what a fibre ended with, other than by dying.
    """

    random: Random
    now: int = 0
    current: Fibre | None = None
    failure: BaseException | None = None
    baton: Any = field(default_factory=threading.Lock)
    switches: int = 0
    _events: list[tuple[int, float, int, Callable[[], object]]] = field(default_factory=list)
    _numbers: Any = field(default_factory=itertools.count)
    _fibres: dict[Fibre, None] = field(default_factory=dict)
    _waiting: dict[Fibre, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.baton.acquire()

    # ---- events

    def after(self, delay_ms: int, act: Callable[[], object]) -> None:
        """Let something happen later; ties are broken by the dice."""
        event = (self.now + max(delay_ms, 0), self.random.random(), next(self._numbers), act)
        heapq.heappush(self._events, event)

    def run(self, until: Callable[[], bool], *, limit_ms: int) -> bool:
        """Let events happen until a condition holds; return whether it does, False once the time is over.

        Raises:
            BaseException: what a fibre failed with.
        """
        while not until():
            if not self._events or self._events[0][0] > limit_ms:
                return False
            at, _, _, act = heapq.heappop(self._events)
            self.now = at
            act()
            self._wake_the_waiting()
            if self.failure is not None:
                raise self.failure
        return True

    def _wake_the_waiting(self) -> None:
        for fibre in list(self._waiting):
            if fibre.process.dead or (fibre.condition is not None and fibre.condition()):
                del self._waiting[fibre]
                self._resume_later(fibre, 0)

    # ---- fibres

    def spawn(self, name: str, process: Process, body: Callable[[], object]) -> Fibre:
        """Start a thread of a process."""
        fibre = Fibre(name, process, body, parent=self.current)
        fibre.task_id = self.current.task_id if self.current is not None else ""
        self._fibres[fibre] = None
        self._resume_later(fibre, 0)
        return fibre

    def _resume_later(self, fibre: Fibre, delay_ms: int) -> None:
        fibre.ticket += 1
        ticket = fibre.ticket
        self.after(delay_ms, lambda: self._resume(fibre, ticket))

    def _resume(self, fibre: Fibre, ticket: int) -> None:
        if fibre.done or fibre.ticket != ticket:
            return
        stalled = fibre.process.stalled_until - self.now
        if stalled > 0 and not fibre.process.dead:
            self._resume_later(fibre, stalled)
            return
        self._waiting.pop(fibre, None)
        if fibre.carrier is None:
            fibre.carrier = _Carrier.idle.pop() if _Carrier.idle else _Carrier()
            fibre.carrier.take(fibre, self)
        self.switches += 1
        self.current = fibre
        fibre.carrier.baton.release()
        if not self.baton.acquire(timeout=STUCK_S):
            raise AssertionError(f"fibre {fibre.name} waits for something outside of the simulation")
        self.current = None

    def carried(self, fibre: Fibre) -> None:
        """Run the fibre's body; called by its carrier."""
        try:
            if not fibre.process.dead:
                fibre.body()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - told to whoever runs the scheduler
            self.failure = self.failure or error
        fibre.done = True
        self._fibres.pop(fibre, None)

    def _give_baton(self) -> None:
        fibre = self.current
        assert fibre is not None
        assert fibre.carrier is not None
        self.baton.release()
        fibre.carrier.baton.acquire()
        self.live()

    def live(self) -> None:
        """Go on only if the process lives.

        Raises:
            Killed: it does not.
        """
        if self.current is not None and self.current.process.dead:
            raise Killed

    def pause(self, duration_ms: int) -> None:
        """Let time pass for this fibre; others go on."""
        self.live()
        if self.current is not None:
            self._resume_later(self.current, duration_ms)
            self._give_baton()

    def wait(self, condition: Callable[[], bool], timeout_ms: int | None = None) -> bool:
        """Wait until something holds; return whether it does."""
        self.live()
        fibre = self.current
        if condition() or fibre is None:
            return condition()
        fibre.condition = condition
        fibre.ticket += 1
        if timeout_ms is not None:
            self._resume_later(fibre, timeout_ms)
        self._waiting[fibre] = None
        self._give_baton()
        return condition()

    def end(self) -> None:
        """Let every fibre die: its process has."""
        for fibre in list(self._fibres):
            fibre.process.dead = True
            self._waiting.pop(fibre, None)
            fibre.ticket += 1
            if fibre.carrier is None:
                self._fibres.pop(fibre)
            else:
                self._resume(fibre, fibre.ticket)

    # ---- what takes the place of the modules threading and queue

    def threading(self) -> SimpleNamespace:
        """Return what modules under test use of ``threading``."""
        return SimpleNamespace(
            Thread=lambda **options: FibreThread(self, **options),
            Lock=lambda: FibreLock(self),
            RLock=lambda: FibreLock(self),
            Event=threading.Event,
        )

    def queues(self) -> SimpleNamespace:
        """Return what modules under test use of ``queue``."""
        return SimpleNamespace(SimpleQueue=_Subscriptable(lambda: FibreQueue(self)))


@dataclass
class _Subscriptable:
    make: Callable[[], Any]

    def __call__(self) -> Any:
        return self.make()

    def __getitem__(self, _: Any) -> Any:
        return self


class FibreThread:
    """``threading.Thread`` as a fibre of the same process."""

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        target: Callable[..., object],
        args: tuple[Any, ...] = (),
        name: str = "",
        daemon: bool = True,
    ) -> None:
        assert daemon, "a thread that is no daemon outlives its process"
        self._scheduler, self._name = scheduler, name
        self._body = lambda: target(*args)
        self._fibre: Fibre | None = None

    def start(self) -> None:
        current = self._scheduler.current
        assert current is not None
        self._fibre = self._scheduler.spawn(self._name, current.process, self._body)

    def join(self, timeout: float | None = None) -> None:
        fibre = self._fibre
        assert fibre is not None
        self._scheduler.wait(lambda: fibre.done, None if timeout is None else int(timeout * 1000))


class FibreLock:
    """``threading.RLock`` (and, used without re-entrance, ``Lock``) among fibres."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._owner: Fibre | None = None
        self._depth = 0

    def __enter__(self) -> bool:
        current = self._scheduler.current
        while self._depth and self._owner is not current:
            self._scheduler.wait(lambda: not self._depth)
        self._owner = current
        self._depth += 1
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1


class FibreQueue:
    """``queue.SimpleQueue`` among fibres."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._items: deque[Any] = deque()

    def put(self, item: Any) -> None:
        self._items.append(item)

    def empty(self) -> bool:
        return not self._items

    def get(self) -> Any:
        while not self._items:
            self._scheduler.wait(lambda: bool(self._items))
        return self._items.popleft()
