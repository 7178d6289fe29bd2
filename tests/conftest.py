"""Shared by all tests: the shipped contracts assert as tests do."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("resonate_faas.testing")

CLOUD = ("test_dynamodb_", "test_sqs_", "test_firestore_")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs an emulator of a cloud: `make test-cloud` runs it, `make test` leaves it out."""
    for item in items:
        if item.path.name.startswith(CLOUD):
            item.add_marker(pytest.mark.cloud)
