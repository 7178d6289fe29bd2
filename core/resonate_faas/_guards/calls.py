"""Which functions workflow code calls: clocks and random draws raise no audit event, so the calls are observed.

From Python 3.12 on by sys.monitoring, in the code objects of workflows alone: a place that called something harmless
is not looked at again, so a replay does not pay. Python 3.11 has only sys.setprofile, which sees every call of
the thread and makes a replay many times dearer: each workflow is looked at while it is new to the process, then no
more. In strict mode, in tests, where a slow replay hurts nobody, every call is looked at, every time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType, FrameType, FunctionType, MethodType
from typing import Any, Final

from resonate_faas._guards.deeds import (
    CALLS,
    ENVIRONMENT,
    ENVIRONMENT_NAME,
    PROCESS_STATE,
    Deed,
    deed_of,
    name_of,
)
from resonate_faas._guards.places import environment_reader, home, home_of, is_library

Saw = Callable[[str, Deed, FrameType | None], None]
"""Takes the name of what was called, what it does, and the caller's frame; may raise."""

_TOOLS: Final = (4, 3)
"""Ids of sys.monitoring that belong to no kind of tool."""
CODES_MAX: Final = 10_000
"""Code objects that are looked at; a program has fewer, unless it makes code at run time."""
PROFILED_MAX: Final = 20_000
"""Calls and returns that are looked at for each workflow, where only sys.setprofile can: 11 ms, once a process."""
_COMPREHENSIONS: Final = frozenset({"<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>"})


class CallWatch:
    """Sees the calls of the workflow that this thread runs.

    Args:
        saw: is told.
        is_strict: every call is looked at, every time.
    """

    def __init__(self, saw: Saw, *, is_strict: bool) -> None:
        self._saw = saw
        self._is_strict = is_strict

    def enter(self, routine: Any) -> None:
        """Look at the calls of a coroutine or generator, and of the functions of its own package that it calls."""
        frame = getattr(routine, "cr_frame", None) or getattr(routine, "gi_frame", None)
        if frame is None:
            return
        if sys.version_info >= (3, 12):
            _monitor.begin(self._saw, frame, is_strict=self._is_strict)
        else:
            news = _news.get(id(frame.f_code)) or _new(frame)
            if (self._is_strict or news.left > 0) and sys.getprofile() is None:
                sys.setprofile(_Profile(self._saw, news, is_strict=self._is_strict))

    def leave(self) -> None:
        """Look no more."""
        if sys.version_info >= (3, 12):
            _monitor.end()
        elif isinstance(sys.getprofile(), _Profile):
            sys.setprofile(None)


@dataclass(slots=True)
class _News:
    """How new a workflow is to this process.

    Attributes:
        code: the workflow's, kept so that its identity stays its own.
        home: of the code.
        left: events that will still be looked at.
    """

    code: CodeType
    home: str
    left: int = PROFILED_MAX


_news: Final[dict[int, _News]] = {}
"""By identity of the code: equal code may stand in two modules."""


def _new(frame: FrameType) -> _News:
    made = _News(frame.f_code, home_of(frame))
    if len(_news) < CODES_MAX:
        _news[id(frame.f_code)] = made
    return made


class _Profile:
    """A profile function of one workflow's thread: sees the calls of all code, and picks those of its home."""

    def __init__(self, saw: Saw, news: _News, *, is_strict: bool) -> None:
        self._saw = saw
        self._news = news
        self._home = news.home
        self._is_strict = is_strict

    def __call__(self, frame: FrameType, event: str, called: Any) -> None:
        if not self._is_strict:
            self._news.left -= 1
            if self._news.left <= 0:
                sys.setprofile(None)
        if event == "c_call":
            deed = deed_of(called, None)
            if deed is not None and home_of(frame) == self._home:
                self._saw(name_of(called), deed, frame)
        elif event == "call" and frame.f_code is ENVIRONMENT:
            _read_environment(self._saw, frame)
        elif event == "call" and frame.f_back is not None:
            module, name = frame.f_globals.get("__name__"), frame.f_code.co_name
            if module == "random" or (module, name) in CALLS:
                self._python(frame, f"{module}.{name}", frame.f_back)

    def _python(self, frame: FrameType, name: str, caller: FrameType) -> None:
        if home_of(caller) != self._home:
            return
        owner, short = frame.f_locals.get("self"), frame.f_code.co_name
        function = frame.f_globals.get(short) if owner is None else getattr(type(owner), short, None)
        deed = deed_of(function, owner)
        if deed is not None:
            self._saw(name, deed, caller)


