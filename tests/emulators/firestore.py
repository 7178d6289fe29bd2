"""The official Firestore emulator as a real process on this machine, started for the tests that need it.

The jar is started directly: gcloud's wrapper, when it is ended, leaves Java behind.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from resonate_faas_gcp import firestore_channel

PATIENCE_S = 60.0
_JAR = Path("platform/cloud-firestore-emulator/cloud-firestore-emulator.jar")
_MAIN = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
_projects = count(1)


class FirestoreEmulator:
    """A running emulator.

    Attributes:
        address: host and port.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def channel(self) -> Any:
        """Return a new channel."""
        return firestore_channel(self.address)

    def project(self) -> str:
        """Return the name of a project that no test has used: it is empty."""
        return f"test-{next(_projects)}"


@cache
def running() -> FirestoreEmulator:
    """Return the emulator of this test run, started at the first call; skip without it, or fail where CI must have it."""
    jar = _found_or_skip()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = int(listening.getsockname()[1])
    folder = tempfile.mkdtemp(prefix="firestore-emulator-")
    path = Path(folder) / "log"
    command = ["java", "-Duser.language=en", "-Xmx1g", "-cp", str(jar), _MAIN, "start", "--host=127.0.0.1"]
    with path.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [*command, f"--port={port}", "--database-mode=firestore-native"],
            stdout=log,
            stderr=log,
            cwd=folder,
        )
    atexit.register(_stop, process, folder)
    _wait_ready(process, f"http://127.0.0.1:{port}/", path)
    return FirestoreEmulator(f"127.0.0.1:{port}")


def _found_or_skip() -> Path:
    gcloud, reason = shutil.which("gcloud"), "gcloud or java is not installed"
    if gcloud and shutil.which("java"):
        command = [gcloud, "info", "--format=value(installation.sdk_root)"]
        root = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        jar = Path(root) / _JAR
        if jar.exists():
            return jar
        reason = "gcloud's component cloud-firestore-emulator is not installed"
    reason = f"NOT TESTED against Firestore: {reason}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _wait_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1):
            return
        time.sleep(0.1)
    pytest.fail(f"the Firestore emulator did not start:\n{log.read_text(encoding='utf-8')[-2_000:]}")


def _stop(process: subprocess.Popen[bytes], folder: str) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
    shutil.rmtree(folder, ignore_errors=True)
