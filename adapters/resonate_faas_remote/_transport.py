"""Requests over HTTP to a Resonate server: one kept connection, time-outs, retries where a second try is harmless."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from resonate_faas._errors import ConfigurationError, OutcomeUnknownError, StoreUnavailableError
from resonate_faas._ports import Clock
from resonate_faas_remote._wire import PROTOCOL_VERSION, Json

TIMEOUT_S: Final = 10.0
TRIES: Final = 4
BACK_OFF_MS: Final = 200
BACK_OFF_MAX_MS: Final = 2_000
CONNECTIONS_MAX: Final = 64

_BUSY: Final = frozenset({429, 500, 502, 503, 504})
"""The server, or what stands before it, did not do it now: another try may."""

Headers = Callable[[str], Mapping[str, str]]
"""Gives the headers that tell the server who asks, from the server's URL; called for every request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server said: the protocol's status, and the data or the reason."""

    status: int
    data: Any

    @property
    def ok(self) -> bool:
        """True for a success; 300, a redirect, is none. Some servers tell a create by 201."""
        return 200 <= self.status < 300

    @property
    def reason(self) -> str:
        """Return why it was refused."""
        return self.data if isinstance(self.data, str) else f"status {self.status}"


class Transport:
    """Asks one server. Thread-safe; connections are kept for the next request, and the next warm invocation.

    Args:
        url: of the server.
        clock: the time, for the waits between tries.
        token: the bearer token, sent as header and in each head, as servers differ in which they read.
        headers: gives further headers, such as a token that expires.
        auth: signs requests; None: nothing does.
        timeout_s: for one try.
        transport: how requests travel; None: over the network.

    Raises:
        ConfigurationError: the URL is none of http or https.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        token: str | None = None,
        headers: Headers | None = None,
        auth: httpx.Auth | Callable[[httpx.Request], httpx.Request] | None = None,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if urlsplit(url).scheme not in {"http", "https"}:
            raise ConfigurationError(
                "the server's URL", f"must begin with http:// or https://, not be {url[:200]!r}"
            )
        self.url = url.rstrip("/") + "/"
        self._clock = clock
        self._token = token
        self._headers = headers
        self._numbers = itertools.count(1)
        self._closed = threading.Event()
        self._client = httpx.Client(
            auth=auth,
            timeout=timeout_s,
            transport=transport,
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX),
        )

    def ask(self, kind: str, data: Json, *, repeats: bool) -> Answer:
        """Ask once, or until there is an answer.

        Args:
            kind: of the request.
            data: of the request.
            repeats: a second try is harmless: the request does the same however often it arrives.

        Raises:
            StoreUnavailableError: the server can't be reached, or does not serve now; nothing was done.
            OutcomeUnknownError: the answer to a request that does not repeat was lost.
        """
        for number in range(1, TRIES + 1):
            try:
                return self._try(kind, data)
            except _NotReachedError as error:
                cause = str(error)
            except _AnswerLostError as error:
                cause = str(error)
                if not repeats:
                    raise OutcomeUnknownError((str(data.get("id", "")),), cause) from error
            if number < TRIES:
                self._clock.wait(self._closed, _jittered(number))
        raise StoreUnavailableError(f"answer {kind}", cause)

    def close(self) -> None:
        """End the kept connections, and the waits between tries."""
        self._closed.set()
        self._client.close()

    def request_headers(self) -> dict[str, str]:
        """Return the headers by which the server knows us."""
        known = {} if self._token is None else {"authorization": f"Bearer {self._token}"}
        return known | dict(self._headers(self.url) if self._headers is not None else {})

    def _try(self, kind: str, data: Json) -> Answer:
        corr_id = f"{kind}-{next(self._numbers)}"
        head = {"corrId": corr_id, "version": PROTOCOL_VERSION}
        if self._token is not None:
            head["auth"] = self._token
        try:
            answer = self._client.post(
                self.url, json={"kind": kind, "head": head, "data": data}, headers=self.request_headers()
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise _NotReachedError(f"{type(error).__name__}: {error}") from error
        except httpx.HTTPError as error:
            raise _AnswerLostError(f"{type(error).__name__}: {error}") from error
        return _read(answer, corr_id)


def _read(answer: httpx.Response, corr_id: str) -> Answer:
    """Return the protocol's answer; whatever else came is a failure of the platform."""
    try:
        body = answer.json()
        head = body["head"]
        status = int(head["status"])
    except (ValueError, KeyError, TypeError) as error:
        if answer.status_code in _BUSY:
            raise _AnswerLostError(f"HTTP {answer.status_code}") from error
        if answer.status_code >= 400:
            return Answer(status=answer.status_code, data=f"HTTP {answer.status_code}: {answer.text[:200]}")
        raise _AnswerLostError(f"HTTP {answer.status_code} without an answer of the protocol") from error
    if status in _BUSY:
        raise _AnswerLostError(f"status {status}: {body.get('data')}")
    if 200 <= status < 400 and head.get("corrId") != corr_id:
        raise _AnswerLostError("an answer to another request")
    return Answer(status=status, data=body.get("data"))


def _jittered(number: int) -> int:
    """Return how long to wait after a failed try, in milliseconds."""
    return int(min(BACK_OFF_MS * 2 ** (number - 1), BACK_OFF_MAX_MS) * random.uniform(0.5, 1.0))  # noqa: S311 - no secret


class _NotReachedError(Exception):
    """The request did not leave."""


class _AnswerLostError(Exception):
    """The request may have been carried out."""
