"""The server of resonate-sdk's own local mode, in a process of its own (programs/official_server.py)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.interop import sdks


@contextmanager
def official(*options: str) -> Iterator[str]:
    """Run it; yield its URL."""
    command = sdks.command("official_server.py", *options)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            assert url.startswith("http://")
            yield url
        finally:
            server.kill()
