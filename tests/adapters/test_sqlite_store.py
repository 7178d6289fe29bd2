"""The SQLite store keeps the contract of stores, with a sync at each commit as it ships."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from resonate_faas.testing import StoreContract
from resonate_faas_local import SqliteStore


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[SqliteStore]:
        store = SqliteStore(tmp_path / "store.db")
        yield store
        store.close()
