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
_FOREIGN = (_PACKAGE, "asyncio", "anyio", "contextlib", "sniffio")


class _GuardLoop:
    """Stands where the running loop would; every use raises."""

    def create_task(self, coroutine: Coroutine[Any, Any, Any], **_: Any) -> NoReturn:
        coroutine.close()
        raise ForeignAwaitError("a task of asyncio", caller_line())

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ForeignAwaitError(f"asyncio ({name})", caller_line())


_GUARD: Any = _GuardLoop()


@contextmanager
def guarded() -> Iterator[None]:
    """Hold the guard loop as this thread's running loop.

    Where nobody imported asyncio there is nothing to guard, and a cold start need not import it either.
    """
    events = sys.modules.get("asyncio.events")
    if events is None:
        yield
        return
    before = events._get_running_loop()
    events._set_running_loop(_GUARD)
    try:
        yield
    finally:
        events._set_running_loop(before)


def caller_line() -> str:
    """Return "file:line" of the nearest caller outside this package and the event loop libraries."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in _FOREIGN:
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return "an unknown line"


def routine_line(routine: Any) -> str:
    """Return "file:line" of the innermost user frame that a suspended coroutine or generator stands at."""
    line = "an unknown line"
    current = routine
    for _ in range(200):
        frame = getattr(current, "cr_frame", None) or getattr(current, "gi_frame", None)
        if frame is None:
            return line
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] not in _FOREIGN:
            line = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        current = getattr(current, "cr_await", None) or getattr(current, "gi_yieldfrom", None)
    return line
