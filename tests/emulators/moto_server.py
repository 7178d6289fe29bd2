"""moto's DynamoDB in a process of its own, one request at a time: its threaded server loses acknowledged updates.

A second opinion on the requests; never for tests of concurrency.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.emulators.ministack import Emulator, free_port, stop, wait_ready

_PROGRAM = Path(__file__).with_name("moto_program.py")


def found_or_skip() -> None:
    """Skip with one loud line where moto is missing, and fail where CI must have it."""
    if find_spec("moto") is not None and find_spec("flask_cors") is not None:
        return
    reason = "NOT TESTED against moto: it is not installed (pip install 'moto[dynamodb]' flask-cors)"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Emulator]:
    """Run a server for a while."""
    port = free_port()
    path = folder / "moto.log"
    with path.open("w", encoding="utf-8") as log:
        command = [sys.executable, "-P", str(_PROGRAM), str(port)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_ready(process, f"{url}/moto-api/data.json", path)
        yield Emulator(url)
    finally:
        stop(process)
