"""Real processes over one file, killed with SIGKILL, and what must hold after each death."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, Queue
from random import Random
from threading import Thread

from resonate_faas._machine.objects import Promise, PromiseObject, PromiseState
from resonate_faas_local import SqliteStore

SCRIPT = Path(__file__).with_name("journey.py")
PATIENCE_S = 60.0
"""Never reached by a test that passes."""


class Process:
    """One process of ``journey.py``, or of another program of its kind; a thread reads what it tells."""

    def __init__(
        self, db: Path, log: Path, lease_ms: int, ids: tuple[str, ...], *, script: Path = SCRIPT
    ) -> None:
        command = [sys.executable, "-P", str(script), str(db), str(log), str(lease_ms), *ids]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
        )
        self._told: Queue[str | None] = Queue()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._told.put(line.strip())
        self._told.put(None)

    def hear(self, lines: int) -> bool:
        """Wait until the process told so many lines more; False: it ended before."""
        deadline = time.monotonic() + PATIENCE_S
        for _ in range(lines):
            try:
                told = self._told.get(timeout=max(deadline - time.monotonic(), 0.001))
            except Empty:
                raise AssertionError(f"no word for {PATIENCE_S} s: {self.kill()}") from None
            if told is None:
                self._told.put(None)
                return False
        return True

    def kill(self) -> str:
        """SIGKILL: no clean-up, no last words; return what it had written to standard error."""
        self._process.kill()
        return self.end()

    def end(self) -> str:
        """Wait for the end; return what it wrote to standard error."""
        assert self._process.stderr is not None
        errors = self._process.stderr.read()
        self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()
        return errors

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode


@dataclass
class Witness:
    """Looks at the file and the log between deaths, and remembers.

    Attributes:
        settled: every promise that was ever seen settled, as it was.
        log_read: bytes of the log that were read.
        runs: how often each step ran.
    """

    db: Path
    log: Path
    settled: dict[str, Promise] = field(default_factory=dict)
    log_read: int = 0
    runs: Counter[str] = field(default_factory=Counter)
    attempts: dict[str, list[int]] = field(default_factory=dict)

    def look(self) -> None:
        """Check that what was settled is settled as it was, and that nothing on record ran again."""
        for step_id, attempt in self._new_lines():
            assert step_id not in self.settled, f"{step_id} ran again after its result was on record"
            earlier = self.attempts.setdefault(step_id, [])
            assert attempt >= max(earlier, default=1), f"{step_id} lost count: {attempt} after {earlier}"
            earlier.append(attempt)
            self.runs[step_id] += 1
        found = self.promises()
        for promise_id, promise in self.settled.items():
            assert found.get(promise_id) == promise, f"the record of {promise_id} changed"
        self.settled = {
            promise_id: promise
            for promise_id, promise in found.items()
            if promise.state is not PromiseState.PENDING
        }
        self._absorb()

    def _absorb(self) -> None:
        """Count what ran while the file was read: it may have been recorded in that very time."""
        for step_id, attempt in self._new_lines():
            self.attempts.setdefault(step_id, []).append(attempt)
            self.runs[step_id] += 1

    def _new_lines(self) -> list[tuple[str, int]]:
        data = self.log.read_bytes()[self.log_read :] if self.log.exists() else b""
        data = data[: data.rfind(b"\n") + 1]
        self.log_read += len(data)
        return [
            (name, int(attempt)) for name, attempt in (line.split() for line in data.decode().splitlines())
        ]

    def promises(self) -> dict[str, Promise]:
        """Return every promise in the file, without those that wait for it: they are told after it has settled."""
        if not self.db.exists():
            return {}
        store = SqliteStore(self.db)
        try:
            found = store.search("promise", limit=1_000)
        finally:
            store.close()
        kept = (one.promise for one in found if isinstance(one, PromiseObject))
        return {one.id: replace(one, callbacks=(), listeners=()) for one in kept}


def pause(moment: Random, longest_s: float) -> None:
    """Let a random moment pass before a kill: the test is about exactly that, it waits for nothing."""
    time.sleep(moment.uniform(0, longest_s))
