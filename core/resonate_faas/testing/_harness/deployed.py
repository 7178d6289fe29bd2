"""A deployment, by its URL: what a harness does there, over HTTP, at the pace of the real clock."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, NoReturn, Self, TypeVar
from urllib.parse import quote

from pydantic_core import from_json, to_json

from resonate_faas._invocation import Invocation
from resonate_faas._machine.objects import EXTERNAL, ORIGIN, TARGET, Promise, PromiseState, Value

PROTOCOL_VERSION: Final = "2026-04-01"
PAGE: Final = 1_000
ANSWER_S: Final = 30.0
LOOK_S: Final = 0.05
"""How often to look again; a test against a deployment waits for the deployment, not for this."""

_ACTIONS: Final = {
    PromiseState.RESOLVED: "resolve",
    PromiseState.REJECTED: "reject",
    PromiseState.CANCELED: "cancel",
}
T = TypeVar("T")


class DeploymentError(AssertionError):
    """The deployment refused, or what it answered is not what a deployment answers."""


class Deployment:
    """A running deployment; a context manager.

    Args:
        url: of it.
        token: sent as a bearer token; None: it needs none.
        wait_s: the longest to wait for anything in a row, seconds.
    """

    def __init__(self, url: str, *, token: str | None = None, wait_s: float = 10.0) -> None:
        import httpx  # noqa: PLC0415 - a harness in memory does without

        self.url = url.rstrip("/")
        self.wait_s = wait_s
        self._token = token
        headers = {"accept": "application/json", "content-type": "application/json"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=ANSWER_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def now_ms(self) -> int:
        """Return this machine's time, epoch milliseconds."""
        return time.time_ns() // 1_000_000

    def invoke(self, wanted: Invocation) -> None:
        """Start an execution.

        Raises:
            DeploymentError: it was refused.
        """
        body: dict[str, Any] = {"id": wanted.id, "args": list(wanted.args), "version": wanted.version}
        if wanted.kwargs:
            body["kwargs"] = dict(wanted.kwargs)
        for name in ("timeout", "delay"):
            duration = getattr(wanted, name)
            if duration is not None:
                body[name] = duration.total_seconds() if hasattr(duration, "total_seconds") else duration
        self._call("POST", f"/invoke/{quote(wanted.function, safe='')}", body)

    def find(self, promise_id: str) -> Promise | None:
        """Return a promise as it stands; None: unknown."""
        status, answer = self._ask("promise.get", {"id": promise_id})
        if status == 404:
            return None
        return _promise(answer["promise"])

    def tree(self, root_id: str) -> list[Promise]:
        """Return the promises of a root's tree."""
        found = self._search({"tags": {ORIGIN: root_id}})
        return [one for one in found if one.id == root_id or one.id.startswith(f"{root_id}:")]

    def asked(self, root_id: str) -> list[Promise]:
        """Return the external promises of a tree that wait for somebody, oldest first."""
        pending = [one for one in self.tree(root_id) if one.state is PromiseState.PENDING]
        found = [one for one in pending if one.tags.get(EXTERNAL) == "true"]
        return sorted(found, key=lambda one: (one.created_at, one.id))

    def settle(self, promise_id: str, state: PromiseState, value: Any) -> None:
        """Settle a promise from outside.

        Raises:
            DeploymentError: it was refused.
        """
        body = {} if value is None else {"value": value}
        self._call("POST", f"/promises/{quote(promise_id, safe='')}/{_ACTIONS[state]}", body)

    def is_idle(self, root_id: str) -> bool:
        """True if nothing of a tree can go on by itself now: its tasks have ended or wait.

        Raises:
            DeploymentError: a task was halted.
        """
        root = self.find(root_id)
        if root is None:
            return False
        if root.state is not PromiseState.PENDING:
            return True
        tasks = [one for one in self.tree(root_id) if TARGET in one.tags]
        return bool(tasks) and all(
            self._task_state(one.id) == "suspended" for one in tasks if one.state is PromiseState.PENDING
        )

    def _task_state(self, task_id: str) -> str:
        found = self._call("GET", f"/promises/{quote(task_id, safe='')}").get("task") or {}
        if found.get("state") == "halted":
            raise DeploymentError(f"{task_id!r} was halted: {found.get('reason')}")
        return str(found.get("state") or "suspended")

    def until(self, look: Callable[[], T | None], failure: Callable[[], str]) -> T:
        """Look until there is something, and return it.

        Raises:
            DeploymentError: not within ``wait_s`` seconds.
        """
        deadline = time.monotonic() + self.wait_s
        while True:
            found = look()
            if found:
                return found
            if time.monotonic() >= deadline:
                raise DeploymentError(f"not within {self.wait_s:g} s on {self.url}: {failure()}")
            time.sleep(LOOK_S)

    def wait(self, seconds: float) -> None:
        """Let real time pass; the caller has checked that it is short."""
        time.sleep(seconds)

    def _search(self, filters: Mapping[str, Any]) -> list[Promise]:
        found: list[Promise] = []
        cursor: dict[str, Any] = {}
        while True:
            _, answer = self._ask("promise.search", {**filters, "limit": PAGE, **cursor})
            found += [_promise(one) for one in answer["promises"]]
            if not answer.get("cursor"):
                return found
            cursor = {"cursor": answer["cursor"]}

    def _ask(self, kind: str, data: Mapping[str, Any]) -> tuple[int, Any]:
        """Send a protocol envelope; return the status and the answer's data."""
        head = {"corrId": f"harness-{secrets.token_hex(8)}", "version": PROTOCOL_VERSION}
        if self._token:
            head["auth"] = self._token
        response = self._http.post("/", content=to_json({"kind": kind, "head": head, "data": data}))
        answer = self._json(response.content, f"{kind}: HTTP {response.status_code}")
        if response.status_code not in {200, 404}:
            self._refuse(f"{kind}: HTTP {response.status_code}: {answer.get('data') or answer.get('detail')}")
        return response.status_code, answer.get("data")

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        response = self._http.request(method, path, content=None if body is None else to_json(body))
        answer = self._json(response.content, f"{path}: HTTP {response.status_code}")
        if response.status_code >= 300:
            self._refuse(f"{path}: HTTP {response.status_code}: {answer.get('detail') or answer}")
        return answer

    def _json(self, content: bytes, what: str) -> dict[str, Any]:
        try:
            answer = from_json(content)
        except ValueError:
            self._refuse(f"{what}, and no JSON")
        if not isinstance(answer, dict):
            self._refuse(f"{what}, and no JSON object")
        return answer

    def _refuse(self, reason: str) -> NoReturn:
        raise DeploymentError(f"{self.url} answered {reason}")


def _promise(record: Mapping[str, Any]) -> Promise:
    """Return a promise from its wire record (protocol section 2.2)."""
    return Promise(
        id=record["id"],
        state=PromiseState(record["state"]),
        param=_value(record.get("param") or {}),
        value=_value(record.get("value") or {}),
        tags=record.get("tags") or {},
        timeout_at=record["timeoutAt"],
        created_at=record["createdAt"],
        settled_at=record.get("settledAt"),
    )


def _value(record: Mapping[str, Any]) -> Value:
    return Value(headers=record.get("headers") or {}, data=record.get("data"))
