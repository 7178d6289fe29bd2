"""Requests that AWS IAM decides on: signed (Signature Version 4) with the credentials that boto3 finds."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import httpx

_HOST: Final = re.compile(
    r"[a-z0-9-]+\.(lambda-url|execute-api)\.([a-z0-9-]+)\.(on\.aws|amazonaws\.com(\.cn)?)"
)
_SERVICES: Final = {"lambda-url": "lambda", "execute-api": "execute-api"}
_NAMED: Final = re.compile(r"(lambda|execute-api)/([a-z0-9-]+)")

Signer = Callable[["httpx.Request"], "httpx.Request"]
"""Signs a request, for httpx's ``auth``."""


def signed_service(host: str, named: str = "") -> tuple[str, str] | None:
    """Return the service and region that requests to a host are signed for; None: IAM does not decide on them.

    A function URL and an API Gateway tell by their host that they are ones.

    Args:
        host: where requests go.
        named: what to sign for where the host does not tell (a domain of one's own): ``lambda/REGION`` or
            ``execute-api/REGION``.

    Raises:
        ValueError: ``named`` is something else.
    """
    if named:
        found = _NAMED.fullmatch(named)
        if found is None:
            raise ValueError(f"{named!r} must be lambda/REGION or execute-api/REGION")
        return found[1], found[2]
    found = _HOST.fullmatch(host)
    return None if found is None else (_SERVICES[found[1]], found[2])


def signer(service: str, region: str) -> Signer | None:
    """Return what signs; None: there are no credentials.

    Raises:
        botocore.exceptions.BotoCoreError: the credentials can't be had.
    """
    from botocore.auth import SigV4Auth  # noqa: PLC0415 - only where requests are signed
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415
    from botocore.session import Session  # noqa: PLC0415

    credentials = Session().get_credentials()
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
