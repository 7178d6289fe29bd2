"""What the samples' scripts share: a dev server on a free port, as a process of its own, and how to talk to it.

A script in a sample's folder imports it with ``sys.path`` extended by the folder above.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx

CLI: Final = (sys.executable, "-P", "-m", "resonate_faas_cli")
PATIENCE_S: Final = 55.0
"""A sample that takes longer has failed."""

T = TypeVar("T")


class Server:
    """The dev server on a free port over one SQLite file in a folder; a context manager.

    Args:
        target: the file with the workflows.
        folder: for the SQLite file and the log.
        environment: variables for the workflows.
    """

    def __init__(self, target: Path, folder: Path, *, environment: Mapping[str, str] | None = None) -> None:
        self._command = [*CLI, "dev", str(target), "--port", "0", "--db", str(folder / "sample.db")]
        self._environment = {**os.environ, **(environment or {}), "PYTHONUNBUFFERED": "1"}
        self._log = folder / "server.log"
        self._deadline = time.monotonic() + PATIENCE_S
        self.url = ""
        self._process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        with self._log.open("a") as log:
            process = subprocess.Popen(  # noqa: S603 - our own command
                self._command, stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment
            )
        assert process.stdout is not None
        for line in process.stdout:
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found:
                self.url = found.group()
                return process
        process.wait()
        raise SystemExit(f"the dev server did not start:\n{self.log()}")

    def log(self) -> str:
        """Return what it logged."""
        return self._log.read_text(encoding="utf-8")

    def kill(self) -> None:
        """SIGKILL: no clean-up, no last words."""
        self._process.kill()
        self._end()

    def restart(self) -> None:
        """Start again on the same file; the port is another."""
        self._process = self._start()

    def stop(self) -> None:
        """End it cleanly."""
        self._process.terminate()
        self._end()

    def _end(self) -> None:
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def invoke(self, function: str, promise_id: str, *args: Any, **kwargs: Any) -> None:
        """Start an execution over its HTTP trigger."""
        body = {"id": promise_id, "args": args, "kwargs": kwargs}
        answer = httpx.post(f"{self.url}/invoke/{function}", json=body)
        assert answer.status_code == 202, answer.text

    def promise(self, promise_id: str, *, wait_s: int = 0) -> dict[str, Any] | None:
        """Return a promise, once it is settled or after the seconds; None: it does not exist."""
        url = f"{self.url}/promises/{quote(promise_id, safe='')}"
        answer = httpx.get(url, params={"wait": wait_s}, timeout=wait_s + 10)
        found: dict[str, Any] | None = answer.json() if answer.status_code == 200 else None
        return found

    def result(self, promise_id: str) -> Any:
        """Wait for an execution; return its result."""
        found = self.until(lambda: _settled(self.promise(promise_id, wait_s=1)), f"{promise_id} does not end")
        assert found["state"] == "resolved", found
        return found["value"]

    def tree(self, promise_id: str) -> None:
        """Print the call tree."""
        subprocess.run([*CLI, "tree", promise_id, "--url", self.url], check=True)  # noqa: S603 - our own command

    def until(self, look: Callable[[], T | None], failure: str) -> T:
        """Look ten times a second until there is something; return it."""
        while True:
            found = look()
            if found is not None:
                return found
            assert time.monotonic() < self._deadline, failure
            time.sleep(0.1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        if error is not None:
            print(self.log(), file=sys.stderr)


def _settled(found: dict[str, Any] | None) -> dict[str, Any] | None:
    return found if found is not None and found["state"] != "pending" else None


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give a folder that is gone afterwards."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


def say(text: str) -> None:
    """Print a headline."""
    print(f"\033[1m==> {text}\033[0m" if sys.stdout.isatty() else f"==> {text}", flush=True)
