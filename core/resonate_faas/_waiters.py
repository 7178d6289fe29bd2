"""Who in this process waits for which promise."""

from __future__ import annotations

import threading


class Waiters:
    """Woken by a settlement that this process makes. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: dict[str, list[threading.Event]] = {}
        self.are_dismissed = False

    def dismiss(self) -> None:
        """Wake everybody, for good."""
        with self._lock:
            self.are_dismissed = True
            for events in self._events.values():
                for event in events:
                    event.set()

    def waiting(self, promise_id: str) -> Waiting:
        """Return a registration, to be used as a context manager; it gives the event to wait for."""
        return Waiting(self, promise_id)

    def add(self, promise_id: str) -> threading.Event:
        """Register an event."""
        event = threading.Event()
        with self._lock:
            self._events.setdefault(promise_id, []).append(event)
        return event

    def remove(self, promise_id: str, event: threading.Event) -> None:
        """Forget an event."""
        with self._lock:
            events = self._events.get(promise_id, [])
            events.remove(event)
            if not events:
                del self._events[promise_id]

    def tell(self, promise_id: str) -> None:
        """Wake those who wait for this promise."""
        with self._lock:
            for event in self._events.get(promise_id, ()):
                event.set()


class Waiting:
    """A registered waiter, as a context manager."""

    def __init__(self, waiters: Waiters, promise_id: str) -> None:
        self._waiters, self._promise_id = waiters, promise_id

    def __enter__(self) -> threading.Event:
        self._event = self._waiters.add(self._promise_id)
        return self._event

    def __exit__(self, *_: object) -> None:
        self._waiters.remove(self._promise_id, self._event)
