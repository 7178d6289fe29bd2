"""A dev server in a process of its own, over real HTTP; started, killed and started again by tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx

APP: Final = Path(__file__).with_name("dev_app.py")
PATIENCE_S: Final = 30.0
T = TypeVar("T")


def until(what: Callable[[], T | None], within_s: float = PATIENCE_S) -> T:
    """Return what is found, looking again and again; fail when it is not found in time."""
    deadline = time.monotonic() + within_s
    while True:
        found = what()
        if found:
            return found
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within_s} s: {what}")
        time.sleep(0.02)


class DevServer:
    """One process; its folder holds the database and the log of steps."""

    def __init__(self, folder: Path, *options: str, app: Path = APP) -> None:
        self.folder = folder
        self.steps_log = folder / "steps"
        self.errors = folder / "stderr"
        command = [
            sys.executable,
            "-m",
            "resonate_faas_local",
            str(app),
            "--port",
            "0",
            "--db",
            str(folder / "db"),
        ]
        with self.errors.open("a") as errors:
            self.process = subprocess.Popen(
                [*command, *options],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, "STEPS_LOG": str(self.steps_log)},
            )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://"), self.errors.read_text()
        self.http = httpx.Client(base_url=self.url, timeout=30.0)

    def banner(self, lines: int) -> list[str]:
        """Return the next lines of the banner."""
        assert self.process.stdout is not None
        return [self.process.stdout.readline().strip() for _ in range(lines)]

    def invoke(self, function: str, *args: Any, id: str) -> httpx.Response:  # noqa: A002 - the wire's name
        return self.http.post(f"/invoke/{function}", json={"id": id, "args": list(args)})

    def get(self, promise_id: str, *, wait: float = 0) -> dict[str, Any]:
        answer = self.http.get(f"/promises/{promise_id}", params={"wait": wait} if wait else {})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def result(self, promise_id: str) -> Any:
        """Return the value of an execution, waiting for its end; fail if there is none."""

        def settled() -> dict[str, Any] | None:
            found = self.get(promise_id, wait=5)
            return None if found["state"] == "pending" else found

        found = until(settled)
        assert found["state"] == "resolved", found
        return found["value"]

    def steps(self) -> list[str]:
        """Return the lines that steps have left, of all servers on this folder."""
        return self.steps_log.read_text().splitlines() if self.steps_log.exists() else []

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; return the exit status."""
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


@contextmanager
def dev_server(folder: Path, *options: str, app: Path = APP) -> Iterator[DevServer]:
    """Run a dev server; killed at the end if the test has not ended it."""
    server = DevServer(folder, *options, app=app)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)
