"""Requests that AWS IAM decides on: signed (Signature Version 4) with the credentials that boto3 finds.

A function URL and an API Gateway tell by their host that they are ones. Elsewhere (a domain of one's own before them) the
environment variable RESONATE_FAAS_SIGN_FOR says so: ``lambda/eu-central-1`` or ``execute-api/eu-central-1``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from resonate_faas_cli._exits import Exit, Failure
from resonate_faas_cli._payloads import short

if TYPE_CHECKING:
    import httpx

VARIABLE: Final = "RESONATE_FAAS_SIGN_FOR"

Signer = Callable[["httpx.Request"], "httpx.Request"]


def signer_for(host: str) -> Signer | None:
    """Return what signs a request to this host; None: the host is none of AWS's, or there are no credentials.

    Without credentials a function URL that is open to anyone can be asked all the same.

    Raises:
        Failure: the environment variable is wrong, or the credentials can't be had.
    """
    try:
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - an extra, and only where requests are signed

        from resonate_faas_aws._signing import signed_service, signer  # noqa: PLC0415
    except ImportError:
        return None
    try:
        found = signed_service(host, os.environ.get(VARIABLE, ""))
    except ValueError as error:
        raise Failure(Exit.USAGE, f"{VARIABLE}={error}") from error
    try:
        return None if found is None else signer(*found)
    except BotoCoreError as error:
        hint = "See: aws sts get-caller-identity"
        raise Failure(Exit.REFUSED, f"No AWS credentials: {error}", hint=hint) from error


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
