"""The watch over workflows: its audit hook, what it makes of what it sees, and the three ways to take it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any, Final, Literal, get_args

from resonate_faas._engine.watch import Scene, Sighting
from resonate_faas._errors import GuardError
from resonate_faas._guards.calls import CallWatch
from resonate_faas._guards.deeds import EVENTS, Deed
from resonate_faas._guards.places import culprit, is_table, line_of

Guard = Literal["warn", "error", "off"]
"""What becomes of a workflow that does what a replay can't repeat: a warning, an end, nothing."""

GUARDS: Final[tuple[Guard, ...]] = get_args(Guard)
PLACES_MAX: Final = 1_000
"""Places that one process reports; code has fewer calls than that, unless it is made at run time."""
WARNING: Final = 30

Log = Callable[[int, str, Mapping[str, Any]], None]


class _Thread(threading.local):
    """The watch of the workflow that this thread runs right now."""

    watch: GuardWatch | None = None
    scene: Scene | None = None


_thread = _Thread()
_lock = threading.Lock()
_is_hooked = False


class GuardWatch:
    """Watches workflows on the threads that run them: one for a node.

    Args:
        guard: warn or error.
        log: takes (level, event, fields).
    """

    def __init__(self, guard: Guard, log: Log) -> None:
        self._is_strict = guard == "error"
        self._log = log
        self._seen: dict[tuple[str, str], Sighting] = {}
        self._by_function: dict[str, list[Sighting]] = {}
        self._calls = CallWatch(self._saw_call, is_strict=self._is_strict)
        _hook()

    def enter(self, scene: Scene) -> None:
        """Watch this thread from now on."""
        _thread.watch, _thread.scene = self, scene
        self._calls.enter(scene.routine)

    def leave(self) -> None:
        """Watch this thread no more."""
        self._calls.leave()
        _thread.watch = _thread.scene = None

    def seen(self, function: str) -> Sequence[Sighting]:
        """Return what this process has seen of a workflow, the latest last."""
        return self._by_function.get(function, ())

    def _saw_event(self, event: str, deed: Deed, frame: FrameType | None) -> None:
        self._look(deed, event, frame)

    def _saw_call(self, name: str, deed: Deed, frame: FrameType | None) -> None:
        if _thread.watch is self:
            self._look(deed, name, frame)

    def _look(self, deed: Deed, name: str, frame: FrameType | None) -> None:
        """Report what a workflow did, once a place; or refuse it.

        Raises:
            GuardError: if so set; the workflow can't go on, whatever it makes of it.
        """
        scene, _thread.watch = _thread.scene, None  # what is done here is not the workflow's
        try:
            place = culprit(frame)
            if place is not None and scene is not None:
                self._take(scene, Sighting(what=f"{deed.what} ({name})", line=line_of(place), cure=deed.cure))
        finally:
            _thread.watch = self

    def _take(self, scene: Scene, sighting: Sighting) -> None:
        key = (sighting.what, sighting.line)
        with _lock:
            is_new = key not in self._seen and len(self._seen) < PLACES_MAX
            if is_new:
                self._seen[key] = sighting
                self._by_function.setdefault(scene.function, []).append(sighting)
        if self._is_strict:
            refusal = GuardError(
                scene.promise_id, scene.function, sighting.what, sighting.line, sighting.cure
            )
            scene.refuse(refusal)
            raise refusal
        if is_new:
            fields = {
                "promise_id": scene.promise_id,
                "function": scene.function,
                "does": sighting.what,
                "line": sighting.line,
                "cure": sighting.cure,
            }
            self._log(WARNING, "workflow is not deterministic", fields)


def watch_of(guard: Guard, log: Log) -> GuardWatch | None:
    """Return the watch of a node; None: guards are off."""
    return None if guard == "off" else GuardWatch(guard, log)


def _hook() -> None:
    """Add the audit hook, once a process: it can't be taken away again."""
    global _is_hooked  # noqa: PLW0603 - so is the hook
    with _lock:
        if not _is_hooked:
            sys.addaudithook(_audit)
            _is_hooked = True


def _audit(event: str, args: tuple[Any, ...]) -> None:
    deed = EVENTS.get(event)
    if deed is not None:
        watch = _thread.watch
        if watch is not None and not (event == "open" and is_table(args[0])):
            watch._saw_event(event, deed, sys._getframe(1))  # noqa: SLF001
