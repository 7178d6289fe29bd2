"""The store in memory keeps the contract of stores."""

from __future__ import annotations

import pytest

from resonate_faas.testing import MemoryStore, StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()
