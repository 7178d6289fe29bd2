"""The calls of an activation that are not settled, and when time alone would end them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

from resonate_faas._engine.calls import Call


class Pending:
    """Unsettled calls by id, and a heap of the deadlines that this activation must enforce itself."""

    def __init__(self) -> None:
        self._calls: dict[str, Call[Any]] = {}
        self._deadlines: list[tuple[int, str]] = []
        self.get = self._calls.get

    def __contains__(self, promise_id: str) -> bool:
        return promise_id in self._calls

    def add(self, call: Call[Any], promise_id: str | None = None) -> None:
        """Know a call by its id, or by the id of another promise whose record it must be told of."""
        self._calls[promise_id or call.id] = call

    def drop(self, promise_id: str) -> None:
        """Forget a call that is settled, or does not wait for this promise any more."""
        del self._calls[promise_id]

    def watch(self, call: Call[Any]) -> None:
        """Enforce a call's own deadline."""
        heapq.heappush(self._deadlines, (call.timeout_at, call.id))

    def next_deadline(self) -> int | None:
        """Return the earliest deadline to enforce, epoch milliseconds."""
        while self._deadlines and self._deadlines[0][1] not in self._calls:
            heapq.heappop(self._deadlines)  # it ended before its time
        return self._deadlines[0][0] if self._deadlines else None

    def expired(self, now_ms: int) -> Iterator[Call[Any]]:
        """Yield the calls whose deadline has passed, each once."""
        while self._deadlines and self._deadlines[0][0] <= now_ms:
            call = self._calls.get(heapq.heappop(self._deadlines)[1])
            if call is not None and not call.abandoned:
                yield call
