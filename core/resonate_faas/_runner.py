"""Where steps run: plain functions in daemon threads of the activation, coroutines on one event loop.

Both are abandoned, not waited for, when the lease is lost or the deadline nears (design sections 6 and 7).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextvars import Context as ContextVars
from typing import TYPE_CHECKING, Any, Final, Protocol

from resonate_faas._engine.context import StepContext
from resonate_faas._engine.steps import Launch

if TYPE_CHECKING:
    import asyncio

THREADS_MAX: Final = 32

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
                threading.Thread(target=self._loop.run_forever, name="resonate-steps", daemon=True).start()
            return self._loop

    def close(self) -> None:
        """Stop the loop; steps on it end where they stand."""
        with self._lock:
            if self._loop is not None:
                _soon(self._loop, self._loop.stop)
                self._loop = None


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)


class ThreadRunner:
    """Steps of one activation, in threads and on the worker's event loop.

    Args:
        loop: for async steps.
        dependencies: given to steps that take a context.
        threads_max: plain steps at a time; more wait their turn.
    """

    def __init__(
        self, loop: EventLoop, dependencies: dict[str, Any], *, threads_max: int = THREADS_MAX
    ) -> None:
        self._loop = loop
        self._dependencies = dependencies
        self._threads_max = threads_max
        self._jobs: queue.SimpleQueue[tuple[Launch, Done] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0
        self._cancels: dict[str, Callable[[], None]] = {}
        self._abandoned: set[str] = set()
        self._in_threads: set[str] = set()

    def start(self, launch: Launch, done: Done) -> None:
        """Run a step: on the loop if it is a coroutine function, else in a thread."""
        if launch.function.is_async:
            self._cancels[launch.id] = self._loop.start(launch, bound(launch, self._dependencies), done)
            return
        with self._lock:
            self._in_threads.add(launch.id)
            grow = self._idle == 0 and self._threads < self._threads_max
            if grow:
                self._threads += 1
            elif self._idle:
                self._idle -= 1
        self._jobs.put((launch, done))
        if grow:
            threading.Thread(target=self._work, name="resonate-step", daemon=True).start()

    def abandon(self, step_id: str) -> None:
        """Cancel or forget a step."""
        cancel = self._cancels.pop(step_id, None)
        if cancel is not None:
            cancel()
            return
        with self._lock:
            if step_id in self._in_threads:
                self._abandoned.add(step_id)
                self._threads -= 1

    def close(self) -> None:
        """Cancel the coroutines and let every thread end after what it is doing."""
        for cancel in self._cancels.values():
            cancel()
        for _ in range(self._threads):
            self._jobs.put(None)

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            launch, done = job
            _run(launch.contextvars, launch, bound(launch, self._dependencies), done)
            with self._lock:
                self._in_threads.discard(launch.id)
                if launch.id in self._abandoned:
                    self._abandoned.discard(launch.id)
                    return  # its place was given to another thread when it was abandoned
                if self._jobs.empty():
                    self._idle += 1


def _run(variables: ContextVars, launch: Launch, args: tuple[Any, ...], done: Done) -> None:
    try:
        value = variables.run(launch.call, *args, **launch.kwargs)
    except BaseException as error:  # noqa: BLE001 - whatever the step raises is its outcome
        done(launch.id, None, error)
    else:
        done(launch.id, value, None)
