"""Lambda's side of a function: execution environments, each a process of the real runtime client behind a Runtime API.

As Lambda does, an environment takes one event at a time, is stopped when it exceeds the timeout, and is replaced when it
died. Unlike Lambda, there is a fixed number of them, and each is started before its first event comes.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PATIENCE_S = 60.0
ARN = "arn:aws:lambda:eu-central-1:000000000000:function:"
_VERSION = "/2018-06-01/runtime"


class FunctionError(Exception):
    """The invocation failed: the handler raised, the process died, or the timeout passed."""


class _RuntimeApi(BaseHTTPRequestHandler):
    """Answers one runtime client. Nagle's algorithm off and writes buffered, else each call takes 44 ms."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def do_GET(self) -> None:
        self.server.environment.is_idle.set()
        event = self.server.environment.events.get()
        if event is None:  # the process is gone
            self.close_connection = True
            return
        body = json.dumps(event).encode()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", str(uuid.uuid4()))
        self.send_header("Lambda-Runtime-Deadline-Ms", str(self.server.environment.deadline_ms))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", self.server.environment.arn)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_error = self.path.endswith("/error")
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.environment.results.put((is_error, json.loads(body)))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Nothing: the tests read the function's own log."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    environment: Environment


class Environment:
    """One execution environment, from the start of its process to its end."""

    def __init__(self, command: list[str], variables: Mapping[str, str], log: Path, arn: str) -> None:
        self.arn = arn
        self.is_idle = threading.Event()
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.results: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
        self.deadline_ms = 0
        self.is_ending = False
        self._server = _Server(("127.0.0.1", 0), _RuntimeApi)
        self._server.environment = self
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"127.0.0.1:{self._server.server_address[1]}"
        with log.open("a", encoding="utf-8") as out:
            self.process = subprocess.Popen(
                command, env={**variables, "AWS_LAMBDA_RUNTIME_API": address}, stdout=out, stderr=out
            )
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        code = self.process.wait()
        self.results.put((True, {"errorType": "Runtime.ExitError", "errorMessage": f"exit status {code}"}))
        self.is_idle.set()

    def invoke(self, event: Any, timeout_s: float) -> Any:
        """Hand an event over and wait for the result.

        Raises:
            FunctionError: there is none.
        """
        assert self.is_idle.wait(PATIENCE_S), "the function did not start"
        self.is_idle.clear()
        self.deadline_ms = int((time.time() + timeout_s) * 1_000)
        self.events.put(event)
        try:
            is_error, body = self.results.get(timeout=timeout_s)
        except queue.Empty:
            self.process.kill()
            raise FunctionError(f"timed out after {timeout_s} s") from None
        if is_error:
            raise FunctionError(f"{body.get('errorType')}: {body.get('errorMessage')}")
        return body

    def close(self) -> None:
        """Stop the process, if it lives."""
        self.process.kill()
        self._watcher.join(PATIENCE_S)
        self.events.put(None)
        self._server.shutdown()
        self._server.server_close()

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None


Choose = Callable[[Sequence[Environment]], Environment]


class LambdaEmulator:
    """A deployed function; a context manager. Thread-safe.

    Args:
        handler: as Lambda has it, ``module.name``.
        path: where modules are found, as PYTHONPATH has it.
        log: a file.
        variables: of its environment.
        timeout_s: as configured.
        concurrency: events at a time.
        name: of the function.
    """

    def __init__(
        self,
        handler: str,
        path: str,
        log: Path,
        variables: Mapping[str, str],
        *,
        timeout_s: float = 30.0,
        concurrency: int = 2,
        name: str = "function",
    ) -> None:
        self.log = log
        self.timeout_s = timeout_s
        self.errors: list[str] = []
        self.arn = ARN + name
        self._command = [sys.executable, "-P", "-m", "awslambdaric", handler]
        self._variables = {
            **_inherited(),
            "PYTHONPATH": path,
            "AWS_LAMBDA_FUNCTION_NAME": name,
            **variables,
        }
        self._lock = threading.Lock()
        self._all: list[Environment] = []
        self._free: queue.Queue[Environment] = queue.Queue()
        self._is_closed = False
        for _ in range(concurrency):
            self._free.put(self._started())

    def invoke(self, event: Any) -> Any:
        """Invoke the function synchronously, as soon as an environment is free.

        Raises:
            FunctionError: the handler raised, the process died, or it was too slow.
        """
        environment = self._free.get(timeout=PATIENCE_S)
        try:
            if not environment.is_alive:
                environment = self._replaced(environment)
            return environment.invoke(event, self.timeout_s)
        except FunctionError as error:
            self.errors.append(str(error))
            environment.is_ending = environment.is_ending or "timed out" in str(error)
            raise
        finally:
            if environment.is_ending or not environment.is_alive:
                environment = self._replaced(environment)
            self._free.put(environment)

    def kill_one(self, choose: Choose) -> bool:
        """SIGKILL one of the processes that are at work; False: none is."""
        found = self._busy(choose)
        if found is not None:
            found.process.kill()
        return found is not None

    def end_one(self, choose: Choose) -> bool:
        """SIGTERM one of the processes that are at work, and give it no other event; False: none is."""
        found = self._busy(choose)
        if found is not None:
            found.is_ending = True
            found.process.terminate()
        return found is not None

    def _busy(self, choose: Choose) -> Environment | None:
        with self._lock:
            busy = [each for each in self._all if each.is_alive and not each.is_idle.is_set()]
        return choose(busy) if busy else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            self._is_closed = True
            gone, self._all = self._all, []
        for environment in gone:
            environment.close()

    def _started(self) -> Environment:
        environment = Environment(self._command, self._variables, self.log, self.arn)
        with self._lock:
            is_late = self._is_closed
            self._all.append(environment)
        if is_late:
            environment.close()
        return environment

    def _replaced(self, dead: Environment) -> Environment:
        dead.close()
        with self._lock:
            self._all = [each for each in self._all if each is not dead]
        return self._started()


def _inherited() -> dict[str, str]:
    """Return the environment that the machine gives to every process, without what tells Lambda and AWS things apart."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RESONATE_FAAS_"))
    }
