"""Worlds over both stores of the laptop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.worker.kit import World

from resonate_faas_local import SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A world whose clock only the test moves."""
    yield from _world(request.param, tmp_path, auto=False)


@pytest.fixture(params=["memory", "sqlite"])
def skipping(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A world whose clock moves on when the test's own thread waits."""
    yield from _world(request.param, tmp_path, auto=True)


def _world(kind: str, folder: Path, *, auto: bool) -> Iterator[World]:
    sqlite = SqliteStore(folder / "test.db", synchronous="NORMAL") if kind == "sqlite" else None
    world = World(sqlite, auto=auto)
    yield world
    world.close()
    if sqlite is not None:
        sqlite.close()
