"""What the tests of the command line are made of: the program in this process or its own, and a real dev server."""

from __future__ import annotations

import itertools
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from resonate_faas_cli._app import build

SHOP = Path(__file__).with_name("shop.py")
PROGRAM = (sys.executable, "-P", "-m", "resonate_faas_cli")
BOUND_S = 30.0
APP = build()
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The failure that ``--json`` writes."""
        return json.loads(self.err)["error"]


@dataclass(frozen=True)
class Cli:
    """The command line in this process; its requests are real ones."""

    url: str
    env: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *args: str) -> Ran:
        env = {"RESONATE_FAAS_URL": self.url, "RESONATE_FAAS_TOKEN": None, **self.env}
        result = CliRunner(env=env).invoke(APP, list(args), prog_name="resonate-faas")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    def ok(self, *args: str) -> Ran:
        """Run a command that must succeed."""
        ran = self(*args)
        assert ran.code == 0, ran
        return ran

    def process(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start the command in a process of its own."""
        return subprocess.Popen(
            [*PROGRAM, *args],
            env=environment(RESONATE_FAAS_URL=self.url, **(env or {})),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def environment(**more: str) -> dict[str, str]:
    """The environment of a process: ours, without what would steer the command line."""
    steering = ("RESONATE_FAAS_", "NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS", "LINES")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(steering)}
    return {**kept, "TERM": "xterm-256color", **more}


def ended(process: subprocess.Popen[str]) -> Ran:
    """Wait for a process; it is killed if it takes too long."""
    try:
        out, err = process.communicate(timeout=BOUND_S)
    finally:
        process.kill()
    return Ran(process.returncode, out, err)


def eventually(condition: Callable[[], Any]) -> Any:
    """Return what the condition gives as soon as it is true of anything; fail after a bounded time."""
    until = time.monotonic() + BOUND_S
    while not (found := condition()):
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.02)
    return found


def fresh(name: str = "x") -> str:
    """An id that no other test uses."""
    return f"{name}-{next(_NUMBERS)}"


@contextmanager
def serving(db: Path, *options: str, app: Path = SHOP) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run ``resonate-faas dev`` on the file; give the process and its URL."""
    process = subprocess.Popen(
        [*PROGRAM, "dev", str(app), "--db", str(db), *options],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        ready, _, _ = select.select([process.stdout], [], [], BOUND_S)
        assert ready, "the dev server did not start"
        url = process.stdout.readline().strip()
        assert url.startswith("http://"), (url, process.poll())
        yield process, url
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
