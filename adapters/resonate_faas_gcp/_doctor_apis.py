"""What the doctor asks Google's REST interfaces, with the application default credentials; nothing is changed by it.

httpx comes with the command line, which is the doctor's only caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import httpx

from resonate_faas._diagnosis import Check, failed, skipped

Json = dict[str, Any]

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
OVERRIDE: Final = "CLOUDSDK_API_ENDPOINT_OVERRIDES_"
"""gcloud's own variables for an interface that is reached elsewhere, behind a private endpoint say."""

REASON_MAX: Final = 300
_LOG_IN: Final = "Log in with: gcloud auth application-default login"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an interface answered.

    Attributes:
        status: of HTTP; 0: it could not be asked.
        body: JSON; empty if it is none.
        reason: what it says of a refusal, one line.
    """

    status: int
    body: Json = field(default_factory=dict)
    reason: str = ""

    @property
    def ok(self) -> bool:
        """True if it is what was asked for."""
        return self.status == 200

    @property
    def is_disabled(self) -> bool:
        """True if the interface is not enabled in the project."""
        details = _member(self.body, "error", "details")
        listed = details if isinstance(details, list) else []
        return any(isinstance(one, dict) and one.get("reason") == "SERVICE_DISABLED" for one in listed)


class GoogleApis:
    """Google's REST interfaces.

    Args:
        client: to ask with.
        environment: of this process.
    """

    def __init__(self, client: httpx.Client, environment: Mapping[str, str]) -> None:
        self._client = client
        self._environment = environment

    @property
    def project(self) -> str | None:
        """The project that the credentials name; None: none, or there are no credentials."""
        try:
            return self._found[1]
        except self._failures:
            return None

    def get(self, service: str, path: str, **params: str) -> Answer:
        """Get a resource.

        Args:
            service: ``firestore`` for firestore.googleapis.com.
            path: behind the host.
            params: of the query.
        """
        return self._ask("GET", service, path, params=params)

    def post(self, service: str, path: str, body: Json) -> Answer:
        """Call a method."""
        return self._ask("POST", service, path, json=body)

    def _ask(self, method: str, service: str, path: str, **content: Any) -> Answer:
        base = self._environment.get(f"{OVERRIDE}{service.upper()}") or f"https://{service}.googleapis.com/"
        url = f"{base.rstrip('/')}/{path}"
        headers: dict[str, str] = {}
        try:
            self._found[0].before_request(self._transport, method, url, headers)
            answer = self._client.request(method, url, headers=headers, **content)
        except self._failures as error:
            return Answer(0, reason=f"no Google credentials: {_line(error)}. {_LOG_IN}")
        except httpx.HTTPError as error:
            return Answer(0, reason=f"{service}.googleapis.com is not reached: {_line(error)}")
        body = json_of(answer)
        return Answer(
            answer.status_code, body, _line(_member(body, "error", "message") or answer.reason_phrase)
        )

    @cached_property
    def _failures(self) -> tuple[type[Exception], ...]:
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415 - only where somebody looks

        return (GoogleAuthError,)

    @cached_property
    def _found(self) -> tuple[Any, str | None]:
        import google.auth  # noqa: PLC0415 - as above

        found: tuple[Any, str | None] = google.auth.default(scopes=[SCOPE])
        return found

    @cached_property
    def _transport(self) -> Any:
        from google.auth.transport.requests import Request  # noqa: PLC0415 - as above

        return Request()


def unseen(name: str, service: str, answer: Answer) -> Check:
    """Return the check of what could not be looked at: without the right to, nothing is known to be wrong."""
    if answer.is_disabled:
        host = f"{service}.googleapis.com"
        return failed(name, f"{host} is not enabled", f"Enable it: gcloud services enable {host}")
    if answer.status in {0, 401, 403}:
        return skipped(name, answer.reason or f"status {answer.status}")
    return failed(name, f"status {answer.status}: {answer.reason}", "Try again in a while.")


def json_of(answer: httpx.Response) -> Json:
    """Return a JSON object; an empty one if it is none."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _member(body: Any, *names: str) -> Any:
    for name in names:
        body = body.get(name) if isinstance(body, dict) else None
    return body


def _line(text: object) -> str:
    return " ".join(str(text).split())[:REASON_MAX]
