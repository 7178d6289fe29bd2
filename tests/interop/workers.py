"""`resonate-faas worker` in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop.programs import elsewhere

PROGRAM = Path(sys.executable).with_name("resonate-faas")


class Worker:
    """`resonate-faas worker` in a process of its own."""

    def __init__(self, url: str, group: str, log: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [
                *(str(PROGRAM), "worker", elsewhere.__file__, "--group", group, "--url", url),
                *("--lease", "4", *options),
            ],
            stdout=subprocess.PIPE,
            text=True,
            env={"PATH": "", "STEPS_LOG": str(log)},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith(url):
            self.end(signal.SIGKILL)
            raise AssertionError(f"the worker did not connect: {line!r}")

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        try:
            return self.process.wait(30)
        finally:
            self.process.kill()
            assert self.process.stdout is not None
            self.process.stdout.close()


@contextmanager
def working(url: str, group: str, log: Path, *options: str) -> Iterator[Worker]:
    """Run a worker that ends in order when it is told to, unless the test has killed it."""
    worker = Worker(url, group, log, *options)
    try:
        yield worker
    finally:
        if worker.process.poll() is None:
            assert worker.end(signal.SIGTERM) == 0
