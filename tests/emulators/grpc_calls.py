"""A gRPC interceptor that counts calls."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import grpc


class CallCounter(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):  # type: ignore[misc]
    """Counts calls by the method's bare name. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.calls: Counter[str] = Counter()

    def taken(self) -> dict[str, int]:
        """Return the counts since the last call."""
        with self._lock:
            calls, self.calls = self.calls, Counter()
        return dict(calls)

    def _counted(self, call: Callable[..., Any], details: Any, request: Any) -> Any:
        with self._lock:
            self.calls[details.method.rpartition("/")[2]] += 1
        return call(details, request)

    intercept_unary_unary = intercept_unary_stream = _counted
