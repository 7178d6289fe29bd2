"""`resonate-faas worker` in a process of its own."""

from __future__ import annotations

import subprocess
import sys
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
        assert self.process.stdout.readline().startswith(url)

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        status = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status
