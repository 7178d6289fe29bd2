"""ministack: DynamoDB, SQS and Lambda as a real process on this machine, started for the tests that need it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REGION = "eu-central-1"
CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}  # the emulator takes any
PATIENCE_S = 60.0
_PROGRAM = Path(sys.executable).parent / "ministack"


def found_or_skip() -> Path:
    """Return the program; without it, skip with one loud line, and fail where CI must have it."""
    if _PROGRAM.exists():
        return _PROGRAM
    reason = "NOT TESTED against DynamoDB and SQS: ministack is not installed (pip install ministack)"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class Emulator:
    """A running emulator.

    Attributes:
        url: its endpoint.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def session(self) -> Any:
        """Return a boto3 session with credentials that the emulator takes."""
        import boto3  # noqa: PLC0415 - absent where the tests skip

        return boto3.Session(region_name=REGION, **CREDENTIALS)

    def client(self, service: str, **config: Any) -> Any:
        """Return a low-level client without retries, whatever the environment says."""
        import boto3  # noqa: PLC0415 - absent where the tests skip
        from botocore.config import Config  # noqa: PLC0415

        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            config=Config(retries={"total_max_attempts": 1}, max_pool_connections=64, **config),
            **CREDENTIALS,
        )


def free_port() -> int:
    """Return a port that is free at the moment."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Emulator]:
    """Run ministack for a while; its log goes to the folder."""
    port = free_port()
    environment = {
        **os.environ,
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "127.0.0.1",
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",  # else it listens on a fixed port
        "LOG_LEVEL": "WARNING",
    }
    path = folder / "ministack.log"
    with path.open("w", encoding="utf-8") as log:
        process = subprocess.Popen([str(found_or_skip())], env=environment, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_ready(process, f"{url}/_ministack/health", path)
        yield Emulator(url)
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that was started here."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


def wait_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1):
            return
        time.sleep(0.05)
    pytest.fail(f"the emulator did not start:\n{log.read_text(encoding='utf-8')[-2_000:]}")
