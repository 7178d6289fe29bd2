"""The worlds of the worker tests."""

from __future__ import annotations

from tests.worker.conftest import skipping, world

__all__ = ["skipping", "world"]
