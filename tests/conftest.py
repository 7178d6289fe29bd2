"""Shared by all tests: the shipped contracts assert as tests do."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

pytest.register_assert_rewrite("resonate_faas.testing")

TESTS: Final = Path(__file__).parent

CLOUDS = {
    "aws": ("test_dynamodb_", "test_sqs_", "test_aws_"),
    "gcp": ("test_firestore_", "test_gcp_"),
}
"""By marker, the beginnings of the files that belong to a cloud; a folder of the marker's name does too."""

FIRST = ("test_aws_apply.py", "test_cloud_functions_kill.py", "test_firestore_kill.py")
"""Files that mostly wait, for minutes: begun last, they would be waited for alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is of one cloud (`make test-aws`, `make test-gcp`: most of it needs an emulator); begin with the longest."""
    for item in items:
        for cloud, beginnings in CLOUDS.items():
            if cloud in item.path.parts[len(TESTS.parts) :] or item.path.name.startswith(beginnings):
                item.add_marker(cloud)
    items.sort(key=lambda item: item.path.name not in FIRST)
