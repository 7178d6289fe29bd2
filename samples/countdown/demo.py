"""`make demo`: start a countdown, kill the server with SIGKILL in the middle, start it again, see it finish.

Exits 0 only if everything that is claimed on the way was checked.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _server import Server, say, temporary_folder

EXECUTION = "countdown-demo"


class Countdown:
    """The running demo: the server, and what was announced so far."""

    def __init__(self, server: Server, log: Path, numbers: int) -> None:
        self.server = server
        self._log = log
        self._numbers = numbers
        self._shown = 0

    def announced(self) -> list[int]:
        """Return the numbers that steps really announced, in order: each run of the step appends one."""
        return [int(line) for line in self._log.read_text().split()] if self._log.exists() else []

    def recorded(self) -> int:
        """Return how many steps are on record: odd children are steps, even ones sleeps."""
        ids = [f"{EXECUTION}:{2 * index + 1}" for index in range(self._numbers)]
        return sum(self.server.promise(one) is not None for one in ids)

    def show(self) -> None:
        """Print what was announced since the last time."""
        for number in self.announced()[self._shown :]:
            self._shown += 1
            print(f"    {number}...", flush=True)

    def has_recorded(self, count: int) -> bool | None:
        """Show progress; True once so many steps are on record."""
        self.show()
        return True if self.recorded() >= count else None

    def state(self) -> str | None:
        """Show progress; return how the execution ended, None while it goes on."""
        found = self.server.promise(EXECUTION, wait_s=1)
        self.show()
        return None if found is None or found["state"] == "pending" else str(found["state"])


def demonstrate(folder: Path, numbers: int, every: float, kill_after: int) -> None:
    log = folder / "announced"
    say("start the dev server on one SQLite file")
    workflows = Path(__file__).with_name("workflows.py")
    with Server(workflows, folder, environment={"COUNTDOWN_LOG": str(log)}) as server:
        demo = Countdown(server, log, numbers)
        say(f"POST /invoke/countdown: {numbers} numbers, one every {every} s")
        server.invoke("countdown", EXECUTION, numbers, every)
        server.until(lambda: demo.has_recorded(kill_after), "no progress")
        before = demo.announced()
        say(f"kill -9 the server; on record by now: {demo.recorded()} steps")
        server.kill()
        say("start it again on the same file")
        server.restart()
        assert server.until(demo.state, "it did not finish in time") == "resolved"
        say(f"result: {server.result(EXECUTION)}")
        told = demo.announced()
        assert told[: len(before)] == before
        assert [told.count(number) for number in before] == [1] * len(before), told
        assert sorted(set(told), reverse=True) == list(range(numbers, 0, -1)), told
        say(f"the {len(before)} steps on record before the kill were not run again: {told}")
        server.tree(EXECUTION)
    say("done")


def main() -> None:
    parser = argparse.ArgumentParser(description="A countdown that survives a SIGKILL.")
    parser.add_argument("--numbers", type=int, default=8)
    parser.add_argument("--every", type=float, default=2.5, help="seconds between two numbers")
    parser.add_argument("--kill-after", type=int, default=3, help="steps on record before the kill")
    asked = parser.parse_args()
    with temporary_folder() as folder:
        demonstrate(folder, asked.numbers, asked.every, asked.kill_after)


if __name__ == "__main__":
    main()
