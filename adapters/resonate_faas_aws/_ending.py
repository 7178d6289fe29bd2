"""SIGTERM: Lambda gives a process up to half a second before it kills it, enough to hand the tasks on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Ending:
    """Releases what this process holds when it is told to end while it works.

    Between invocations nothing is held, and the signal does what it always did.

    Args:
        stop: releases the tasks; called in a thread of its own, since the signal may interrupt whoever holds its locks.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self.is_told = False

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Heed the signal while the block runs; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGTERM)

        def told(number: int, frame: FrameType | None) -> None:
            self.is_told = True
            threading.Thread(target=self._stop, name="resonate-ending", daemon=True).start()
            if callable(before):
                before(number, frame)

        signal.signal(signal.SIGTERM, told)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)
