"""Shared by all tests: the shipped contracts assert as tests do."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("resonate_faas.testing")
