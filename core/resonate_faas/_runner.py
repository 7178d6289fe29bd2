"""Where steps run: plain functions in daemon threads of the activation, coroutines on one event loop.

Both are abandoned, not waited for, when the lease is lost or the deadline nears (design sections 6 and 7).
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from resonate_faas._engine.context import StepContext
from resonate_faas._engine.steps import Launch

if TYPE_CHECKING:
    import asyncio

THREADS_MAX: Final = 32
CANCEL_S: Final = 1.0
"""How long cancelled coroutines may clean up when the worker closes."""

Done = Callable[[str, Any, BaseException | None], None]
"""Takes a step's id, its value, and its error; called from any thread."""


class Runner(Protocol):
    """Runs the steps of one activation."""

    def start(self, launch: Launch, done: Done) -> None:
        """Run a step; tell ``done`` what came of it."""

    def abandon(self, step_id: str) -> None:
        """Cancel a coroutine; forget a thread, which is not used again. ``done`` may still be told."""

    def close(self) -> None:
        """Abandon everything."""


def bound(launch: Launch, dependencies: dict[str, Any]) -> tuple[Any, ...]:
    """Return the positional arguments of a step: its context first, if it takes one."""
    if not launch.function.takes_context:
        return launch.args
    return (StepContext(launch.info, dependencies), *launch.args)


class EventLoop:
    """One event loop in a daemon thread, shared by all activations of a worker; started on first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self, launch: Launch, args: tuple[Any, ...], done: Done) -> Callable[[], None]:
        """Run an async step on the loop; return what cancels it."""
        loop = self._running()
        tasks: list[asyncio.Task[Any]] = []

        async def run() -> None:
            try:
                value = await launch.call(*args, **launch.kwargs)
            except BaseException as error:  # noqa: BLE001 - whatever the step raises is its outcome
                done(launch.id, None, error)
            else:
                done(launch.id, value, None)

        def begin() -> None:
            tasks.append(loop.create_task(run(), context=launch.contextvars))

        def cancel() -> None:
            for task in tasks:
                task.cancel()

        loop.call_soon_threadsafe(begin)
        return lambda: _soon(loop, cancel)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                import asyncio  # noqa: PLC0415 - a cold start without async steps does not pay for it

                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_serve, args=(self._loop,), name="resonate-steps", daemon=True
                )
                self._thread.start()
            return self._loop

    def close(self) -> None:
        """Cancel the steps still on the loop and end it; one that will not end is left behind after two seconds."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            _soon(loop, loop.stop)
            thread.join(2 * CANCEL_S)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    import asyncio  # noqa: PLC0415 - see above

    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=CANCEL_S))
    finally:
        loop.close()


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop is closed: nothing runs on it any more
        loop.call_soon_threadsafe(call)


@dataclass(eq=False, slots=True)
class _Job:
    launch: Launch
    done: Done
    abandoned: bool = False


class ThreadRunner:
    """Steps of one activation, in threads and on the worker's event loop.

    Args:
        loop: for async steps.
        dependencies: given to steps that take a context.
        threads_max: plain steps at a time; more wait their turn. An abandoned one does not count.
    """

    def __init__(
        self, loop: EventLoop, dependencies: dict[str, Any], *, threads_max: int = THREADS_MAX
    ) -> None:
        self._loop = loop
        self._dependencies = dependencies
        self._threads_max = threads_max
        self._lock = threading.Lock()
        self._cancels: dict[str, Callable[[], None]] = {}
        self._waiting: deque[_Job] = deque()
        self._running: dict[str, _Job] = {}
        self._idle = 0
        self._handed: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False

    def start(self, launch: Launch, done: Done) -> None:
        """Run a step: on the loop if it is a coroutine function, else in a thread."""
        if launch.function.is_async:
            self._cancels[launch.id] = self._loop.start(launch, bound(launch, self._dependencies), done)
            return
        with self._lock:
            self._waiting.append(_Job(launch, done))
            self._fill()

    def abandon(self, step_id: str) -> None:
        """Cancel or forget a step; one that waits for a thread never starts."""
        cancel = self._cancels.pop(step_id, None)
        if cancel is not None:
            cancel()
            return
        with self._lock:
            self._waiting = deque(job for job in self._waiting if job.launch.id != step_id)
            running = self._running.pop(step_id, None)
            if running is not None:
                running.abandoned = True
                self._fill()

    def close(self) -> None:
        """Cancel the coroutines, start nothing more, let every thread end after what it is doing."""
        for cancel in self._cancels.values():
            cancel()
        with self._lock:
            self._closed = True
            self._waiting.clear()
            for _ in range(self._idle):
                self._handed.put(None)

    def _fill(self) -> None:
        """Give waiting jobs to idle threads, or to new ones, up to the bound. Called under the lock."""
        while self._waiting and not self._closed and len(self._running) < self._threads_max:
            job = self._waiting.popleft()
            self._running[job.launch.id] = job
            if self._idle:
                self._idle -= 1
                self._handed.put(job)
            else:
                threading.Thread(target=self._work, args=(job,), name="resonate-step", daemon=True).start()

    def _work(self, job: _Job | None) -> None:
        while job is not None:
            value, error = _run(job.launch, bound(job.launch, self._dependencies))
            with self._lock:
                gone = job.abandoned or self._closed  # an abandoned job's place is another thread's by now
                if not gone:
                    del self._running[job.launch.id]
                    self._idle += 1
                    self._fill()
            job.done(job.launch.id, value, error)
            job = None if gone else self._handed.get()


def _run(launch: Launch, args: tuple[Any, ...]) -> tuple[Any, BaseException | None]:
    try:
        return launch.contextvars.run(launch.call, *args, **launch.kwargs), None
    except BaseException as error:  # noqa: BLE001 - whatever the step raises is its outcome
        return None, error
