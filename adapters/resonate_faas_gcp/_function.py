"""What functions-framework calls: Flask's requests as ours, and our responses as Flask's."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import quote, urlsplit

from resonate_faas._clock import SystemClock
from resonate_faas._http import BODY_BYTES_MAX, HttpRequest, HttpResponse
from resonate_faas._http.problems import bug_response
from resonate_faas_gcp._ending import Ending

if TYPE_CHECKING:
    import flask

log = logging.getLogger("resonate_faas_gcp")

CHUNK_BYTES: Final = 65_536


class Answers(Protocol):
    """Answers requests: the routes over a store of ours, or what stands for them elsewhere."""

    def handle(self, request: HttpRequest, *, deadline_mono_ms: int | None = None) -> HttpResponse:
        """Answer one; never raises."""


class Instance(Protocol):
    """What one process holds."""

    def answers(self) -> Answers:
        """Return what answers requests, made at the first call in this process: a channel does not survive a fork."""

    def stop(self) -> None:
        """Let the held tasks be released; activations end within moments."""


Function = Callable[["flask.Request"], "flask.Response"]


def served(instance: Instance, timeout_ms: int) -> Function:
    """Return the function that answers by what an instance holds; functions-framework takes plain functions only.

    Args:
        instance: of this process.
        timeout_ms: from the beginning of a request until the process may be stopped.
    """
    clock, ending = SystemClock(), Ending(instance.stop)

    def function(request: flask.Request) -> flask.Response:
        """Answer one request."""
        deadline = clock.monotonic_ms() + timeout_ms
        with ending.heeded():
            try:
                answers = instance.answers()
            except Exception:  # no credentials, for one: what it is stands in the log, not on the wire
                log.exception("the function can't be set up")
                return http_answer(bug_response(), request.method)
            response = answers.handle(http_request(request), deadline_mono_ms=deadline)
            return http_answer(response, request.method)

    return function


def http_request(request: flask.Request, *, body_bytes_max: int = BODY_BYTES_MAX) -> HttpRequest:
    """Return a request of Flask's as ours; of a body over the limit one byte too many, and no more."""
    return HttpRequest(
        method=request.method.upper(),
        path=_raw_path(request),
        query=request.query_string.decode("latin-1"),
        headers={name.lower(): text for name, text in request.headers.items()},
        body=_body(request, body_bytes_max + 1),
    )


def http_answer(response: HttpResponse, method: str) -> flask.Response:
    """Return our response as Flask's."""
    from flask import Response  # noqa: PLC0415 - loaded long since where a request comes

    body = b"" if method == "HEAD" else response.body
    return Response(body, status=response.status, headers=dict(response.headers))


def _raw_path(request: flask.Request) -> str:
    """Return the path as it was sent: WSGI's own is decoded, so that a slash in an id could not be told apart."""
    target: str = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or ""
    if not target:
        return quote(request.environ.get("PATH_INFO", "").encode("latin-1"), safe="/")
    if not target.startswith("/"):  # the absolute form, as a proxy is asked
        return urlsplit(target).path
    return target.partition("?")[0].partition("#")[0]


def _body(request: flask.Request, bytes_max: int) -> bytes:
    body = bytearray()
    while len(body) < bytes_max:
        chunk = request.stream.read(min(CHUNK_BYTES, bytes_max - len(body)))
        if not chunk:
            break
        body += chunk
    return bytes(body)