if sys.version_info >= (3, 12):
    import threading

    class _Thread(threading.local):
        saw: Saw | None = None
        is_strict: bool = False

    class _Monitor:
        """The tool of this process: instruments code objects as workflows come to them."""

        def __init__(self) -> None:
            self._thread = _Thread()
            self._homes: dict[
                int, tuple[CodeType, str]
            ] = {}  # by identity: equal code may stand in two modules
            self._tool: int | None = None
            self._is_tried = False
            self._has_disabled = False

        def begin(self, saw: Saw, frame: FrameType, *, is_strict: bool) -> None:
            """Watch this thread, which is about to run a workflow that stands at this frame."""
            if not self._is_tried:
                self._is_tried = True
                self._tool = self._claim()
            if self._tool is None:
                return
            self._thread.saw, self._thread.is_strict = saw, is_strict
            if is_strict and self._has_disabled:
                self._has_disabled = False
                sys.monitoring.restart_events()
            if id(frame.f_code) not in self._homes:
                self._follow(frame.f_code, home_of(frame))

        def end(self) -> None:
            """Watch this thread no more."""
            self._thread.saw = None

        def _claim(self) -> int | None:
            monitoring = sys.monitoring
            tool = next((one for one in _TOOLS if monitoring.get_tool(one) is None), None)
            if tool is not None:
                monitoring.use_tool_id(tool, "resonate-faas guards")
                monitoring.register_callback(tool, monitoring.events.CALL, self._called)
                monitoring.register_callback(tool, monitoring.events.PY_START, self._read)
                monitoring.set_local_events(tool, ENVIRONMENT, monitoring.events.PY_START)
            return tool

        def _follow(self, code: CodeType, own: str) -> None:
            tool = self._tool
            for one in _codes(code):
                if tool is None or len(self._homes) >= CODES_MAX:
                    return
                self._homes[id(one)] = one, own
                sys.monitoring.set_local_events(tool, one, sys.monitoring.events.CALL)

        def _called(self, code: CodeType, _offset: int, called: Any, first: Any) -> Any:
            saw = self._thread.saw
            if saw is None:
                return None  # a step, or a thread of somebody's
            deed = deed_of(called, first)
            if deed is not None:
                saw(name_of(called), deed, sys._getframe(1))  # noqa: SLF001
            else:
                self._consider(code, called)
            if self._thread.is_strict:
                return None
            self._has_disabled = True
            return sys.monitoring.DISABLE

        def _read(self, _code: CodeType, _offset: int) -> None:
            saw = self._thread.saw
            if saw is not None:
                _read_environment(saw, sys._getframe(1))  # noqa: SLF001

        def _consider(self, code: CodeType, called: Any) -> None:
            """Look at the calls of what is called too, if it belongs to the workflow's own code."""
            function = called.__func__ if isinstance(called, MethodType) else called
            if isinstance(function, type):
                function = vars(function).get("__init__")
            if not isinstance(function, FunctionType) or id(function.__code__) in self._homes:
                return
            _, own = self._homes.get(id(code), (code, None))
            file = function.__code__.co_filename
            if own is not None and not is_library(file) and home(function.__globals__, file) == own:
                self._follow(function.__code__, own)

    _monitor = _Monitor()


def _read_environment(saw: Saw, frame: FrameType) -> None:
    reader = environment_reader(frame)
    if reader is not None:
        saw(ENVIRONMENT_NAME, PROCESS_STATE, reader)


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and the comprehensions in it, which are run without being called."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType) and constant.co_name in _COMPREHENSIONS:
            yield from _codes(constant)
