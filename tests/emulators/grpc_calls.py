"""gRPC interceptors for tests: one adds metadata to each call, one counts calls and may let them go wrong."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import grpc


class _Details(NamedTuple):
    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Metadata(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):  # type: ignore[misc]
    def __init__(self, metadata: tuple[tuple[str, str], ...]) -> None:
        self._metadata = metadata

    def _extended(self, call: Callable[..., Any], details: Any, request: Any) -> Any:
        metadata = (*(details.metadata or ()), *self._metadata)
        return call(
            _Details(details.method, details.timeout, metadata, details.credentials, None, None), request
        )

    intercept_unary_unary = intercept_unary_stream = _extended


def with_metadata(metadata: tuple[tuple[str, str], ...]) -> Any:
    """Return an interceptor that adds metadata to each call."""
    return _Metadata(metadata)


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
