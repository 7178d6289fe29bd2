"""functions-framework as a real process: gunicorn with one worker process and threads, as the platform runs it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import httpx

HERE = Path(__file__).parent
THREADS = 12
PATIENCE_S = 60.0
LOOK_S = 0.01
_PROGRAM = Path(sys.executable).parent / "functions-framework"


def free_port() -> int:
    """Return a port that is free at the moment."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


class Framework:
    """One instance of a function.

    Args:
        code: the folder of the business code.
        variables: of its environment.
        log: a file for what it writes.
        port: where it listens.
        plain: not functions-framework's own server, but one that sets no signal handlers.
    """

    def __init__(
        self, code: Path, variables: Mapping[str, str], log: Path, port: int, *, plain: bool = False
    ) -> None:
        self.log = log
        self.port = port
        self._command = [
            *(str(_PROGRAM), "--target", "handler", "--source", str(HERE / "cloud_function.py")),
            *("--host", "127.0.0.1", "--port", str(port)),
        ]
        if plain:
            self._command = [sys.executable, "-P", str(HERE / "plain_server.py"), str(port)]
        self._environment = {
            **os.environ,
            "PYTHONPATH": f"{HERE}:{code}",
            "THREADS": str(THREADS),
            **variables,
        }
        self._start()

    def _start(self) -> None:
        with self.log.open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._environment, start_new_session=True
            )

    def wait_ready(self) -> Self:
        """Wait until it answers."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{self.port}/health").status_code == 200:
                    return self
            time.sleep(LOOK_S)
        raise AssertionError(f"the function did not start:\n{self.told()}")

    def worker(self) -> int:
        """Return the process in which the function runs: gunicorn's child."""
        deadline = time.monotonic() + PATIENCE_S
        master = self.process.pid
        while time.monotonic() < deadline:
            children = Path(f"/proc/{master}/task/{master}/children").read_text(encoding="ascii").split()
            if children:
                return int(children[0])
            time.sleep(LOOK_S)
        raise AssertionError(f"no worker process:\n{self.told()}")

    def kill(self) -> None:
        """SIGKILL the process in which the function runs: no clean-up, no last words. gunicorn starts another."""
        os.kill(self.worker(), signal.SIGKILL)

    def kill_all(self) -> None:
        """SIGKILL the whole instance, and start another at the same place."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        self._start()

    def terminate(self) -> None:
        """SIGTERM, as the platform ends an instance; wait until it has gone."""
        self.process.terminate()
        self.process.wait(PATIENCE_S)

    def told(self) -> str:
        """Return the end of what it wrote."""
        return self.log.read_text(encoding="utf-8")[-4_000:] if self.log.exists() else ""

    def close(self) -> None:
        """SIGKILL whatever is left of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)
