"""Working for an official Resonate server, in place of a table and a queue of our own."""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import urlsplit

from resonate_faas import Resonate
from resonate_faas._clock import SystemClock
from resonate_faas._deployment import DeploymentSettings, Source
from resonate_faas._errors import ConfigurationError
from resonate_faas._http_errors import InvalidFieldError
from resonate_faas._machine.objects import Message
from resonate_faas._worker import WorkerSettings
from resonate_faas_aws._function import LambdaFunction
from resonate_faas_aws._signing import Signer, signed_service, signer
from resonate_faas_remote import SERVERS_WORD, PushedApp, connecting

TOKEN_VARIABLE: Final = "RESONATE_TOKEN"  # noqa: S105 - its name
SIGN_VARIABLE: Final = "RESONATE_FAAS_SIGN_FOR"


def working_for(
    resonate: Resonate, url: str, source: Source, *, token: str | None, worker: WorkerSettings | None
) -> LambdaFunction:
    """Return the handler of a function that runs what an official server pushes to it.

    Requests to the server carry the token; where IAM decides on them (its URL is a function URL, an API Gateway, or
    RESONATE_FAAS_SIGN_FOR says so) they are signed as well.

    Args:
        resonate: the business code.
        url: of the server, or ``message``: whichever each message names, and that one is shown neither token nor
            signature.
        source: of the settings.
        token: the bearer token; None: RESONATE_TOKEN, if it is set.
        worker: replaces the settings of activations.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    settings = DeploymentSettings.read(source)
    activations = worker or settings.worker
    bearer, signs = _proof(url, token)
    connect = connecting(resonate, settings, activations.lease_ms, token=bearer, auth=signs)

    def app(*, is_verified: bool) -> PushedApp:
        access = None if is_verified else settings.pushes()
        return PushedApp(resonate, connect, url=url, function_url=settings.public_url, access=access)

    verified, outside = app(is_verified=True), app(is_verified=False)

    def stop() -> None:
        verified.stop()
        outside.stop()

    return LambdaFunction(
        answers=verified,
        outside=outside,
        takes=_NoQueue(),
        stop=stop,
        clock=SystemClock(),
        activations=activations,
        public_url=settings.public_url,
    )


def _proof(url: str, token: str | None) -> tuple[str, Signer | None]:
    """Return the bearer token, "" for none, and what signs; a server that only a message names gets neither."""
    if url != SERVERS_WORD:
        return token if token is not None else os.environ.get(TOKEN_VARIABLE, ""), _signs(url)
    if token:
        raise ConfigurationError("token", f"is for a configured server, not for url={SERVERS_WORD!r}")
    return "", None


def _signs(url: str) -> Signer | None:
    try:
        service = signed_service(urlsplit(url).hostname or "", os.environ.get(SIGN_VARIABLE, ""))
    except ValueError as error:
        raise ConfigurationError(SIGN_VARIABLE, str(error)) from error
    if service is None:
        return None
    signs = signer(*service)
    if signs is None:
        raise ConfigurationError("the server's URL", "is one that IAM protects, and there are no credentials")
    return signs


class _NoQueue:
    """An official server pushes over HTTP."""

    def deliver(self, message: Message, *, deadline_mono_ms: int | None = None) -> object:
        """Refuse a message of a queue."""
        del message, deadline_mono_ms
        raise InvalidFieldError("message", "this function works for a Resonate server and takes no queue")
