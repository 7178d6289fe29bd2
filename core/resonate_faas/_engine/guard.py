"""The guard loop: while workflow code runs, asking asyncio for the running loop finds this one, which refuses.

``asyncio.sleep``, an HTTP client, ``create_task``: whatever only an event loop could settle is stopped at its
line, instead of hanging or running outside the record (design section 6).
"""

from __future__ import annotations

import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from resonate_faas._errors import ForeignAwaitError

_PACKAGE = __name__.partition(".")[0]
_DRIVER = __name__.rpartition(".")[0] + ".frames"
_FOREIGN = (_PACKAGE, "asyncio", "anyio", "contextlib", "httpcore", "httpx", "sniffio")


class Guard:
    """Refuses what only an event loop could do, and remembers: swallowing the refusal does not help."""

    def __init__(self) -> None:
        self.refused: ForeignAwaitError | None = None

    def refuse(self, what: str) -> NoReturn:
        """Raise at the caller's line.

        Raises:
            ForeignAwaitError: always.
        """
        refusal = ForeignAwaitError(what, caller_line())
        if self.refused is None:
            self.refused = refusal
        raise refusal


class _GuardLoop:
    """Stands where the running loop would; every use is refused."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def create_task(self, coroutine: Coroutine[Any, Any, Any], **_: Any) -> NoReturn:
        coroutine.close()
        self._guard.refuse("a task of asyncio")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self._guard.refuse(f"asyncio ({name})")


class _GuardTask:
    """Stands where the current task would, so that libraries which ask for it go on to the loop, and are refused."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def get_name(self) -> str:
        """Return a name; the logging module asks for it."""
        return "workflow"

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self._guard.refuse(f"asyncio (task.{name})")


@contextmanager
def guarded() -> Iterator[Guard]:
    """Hold a guard loop as this thread's running loop.

    Where nobody imported asyncio there is nothing to guard, and a cold start need not import it either.
    """
    guard = Guard()
    events, tasks = sys.modules.get("asyncio.events"), sys.modules.get("asyncio.tasks")
    if events is None or tasks is None:
        yield guard
        return
    loop = _GuardLoop(guard)
    before = events._get_running_loop()
    events._set_running_loop(loop)
    task_before = _swap_task(tasks, loop, _GuardTask(guard))
    try:
        yield guard
    except (BaseExceptionGroup, ForeignAwaitError) as error:
        if guard.refused is not None and guard.refused.line and error is not guard.refused:
            raise guard.refused from error  # a task group wrapped it, or a clean-up was refused after it
        raise
    finally:
        _swap_task(tasks, loop, task_before)
        events._set_running_loop(before)


def _swap_task(tasks: Any, loop: _GuardLoop, task: Any) -> Any:
    """Make a task the loop's current one; return the one before."""
    if sys.version_info >= (3, 12):
        return tasks._swap_current_task(loop, task)
    before = tasks._current_tasks.pop(loop, None)
    if task is not None:
        tasks._current_tasks[loop] = task
    return before


def caller_line() -> str:
    """Return "file:line" of the nearest caller outside this package and the event loop libraries.

    "" if there is none between here and the driver: a generator yielded a coroutine of a library, say.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module == _DRIVER:
            return ""
        if module.partition(".")[0] not in _FOREIGN:
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def routine_line(routine: Any) -> str:
    """Return "file:line" of the innermost user frame that a suspended coroutine or generator stands at; or ""."""
    line = ""
    current = routine
    for _ in range(200):
        frame = getattr(current, "cr_frame", None) or getattr(current, "gi_frame", None)
        if frame is None:
            return line
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] not in _FOREIGN:
            line = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        current = getattr(current, "cr_await", None) or getattr(current, "gi_yieldfrom", None)
    return line
