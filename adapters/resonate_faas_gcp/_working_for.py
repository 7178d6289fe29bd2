"""Working for an official Resonate server, in place of a database and a queue of our own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, Literal, get_args
from urllib.parse import urlsplit

from resonate_faas import Resonate
from resonate_faas._deployment import DeploymentSettings, Source, wrong
from resonate_faas._errors import ConfigurationError
from resonate_faas._worker import WorkerSettings
from resonate_faas_gcp._function import Answers, Function, served
from resonate_faas_remote import SERVERS_WORD, PushedApp, connecting

Auth = Literal["auto", "none", "bearer", "oidcIdToken"]
"""How the server learns who asks (protocol section 9.4): ``auto`` is oidcIdToken over https, else none."""

TOKEN_VARIABLE: Final = "RESONATE_TOKEN"  # noqa: S105 - its name
EARLY_S: Final = 300
"""A token is replaced this long before its hour is over."""

LIFE_S: Final = 3_600
TIMEOUT_S_MAX: Final = 3_600
TIMEOUT_S: Final = 60
"""What Cloud Functions grants unless it is told otherwise."""


def working_for(
    resonate: Resonate,
    url: str,
    source: Source,
    *,
    auth: Auth,
    token: str | None,
    audience: str | None,
    worker: WorkerSettings | None,
) -> Function:
    """Return the function that runs what an official server pushes to it.

    Args:
        resonate: the business code.
        url: of the server, or ``message``: whichever each message names, and that one is shown no token.
        source: of the settings.
        auth: how the server learns who asks.
        token: the bearer token; None: RESONATE_TOKEN.
        audience: of the ID token; None: the server's URL.
        worker: replaces the settings of activations.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    settings = DeploymentSettings.read(source)
    timeout_s = source.whole("TIMEOUT_SECONDS", TIMEOUT_S, least=1, most=TIMEOUT_S_MAX) or TIMEOUT_S
    activations = worker or settings.worker
    bearer, headers = _proof(url, auth, token, audience)
    connect = connecting(resonate, settings, activations.lease_ms, token=bearer, headers=headers)

    app = PushedApp(resonate, connect, url=url, function_url=settings.public_url, access=settings.pushes())
    return served(_Instance(app), timeout_s * 1_000)


class _Instance:
    """See :class:`resonate_faas_gcp._function.Instance`; connections are made at the first message."""

    def __init__(self, app: PushedApp) -> None:
        self._app = app

    def answers(self) -> Answers:
        return self._app

    def stop(self) -> None:
        self._app.stop()


def _proof(
    url: str, auth: Auth, token: str | None, audience: str | None
) -> tuple[str, Callable[[str], Mapping[str, str]] | None]:
    """Return the bearer token, "" for none, and what gives an ID token's header; never both."""
    if auth not in get_args(Auth):
        raise ConfigurationError("auth", f"must be one of {', '.join(get_args(Auth))}, not {auth!r}")
    if url == SERVERS_WORD and (auth in {"bearer", "oidcIdToken"} or token):
        raise ConfigurationError(
            "auth", f"shows a token to a configured server only, not to url={SERVERS_WORD!r}"
        )
    if auth == "bearer":
        bearer = token or os.environ.get(TOKEN_VARIABLE, "")
        if not bearer:
            raise ConfigurationError(TOKEN_VARIABLE, "is not set, and no token was given")
        return bearer, None
    is_https = urlsplit(url).scheme == "https"
    if auth == "none" or (auth == "auto" and not is_https):
        return "", None
    if not is_https and not _is_own_machine(url):
        raise wrong("URL", "must begin with https:// where a token of Google's is sent")
    tokens = IdTokens(audience or url)
    return "", lambda _: {"authorization": f"Bearer {tokens.token()}"}


def _is_own_machine(url: str) -> bool:
    return urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}


class IdTokens:
    """ID tokens of the function's own account, from the metadata server, kept until shortly before they expire.

    Args:
        audience: whom they are for.
        fetch: gets one for an audience.
        monotonic: seconds.
    """

    def __init__(
        self,
        audience: str,
        fetch: Callable[[str], str] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._audience = audience
        self._fetch = fetch or _fetched
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._token = ""
        self._until = 0.0

    def token(self) -> str:
        """Return a token that is good for minutes at least.

        Raises:
            google.auth.exceptions.GoogleAuthError: none can be had.
        """
        with self._lock:
            now = self._monotonic()
            if not self._token or now >= self._until:
                self._token, self._until = self._fetch(self._audience), now + LIFE_S - EARLY_S
            return self._token


def _fetched(audience: str) -> str:
    from google.auth.transport.requests import Request  # noqa: PLC0415 - only where a token is asked for
    from google.oauth2.id_token import fetch_id_token  # noqa: PLC0415

    return str(fetch_id_token(Request(), audience))
