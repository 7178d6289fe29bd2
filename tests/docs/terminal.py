"""A terminal for console blocks: one bash, the real command line, real dev servers on a free port."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from resonate_faas_cli._session import DEFAULT_URL

PATIENCE_S: Final = 60.0
"""Never reached by a page that is right."""

DEFAULT_PLACE: Final = DEFAULT_URL.removeprefix("http://")
_END: Final = "----end-of-command"


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Terminal:
    """Types commands into one bash, as a reader would.

    A dev server goes to the background whether the page says ``&`` or not (a reader uses a second terminal), on a free
    port, which stands in for the default one wherever a page names it. A second dev server ends the first.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._place = f"127.0.0.1:{free_port()}"
        scripts = str(Path(sys.executable).parent)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RESONATE_FAAS")},
            "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}",
            "RESONATE_FAAS_URL": f"http://{self._place}",
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "120",
            "LANG": "C.UTF-8",
        }
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._type("set -m")

    @property
    def _in(self) -> IO[str]:
        assert self._bash.stdin is not None
        return self._bash.stdin

    @property
    def _out(self) -> IO[str]:
        assert self._bash.stdout is not None
        return self._bash.stdout

    def run(self, command: str) -> str:
        """Run a command to its end, and return what it printed.

        Raises:
            AssertionError: it failed.
        """
        command = command.replace(DEFAULT_PLACE, self._place)
        if re.match(r"resonate-faas dev (?!.*--help)", command):
            return self._serve(command)
        return self._type(command)

    def _type(self, command: str) -> str:
        self._in.write(f"{command}\necho {_END} $?\n")
        self._in.flush()
        lines: list[str] = []
        for line in self._out:
            head, mark, code = line.rpartition(_END)
            if mark:
                lines.append(head)
                assert code.strip() == "0", f"{command!r} ended with {code.strip()}:\n{''.join(lines)}"
                return "".join(lines).replace(self._place, DEFAULT_PLACE)
            lines.append(line)
        raise AssertionError(f"bash is gone after {command!r}:\n{''.join(lines)}")

    def _serve(self, command: str) -> str:
        """Start a dev server and wait until it answers; return what it printed by then."""
        self._type('for job in $(jobs -p); do kill "$job" 2>/dev/null; wait "$job"; done; true')
        self._wait_until(lambda: not self._answers(), "the earlier dev server goes on")
        command = command.partition(" #")[0].rstrip().removesuffix("&").rstrip()
        log = self._folder / "dev-server.log"
        port = self._place.rpartition(":")[2]
        command = re.sub(r" --port \d+", "", command)
        self._type(f"{command} --port {port} >{shlex.quote(str(log))} 2>&1 &")
        self._wait_until(lambda: self._answers() or self._is_gone(), "the dev server does not answer")
        assert self._answers(), log.read_text(encoding="utf-8")
        return log.read_text(encoding="utf-8").replace(self._place, DEFAULT_PLACE)

    def _is_gone(self) -> bool:
        return not self._type("jobs -pr").strip()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self._place}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    @staticmethod
    def _wait_until(condition: object, failure: str) -> None:
        assert callable(condition)
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, failure
            time.sleep(0.05)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the dev server, then bash."""
        if self._bash.poll() is None:
            self._in.write('for job in $(jobs -p); do kill "$job" 2>/dev/null; wait "$job"; done\nexit\n')
            self._in.flush()
        try:
            self._bash.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._bash.pid, signal.SIGKILL)
            self._bash.wait()


def matches(expected: str, printed: str) -> bool:
    """True if the output is what the page says; spaces at line ends do not count.

    ``...`` stands for anything, and on a line of its own for any number of lines, none included.
    """
    pattern = "".join(
        r"(?:[^\n]*\n)*"
        if line.strip() == "..."
        else ".*".join(map(re.escape, line.rstrip().split("..."))) + "\n"
        for line in expected.strip().splitlines()
    )
    found = "".join(f"{line.rstrip()}\n" for line in printed.strip().splitlines())
    return re.fullmatch(pattern, found, re.DOTALL) is not None
