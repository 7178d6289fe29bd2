"""The one place that speaks HTTP: requests out, JSON in, every failure translated once."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote

from resonate_faas_cli._exits import Exit, Failure
from resonate_faas_cli._payloads import short
from resonate_faas_cli._signing import refusal_of_iam, signer_for

if TYPE_CHECKING:
    import httpx

Json = dict[str, Any]

PROTOCOL_VERSION: Final = "2026-04-01"
CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 30.0
"""The server holds a wait for at most 20 s."""

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_START: Final = "Is the dev server running? Start it with: resonate-faas dev FILE"
_ELSEWHERE: Final = "or say where the server is with --url or RESONATE_FAAS_URL"
_HINTS: Final[Mapping[int, str]] = {
    401: "Give a token with --token or RESONATE_FAAS_TOKEN",
    403: "The token does not permit this, or the server does not accept requests for this host or origin",
}


class Api:
    """A server, by its URL.

    Args:
        url: of the server; a path in it is kept.
        token: sent as a bearer token and in the head of an envelope (D23); never to another server. Without one,
            requests to AWS are signed.

    Attributes:
        is_local: it is on this machine.

    Raises:
        Failure: the URL is none.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        import httpx  # noqa: PLC0415 - half a second that --help and completion do without

        self.url = url
        self._token = token
        try:
            base = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise Failure(Exit.USAGE, f"{url!r} is no URL: {error}") from error
        if base.scheme not in {"http", "https"} or not base.host:
            raise Failure(Exit.USAGE, f"{url!r} is no URL", hint="Write http://host:port")
        self.is_local = base.host in _LOOPBACK
        headers = {"accept": "application/json"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        try:
            self._client = httpx.Client(
                base_url=base,
                headers=headers,
                auth=None if token else signer_for(base.host),
                timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
                trust_env=not self.is_local,  # a proxy has no business between us and ourselves
            )
        except (ValueError, UnicodeError) as error:
            raise Failure(Exit.USAGE, "The token can't be sent", hint="It must be plain ASCII") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, kind: str, data: Mapping[str, Any]) -> Json:
        """Send a protocol envelope (protocol section 1.1); return the answer's data.

        Raises:
            Failure: no answer, a refusal, or an answer to something else.
        """
        head = {"corrId": f"cli-{secrets.token_hex(8)}", "version": PROTOCOL_VERSION}
        if self._token:
            head["auth"] = self._token
        response = self._send("POST", "/", {"kind": kind, "head": head, "data": dict(data)})
        answer = self._json(response)
        found = answer.get("data")
        if response.status_code >= 300:
            raise self._refusal(response.status_code, answer)
        echo = answer.get("head")
        if not isinstance(found, dict) or not isinstance(echo, dict) or echo.get("corrId") != head["corrId"]:
            raise self._stranger()
        return found

    def get(self, *path: str, params: Mapping[str, str] | None = None) -> Json:
        """Get a JSON document; ``path`` holds segments, escaped here.

        Raises:
            Failure: no answer, or a refusal.
        """
        return self._document(self._send("GET", _path(path), params=params))

    def post(self, *path: str, body: Mapping[str, Any]) -> Json:
        """Post a JSON document and return the answer.

        Raises:
            Failure: no answer, or a refusal.
        """
        return self._document(self._send("POST", _path(path), body))

    def _document(self, response: httpx.Response) -> Json:
        answer = self._json(response)
        if response.status_code >= 300:
            raise self._refusal(response.status_code, answer)
        return answer

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        params: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        import httpx  # noqa: PLC0415 - as above

        try:
            content, headers = None, {}
            if body is not None:
                content = json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
                headers["content-type"] = "application/json"
            return self._client.request(method, path, content=content, headers=headers, params=params)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            hint = f"{_START}, {_ELSEWHERE}"
            raise Failure(
                Exit.UNREACHABLE, f"Can't reach {self.url}: {short(str(error))}", hint=hint
            ) from error
        except httpx.TimeoutException as error:
            message = f"{self.url} did not answer within {ANSWER_SECONDS:g} s"
            raise Failure(
                Exit.UNREACHABLE, message, hint="Whether it did what was asked is not known"
            ) from error
        except httpx.TransportError as error:
            message = f"The connection to {self.url} broke: {short(str(error)) or type(error).__name__}"
            raise Failure(
                Exit.UNREACHABLE, message, hint="Whether it did what was asked is not known"
            ) from error
        except (ValueError, UnicodeError, httpx.InvalidURL) as error:
            raise Failure(Exit.USAGE, f"This can't be sent: {short(str(error))}") from error

    def _json(self, response: httpx.Response) -> Json:
        try:
            answer = response.json()
        except (ValueError, RecursionError):
            raise self._stranger(response.status_code) from None
        if not isinstance(answer, dict):
            raise self._stranger(response.status_code)
        return answer

    def _stranger(self, status: int = 200) -> Failure:
        message = f"{self.url} does not answer as a resonate-faas server does (HTTP {status})"
        return Failure(Exit.UNREACHABLE, message, hint=f"Check --url; {_START[0].lower()}{_START[1:]}")

    def _refusal(self, status: int, answer: Json) -> Failure:
        """Return the failure of an answer: a problem document, or an envelope whose data is the reason."""
        is_envelope = isinstance(answer.get("data"), str) and isinstance(answer.get("head"), dict)
        if answer.get("code") == "route-not-found":
            return self._stranger(status)
        if not is_envelope and not isinstance(answer.get("detail") or answer.get("title"), str):
            return refusal_of_iam(status, answer) or self._stranger(status)
        reason = answer["data"] if is_envelope else answer.get("detail") or answer["title"]
        code = answer.get("code") if isinstance(answer.get("code"), str) else ""
        field = answer.get("field")
        if isinstance(field, str) and field and field not in reason:
            reason = f"{field}: {reason}"
        return Failure(exit_of(status), reason, hint=_HINTS.get(status, ""), code=code or "")


def exit_of(status: int) -> Exit:
    """Return the exit code of an HTTP status that is no success."""
    if status == 404:
        return Exit.NOT_FOUND
    if 400 <= status < 500 and status != 429:
        return Exit.REFUSED
    return Exit.UNREACHABLE


def _path(segments: tuple[str, ...]) -> str:
    """Return a path of escaped segments; a segment of dots alone must not be taken for a step upwards."""
    escaped = (quote(one, safe="") for one in segments)
    return "/" + "/".join(one.replace(".", "%2E") if one in {".", ".."} else one for one in escaped)
