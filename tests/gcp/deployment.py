"""A function deployed for a test: a project in the Firestore emulator, a queue, a real functions-framework process."""

from __future__ import annotations

import atexit
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from tests.emulators import firestore
from tests.emulators.cloud_tasks import CloudTasksEmulator
from tests.emulators.oidc_issuer import OidcIssuer
from tests.gcp.framework import HERE, Framework, free_port

from resonate_faas._engine.codec import NO_HINT, Codec
from resonate_faas._machine.objects import Promise, PromiseObject
from resonate_faas_gcp import FirestoreStore

SAMPLES = Path(__file__).parents[2] / "samples"
PATIENCE_S = 60.0
LOOK_S = 0.05
LINK_KEY = "a key of at least sixteen bytes"
QUEUE_ACCOUNT = "queue@test.iam.gserviceaccount.com"
TICK_ACCOUNT = "tick@test.iam.gserviceaccount.com"
CALLER = "caller@test.iam.gserviceaccount.com"
TIMEOUT_S = 60

T = TypeVar("T")
_names = count(1)


def until(look: Callable[[], T | None], failure: Callable[[], str] = lambda: "it did not happen") -> T:
    """Look again and again until there is something; return it."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := look()) is None:
        assert time.monotonic() < deadline, failure()
        time.sleep(LOOK_S)
    return found


@cache
def issuer() -> OidcIssuer:
    """Return the issuer of this test process."""
    made = OidcIssuer()
    made.start()
    atexit.register(made.close)
    return made


@cache
def cloud_tasks() -> CloudTasksEmulator:
    """Return the emulator of this test process."""
    made = CloudTasksEmulator(issuer())
    made.start()
    atexit.register(made.close)
    return made


@cache
def channel() -> Any:
    """Return a channel to the Firestore emulator."""
    made = firestore.running().channel()
    atexit.register(made.close)
    return made


class Ticks:
    """Cloud Scheduler: POST /tick again and again, with a token of its account."""

    def __init__(self, tick: Callable[[], object], every_s: float) -> None:
        self._tick = tick
        self._every_s = every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._always, daemon=True)

    def _always(self) -> None:
        while not self._ended.wait(self._every_s):
            try:
                self._tick()
            except httpx.TransportError:
                continue  # the instance was killed: the next tick comes

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()


class Deployed:
    """A function over a project and a queue of its own; a context manager.

    Args:
        folder: for logs.
        module: the business code; it has a ``resonate``.
        code: where the module is.
        worker: the settings of activations, as keyword arguments.
        variables: of the function's environment.
        tick_s: how often the scheduler ticks; None: it does not.
        url: where the function is reached; by default its own address.
        faults: of the queue.
        start: False: the test starts the instances.
    """

    def __init__(
        self,
        folder: Path,
        module: str = "workflows",
        code: Path = HERE,
        *,
        worker: Mapping[str, int] | None = None,
        variables: Mapping[str, str] | None = None,
        tick_s: float | None = None,
        url: str | None = None,
        faults: Mapping[str, Any] | None = None,
        start: bool = True,
    ) -> None:
        name = f"function-{next(_names)}"
        self.folder, self.code = folder, code
        self.project = firestore.running().project()
        self.store = FirestoreStore(self.project, channel=channel())
        self.tasks = cloud_tasks()
        self.tasks.break_by(**(faults or {}))
        self.tasks.told.statuses.clear()
        self.queue = self.tasks.queue(name, min_backoff=0.1, max_backoff=1.0, max_attempts=1_000)
        self._stack = ExitStack()
        self._http = self._stack.enter_context(httpx.Client(timeout=PATIENCE_S))
        self.port = free_port()
        self.url = url or f"http://127.0.0.1:{self.port}"
        self.variables = {
            "FIRESTORE_EMULATOR_HOST": firestore.running().address,
            "RESONATE_FAAS_CLOUD_TASKS_EMULATOR": self.tasks.address,
            "RESONATE_FAAS_OIDC_CERTS_URL": issuer().certs_url,
            "RESONATE_FAAS_PROJECT": self.project,
            "RESONATE_FAAS_QUEUE": self.queue,
            "RESONATE_FAAS_QUEUE_ACCOUNT": QUEUE_ACCOUNT,
            "RESONATE_FAAS_TICK_ACCOUNT": TICK_ACCOUNT,
            "RESONATE_FAAS_CALLERS": CALLER,
            "RESONATE_FAAS_PUBLIC_URL": self.url,
            "RESONATE_FAAS_LINK_KEY": LINK_KEY,
            "RESONATE_FAAS_TIMEOUT_SECONDS": str(TIMEOUT_S),
            "RESONATE_FAAS_SWEEP_SECONDS": "1",
            "TEST_MODULE": module,
            "TEST_WORKER": json.dumps({"in_place_ms": 500, **(worker or {})}),
            **(variables or {}),
        }
        if start:
            self.framework = self.start(self.port).wait_ready()
        if tick_s is not None:
            self._stack.enter_context(Ticks(self.tick, tick_s))

    def start(self, port: int | None = None, *, plain: bool = False, **variables: str) -> Framework:
        """Start an instance over the same project and queue; it may not answer yet."""
        at = port or free_port()
        log = self.folder / f"{self.project}-{at}.log"
        framework = Framework(self.code, {**self.variables, **variables}, log, at, plain=plain)
        self._stack.callback(framework.close)
        return framework

    def token(self, account: str = CALLER) -> dict[str, str]:
        """Return the header with a token of an account."""
        return {"authorization": f"Bearer {issuer().token(self.url, account)}"}

    def request(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        """Send a request, by default as the caller that is let in; fields make a JSON body."""
        return self._http.request(
            method,
            f"{self.url}{path}",
            headers=self.token() if headers is None else headers,
            json=body if method == "POST" else None,
        )

    def raw(self, method: str, path: str, token: str, body: bytes | Iterator[bytes]) -> httpx.Response:
        """Send a body as it is, declared as JSON."""
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        return self._http.request(method, f"{self.url}{path}", headers=headers, content=body)

    def post_to(self, port: int, path: str, **body: Any) -> httpx.Response:
        """Post to one instance, past whatever stands before it."""
        return self._http.post(f"http://127.0.0.1:{port}{path}", headers=self.token(), json=body)

    def invoke(self, function: str, promise_id: str, *args: Any) -> None:
        """Start an execution over its HTTP trigger."""
        answer = self.request("POST", f"/invoke/{function}", id=promise_id, args=args)
        assert answer.status_code == 202, f"{answer.text}\n{self.told()}"

    def result(self, promise_id: str) -> Any:
        """Wait for an execution over HTTP; return its result."""
        path = f"/promises/{quote(promise_id, safe='')}?wait=20"

        def look() -> dict[str, Any] | None:
            try:
                return _settled(self.request("GET", path))
            except httpx.TransportError:
                return None  # the instance was killed

        answer = until(look, lambda: f"{promise_id} does not end\n{self.told()}")
        assert answer["state"] == "resolved", f"{answer}\n{self.told()}"
        return answer["value"]

    def tick(self) -> dict[str, Any]:
        """Do what the scheduler does each minute."""
        answer = self.request("POST", "/tick", headers=self.token(TICK_ACCOUNT))
        found: dict[str, Any] = answer.json()
        return found

    def promises(self) -> dict[str, Promise]:
        """Return every promise of the project."""
        found = self.store.search("promise", limit=1_000)
        return {one.id: one.promise for one in found if isinstance(one, PromiseObject)}

    def value(self, promise_id: str) -> Any:
        """Return what a promise was settled with, as it stands in the database."""
        return Codec().decode(self.promises()[promise_id].value, NO_HINT, promise_id)

    def told(self) -> str:
        """Return the ends of the instances' logs."""
        logs = sorted(self.folder.glob(f"{self.project}-*.log"))
        return "\n".join(log.read_text(encoding="utf-8")[-4_000:] for log in logs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.tasks.break_by()
        self.tasks.PurgeQueue(_Named(self.queue))
        self._stack.close()


class _Named:
    """A request of the API that holds a name alone."""

    def __init__(self, name: str) -> None:
        self.name = name


def _settled(answer: httpx.Response) -> dict[str, Any] | None:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found if found["state"] != "pending" else None
