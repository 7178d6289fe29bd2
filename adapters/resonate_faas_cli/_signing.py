"""Requests that AWS IAM decides on: signed (Signature Version 4) with the credentials that boto3 finds.

A function URL and an API Gateway tell by their host that they are ones. Elsewhere (a domain of one's own before them) the
environment variable RESONATE_FAAS_SIGN_FOR says so: ``lambda/eu-central-1`` or ``execute-api/eu-central-1``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from resonate_faas_cli._exits import Exit, Failure
from resonate_faas_cli._payloads import short

if TYPE_CHECKING:
    import httpx

VARIABLE: Final = "RESONATE_FAAS_SIGN_FOR"

_HOST: Final = re.compile(
    r"[a-z0-9-]+\.(lambda-url|execute-api)\.([a-z0-9-]+)\.(on\.aws|amazonaws\.com(\.cn)?)"
)
_SERVICES: Final = {"lambda-url": "lambda", "execute-api": "execute-api"}
_NAMED: Final = re.compile(r"(lambda|execute-api)/([a-z0-9-]+)")

Signer = Callable[["httpx.Request"], "httpx.Request"]


def signer_for(host: str) -> Signer | None:
    """Return what signs a request to this host; None: the host is none of AWS's, or there are no credentials.

    Without credentials a function URL that is open to anyone can be asked all the same.

    Raises:
        Failure: the environment variable is wrong, or the credentials can't be had.
    """
    named = os.environ.get(VARIABLE, "")
    if named:
        found = _NAMED.fullmatch(named)
        if found is None:
            raise Failure(Exit.USAGE, f"{VARIABLE}={named!r} must be lambda/REGION or execute-api/REGION")
        return _signer(found[1], found[2])
    found = _HOST.fullmatch(host)
    return None if found is None else _signer(_SERVICES[found[1]], found[2])


def refusal_of_iam(status: int, answer: Mapping[str, Any]) -> Failure | None:
    """Return the failure that AWS answered in place of the function; None: it is none of AWS's."""
    said = answer.get("Message") or answer.get("message")
    if status != 403 or not isinstance(said, str):
        return None
    hint = (
        "Requests are signed with the credentials that boto3 finds; these must be there, and may do lambda:InvokeFunctionUrl "
        "and lambda:InvokeFunction on the function's alias"
    )
    return Failure(Exit.REFUSED, f"AWS refused the request: {short(said)}", hint=hint, code="iam")


def _signer(service: str, region: str) -> Signer | None:
    try:
        from botocore.auth import SigV4Auth  # noqa: PLC0415 - an extra, and only where requests are signed
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415
        from botocore.session import Session  # noqa: PLC0415
    except ImportError:
        return None
    try:
        credentials = Session().get_credentials()
    except BotoCoreError as error:
        raise Failure(
            Exit.REFUSED, f"No AWS credentials: {error}", hint="See: aws sts get-caller-identity"
        ) from error
    if credentials is None:
        return None

    def sign(request: httpx.Request) -> httpx.Request:
        kind = request.headers.get("content-type")
        asked = AWSRequest(
            request.method,
            str(request.url),
            data=request.content,
            headers={} if kind is None else {"content-type": kind},
        )
        SigV4Auth(credentials, service, region).add_auth(asked)
        request.headers.update(dict(asked.headers.items()))
        return request

    return sign
