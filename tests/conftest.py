"""Shared by all tests: the shipped contracts assert as tests do."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Final

import pytest

pytest.register_assert_rewrite("resonate_faas.testing")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a shell's background job, whose children would ignore Ctrl-C too: some tests press it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

TESTS: Final = Path(__file__).parent

BEGINNINGS = {
    "interop": (),
    "aws": ("test_dynamodb_", "test_sqs_", "test_aws_"),
    "gcp": ("test_firestore_", "test_gcp_"),
}
"""By marker, the beginnings of the files that get it; those in a folder of the marker's name get it too."""

FIRST = ("test_aws_apply.py", "test_cloud_functions_kill.py", "test_firestore_kill.py")
"""Files that mostly wait, for minutes: begun last, they would be waited for alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is of one cloud, or of the official SDKs: `make test-aws`, `test-gcp`, `test-interop`."""
    for item in items:
        for marker, beginnings in BEGINNINGS.items():
            if marker in item.path.parts[len(TESTS.parts) :] or item.path.name.startswith(beginnings):
                item.add_marker(marker)
