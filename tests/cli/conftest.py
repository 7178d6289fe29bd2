"""A real dev server in a process of its own, and the command line against it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cli.terminal import Cli, serving


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("cli") / "state.db", "--port", "0") as (_, url):
        yield url


@pytest.fixture
def cli(server_url: str) -> Cli:
    return Cli(server_url)
