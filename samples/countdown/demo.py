"""`make demo`: start a countdown, kill the server with SIGKILL in the middle, start it again, see it finish.

Exits 0 only if everything that is claimed on the way was checked.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

HERE = Path(__file__).parent
CLI = Path(sys.executable).parent / "resonate-faas"
EXECUTION = "countdown-demo"
NUMBERS = 8
EVERY_S = 2.5
KILL_AFTER = 3
PATIENCE_S = 55.0


class Server:
    """The dev server on a free port, as a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        environment = {**os.environ, "COUNTDOWN_LOG": str(self._folder / "announced"), "PYTHONUNBUFFERED": "1"}
        command = [str(CLI), "dev", str(HERE / "workflows.py"), "--port", "0"]
        self._process = subprocess.Popen(
            [*command, "--db", str(self._folder / "demo.db")],
            stdout=subprocess.PIPE,
            stderr=(self._folder / "server.log").open("a"),
            text=True,
            env=environment,
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found:
                self.url = found.group()
                return self._process
        raise SystemExit(f"the dev server did not start:\n{(self._folder / 'server.log').read_text()}")

    def kill(self) -> None:
        """SIGKILL: no clean-up, no last words."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def restart(self) -> None:
        """Start again on the same file."""
        self._start()

    def stop(self) -> None:
        """End it cleanly."""
        self._process.terminate()
        self._process.wait()


def say(text: str) -> None:
    print(f"\033[1m==> {text}\033[0m" if sys.stdout.isatty() else f"==> {text}", flush=True)


def announced(folder: Path) -> list[int]:
    """Return the numbers that steps really announced, in order: each run of the step appends one."""
    log = folder / "announced"
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def recorded(server: Server) -> list[str]:
    """Return the ids of the steps whose result is on record: odd children are steps, even ones sleeps."""
    ids = [f"{EXECUTION}:{2 * index + 1}" for index in range(NUMBERS)]
    found = [httpx.get(f"{server.url}/promises/{one.replace(':', '%3A')}") for one in ids]
    return [one for one, response in zip(ids, found, strict=True) if response.status_code == 200]


def demonstrate(folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    say("start the dev server on one SQLite file")
    server = Server(folder)
    try:
        say(f"POST /invoke/countdown: {NUMBERS} numbers, one every {EVERY_S} s")
        answer = httpx.post(f"{server.url}/invoke/countdown", json={"id": EXECUTION, "args": [NUMBERS, EVERY_S]})
        assert answer.status_code == 202, answer.text
        shown = 0
        while len(recorded(server)) < KILL_AFTER:
            assert time.monotonic() < deadline, "no progress"
            for number in announced(folder)[shown:]:
                shown += 1
                print(f"    {number}...", flush=True)
            time.sleep(0.1)
        before = announced(folder)
        say(f"kill -9 the server; on record by now: {len(recorded(server))} steps")
        server.kill()
        say("start it again on the same file")
        server.restart()
        while True:
            state = httpx.get(f"{server.url}/promises/{EXECUTION}", params={"wait": 1}, timeout=10).json()
            for number in announced(folder)[shown:]:
                shown += 1
                print(f"    {number}...", flush=True)
            if state["state"] != "pending":
                break
            assert time.monotonic() < deadline, "it did not finish in time"
        assert state["state"] == "resolved", state
        say(f"result: {state['value']}")
        numbers = announced(folder)
        assert numbers[: len(before)] == before
        assert [numbers.count(number) for number in before] == [1] * len(before), numbers
        assert sorted(set(numbers), reverse=True) == list(range(NUMBERS, 0, -1)), numbers
        say(f"the {len(before)} steps on record before the kill were not run again: {numbers}")
        tree = [str(CLI), "tree", EXECUTION, "--url", server.url]
        subprocess.run(tree, check=True)
    finally:
        server.stop()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            demonstrate(Path(folder))
        except BaseException:
            print((Path(folder) / "server.log").read_text(), file=sys.stderr)
            raise
    say("done")


if __name__ == "__main__":
    main()
