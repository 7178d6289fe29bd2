"""SIGTERM: Cloud Run gives an instance ten seconds before it kills it, enough to hand the tasks on."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType
from typing import Final

log = logging.getLogger("resonate_faas_gcp")

NUDGE: Final = signal.SIGURG
"""What asks the main thread to look: ignored by default, and used by nobody here, nor by gunicorn."""

GRACE_S: Final = 8.0
"""How long requests under way are waited for, where it is ours to end the process: below Cloud Run's ten seconds."""


class Ending:
    """Releases what this process holds when it is told to end, and then lets come what would have come.

    functions-framework imports the function before gunicorn starts its worker process, which sets its own handlers; and
    requests run in threads, which may set none. So the first request asks the main thread of its process, by a signal
    whose handler was set at import, to set ours in front of whatever is there then.

    Args:
        stop: lets the tasks be released; called in a thread of its own, since the signal may interrupt whoever holds
            its locks.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._told: SimpleQueue[None] = SimpleQueue()
        self._changed = threading.Condition()
        self._in_flight = 0
        self._pid = 0
        self._can_nudge = threading.current_thread() is threading.main_thread()
        if self._can_nudge:
            signal.signal(NUDGE, self._install)

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Heed the signal from now on, and let its consequences wait until the block has ended, some seconds at most."""
        self._heed()
        with self._changed:
            self._in_flight += 1
        try:
            yield
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def _heed(self) -> None:
        """Ask the main thread of this process to set the handler; only the first request of a process does."""
        if not self._can_nudge or self._pid == os.getpid():
            return
        with self._changed:
            if self._pid == os.getpid():
                return
            self._pid = os.getpid()
        main = threading.main_thread()
        if main.ident is not None:
            signal.pthread_kill(main.ident, NUDGE)

    def _install(self, number: int, frame: FrameType | None) -> None:
        """Set our handler in front of the one that is there; runs in the main thread."""
        del number, frame
        before = signal.getsignal(signal.SIGTERM)
        threading.Thread(target=self._wait, args=(before,), name="resonate-ending", daemon=True).start()

        def told(number: int, frame: FrameType | None) -> None:
            self._told.put(None)  # safe to do even where the signal interrupted this very queue
            if callable(before):
                before(number, frame)
            elif before is signal.SIG_DFL:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)

        signal.signal(signal.SIGTERM, told)
        signal.siginterrupt(signal.SIGTERM, False)  # noqa: FBT003 - takes no names

    def _wait(self, before: object) -> None:
        """Release when told; where nobody else ends the process, do that too."""
        self._told.get()
        try:
            self._stop()
        except Exception:  # whatever is wrong, the process must end
            log.exception("tasks not released")
        if before is signal.SIG_DFL:
            with self._changed:
                self._changed.wait_for(lambda: self._in_flight == 0, GRACE_S)
            os.kill(os.getpid(), signal.SIGTERM)
