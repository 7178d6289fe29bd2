"""The HTTP trigger of a deployment, asked as a stranger and as somebody whom IAM lets in."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, Final

from resonate_faas._diagnosis import Check, failed, ok, skipped

TIMEOUT_S: Final = 20.0
"""A cold start fits."""

NOBODY: Final = "resonate-faas-doctor"
"""An id that no execution has."""

_ENVELOPE: Final = json.dumps(
    {
        "kind": "promise.get",
        "head": {"corrId": NOBODY, "version": "2026-04-01"},
        "data": {"id": NOBODY},
    }
).encode()


def ask_unsigned(url: str, kind: str) -> Iterator[Check]:
    """Ask for what is open to no stranger whatever the settings: the protocol at ``POST /``.

    Args:
        url: of the function, without a slash at its end.
        kind: AWS_IAM, NONE or unknown.
    """
    name = "unsigned request"
    try:
        status, said = _send(urllib.request.Request(f"{url}/", data=_ENVELOPE, headers=_HEADERS))  # noqa: S310
    except OSError as error:
        yield failed(name, f"{url} ({kind}): {error}", "Check the URL, and the way to it.")
        return
    if status in {401, 403}:
        yield ok(name, f"{url} ({kind}): refused, HTTP {status}")
    elif status >= 500:
        yield failed(name, f"{url} ({kind}): HTTP {status}: {said}", "The function fails: see its log.")
    else:
        yield failed(
            name,
            f"{url} ({kind}): answered, HTTP {status}",
            "Anyone may do anything: set AuthType to AWS_IAM.",
        )


def look_at_url(url: str, kind: str, session: Any) -> Iterator[Check]:
    """Ask with a signature for a promise that does not exist: the answer says that it does not.

    Args:
        url: of the function.
        kind: AWS_IAM, NONE or unknown.
        session: of boto3, for its credentials.
    """
    from botocore.auth import SigV4Auth  # noqa: PLC0415 - boto3 comes with a client
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415

    name = "signed request"
    credentials = session.get_credentials()
    if kind == "NONE" or credentials is None:
        yield skipped(name, "the URL takes no signatures" if kind == "NONE" else "there are no credentials")
        return
    asked = AWSRequest("GET", f"{url}/promises/{NOBODY}")
    SigV4Auth(credentials, "lambda", session.region_name).add_auth(asked)
    try:
        status, said = _send(urllib.request.Request(asked.url, headers=dict(asked.headers.items())))  # noqa: S310
    except OSError as error:
        yield failed(name, f"{url}: {error}", "Check the URL, and the way to it.")
        return
    if status == 404 and "not-found" in said:
        yield ok(name, "answered: there is no such promise")
    elif status in {401, 403}:
        cure = "These credentials need lambda:InvokeFunctionUrl and lambda:InvokeFunction on the alias (output caller_policy)."
        yield failed(name, f"refused, HTTP {status}: {said}", cure)
    else:
        yield failed(
            name, f"HTTP {status}: {said}", "The function fails, or another one answers: see its log."
        )


_HEADERS: Final = {"content-type": "application/json"}


def _send(request: urllib.request.Request) -> tuple[int, str]:
    """Return status and beginning of the body."""
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the user's own URL
            return int(answer.status), answer.read(500).decode(errors="replace")
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read(500).decode(errors="replace")
