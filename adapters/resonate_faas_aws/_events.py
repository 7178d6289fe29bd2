"""What Lambda hands over, as requests and messages of ours; and our responses as it wants them.

Formats: function URLs and API Gateway HTTP APIs send payload 2.0, HTTP APIs set to 1.0 and REST APIs payload 1.0;
an event source mapping sends SQS records; everything else comes from a direct invocation.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final
from urllib.parse import quote, urlencode

from resonate_faas._errors import ResonateFaasError
from resonate_faas._http import HttpRequest, HttpResponse, decode_queued
from resonate_faas._http_errors import InvalidFieldError
from resonate_faas._machine.objects import Execute, Poke
from resonate_faas._pushed import load_json

Event = Mapping[str, Any]

_SQS: Final = "aws:sqs"
_DEFAULT_STAGE: Final = "$default"
_FUNCTION_URL: Final = ".lambda-url."
_JSON_HEADERS: Final = {"content-type": "application/json"}
_KEYS_SHOWN: Final = 10


class UnknownEventError(ResonateFaasError):
    """An event that this function does not understand; nothing was done."""

    code = "unknown-event"
    status = 400

    def __init__(self, keys: str) -> None:
        super().__init__(keys)
        self.keys = keys

    def __str__(self) -> str:
        return (
            f"the event (with {self.keys}) is none that this function takes: SQS records, a request of a function URL "
            'or of API Gateway, {"resonate": "tick"}, {"resonate": "invoke", "function": ...}, or a Resonate envelope'
        )


class DirectInvocationError(ResonateFaasError):
    """A direct invocation was refused; its status and detail are those of the route that it stands for."""

    code = "direct-invocation"
    status = 400

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(status, detail)
        self.status, self.detail = status, detail

    def __str__(self) -> str:
        return f"{self.status}: {self.detail}"


class Kind(Enum):
    """Where an event comes from."""

    MESSAGES = "messages"  # an event source mapping of SQS
    HTTP_2 = "http 2.0"  # a function URL, or an HTTP API
    HTTP_1 = "http 1.0"  # a REST API, or an HTTP API set to it
    DIRECT = "direct"  # whoever may invoke the function, the scheduler among them


def kind_of(event: Any) -> Kind:
    """Return where an event comes from.

    Raises:
        UnknownEventError: it has no form that is known here.
    """
    if not isinstance(event, Mapping):
        raise UnknownEventError(f"the type {type(event).__name__}")
    records, context = event.get("Records"), event.get("requestContext")
    if isinstance(records, list) and all(_is_of_sqs(record) for record in records):
        return Kind.MESSAGES
    if isinstance(context, Mapping) and isinstance(context.get("http"), Mapping):
        return Kind.HTTP_2
    if isinstance(context, Mapping) and isinstance(event.get("httpMethod"), str):
        return Kind.HTTP_1
    if event.get("resonate") in {"tick", "invoke"} or isinstance(event.get("kind"), str):
        return Kind.DIRECT
    shown = ", ".join(repr(str(key)[:40]) for key in list(event)[:_KEYS_SHOWN])
    raise UnknownEventError(f"the keys {shown}" if shown else "no keys")


def _is_of_sqs(record: Any) -> bool:
    return isinstance(record, Mapping) and record.get("eventSource") == _SQS


def message_of(record: Event) -> Execute | Poke:
    """Return the message of an SQS record.

    Raises:
        InvalidFieldError: it is none of ours.
    """
    try:
        value = load_json(str(record.get("body", "")))
    except ValueError as error:
        raise InvalidFieldError("body", "it is not JSON") from error
    return decode_queued(value)


def is_verified(event: Event, kind: Kind) -> bool:
    """True if IAM has let this HTTP request in: AWS itself wrote the caller's identity into the event.

    Function URLs with AuthType AWS_IAM and HTTP APIs with an IAM authorizer tell it at ``authorizer.iam``, payload
    1.0 at ``identity.userArn``; on other requests both are absent, whatever the client sent.
    """
    context = event["requestContext"]
    if kind is Kind.HTTP_2:
        authorizer = context.get("authorizer")
        return isinstance(authorizer, Mapping) and bool(authorizer.get("iam"))
    identity = context.get("identity")
    return isinstance(identity, Mapping) and bool(identity.get("userArn"))


def http_request(event: Event, kind: Kind, *, prefix: str) -> HttpRequest:
    """Return the request of an HTTP event.

    Args:
        event: of payload 1.0 or 2.0.
        kind: which of the two.
        prefix: of the path, such as a stage or a base path mapping; cut off where it is there.
    """
    if kind is Kind.HTTP_2:
        method, path, query = (
            event["requestContext"]["http"]["method"],
            _path_2(event),
            event.get("rawQueryString"),
        )
    else:
        method, path, query = event["httpMethod"], _path_1(event), _query_1(event)
    return HttpRequest(
        method=str(method).upper(),
        path=_without(prefix, path),
        query=query or "",
        headers={str(name).lower(): str(value) for name, value in (event.get("headers") or {}).items()},
        body=_body(event),
    )


def _path_2(event: Event) -> str:
    """Return the path, encoded. A function URL passes it on as it came; an HTTP API decodes it, and adds its stage."""
    context, path = event["requestContext"], str(event.get("rawPath") or "/")
    if _FUNCTION_URL in str(context.get("domainName", "")):
        return path
    return _without_stage(context, quote(path))


def _path_1(event: Event) -> str:
    """Return the path, encoded. A REST API passes it on as it came, without its stage; an HTTP API does neither."""
    path = str(event.get("path") or "/")
    if event.get("version") != "1.0":
        return path
    return _without_stage(event["requestContext"], quote(path))


def _without_stage(context: Event, path: str) -> str:
    stage = context.get("stage")
    return path if stage in (None, "", _DEFAULT_STAGE) else _without(f"/{stage}", path)


def _without(prefix: str, path: str) -> str:
    if prefix and (path == prefix or path.startswith(f"{prefix}/")):
        return path[len(prefix) :] or "/"
    return path


def _query_1(event: Event) -> str:
    fields = event.get("multiValueQueryStringParameters") or event.get("queryStringParameters") or {}
    return urlencode({str(name): value for name, value in fields.items()}, doseq=True)


def _body(event: Event) -> bytes:
    body = event.get("body")
    if not isinstance(body, str):
        return b""
    # what is not Unicode is left for the route to refuse
    return base64.b64decode(body) if event.get("isBase64Encoded") else body.encode(errors="surrogatepass")


def http_answer(response: HttpResponse, method: str) -> dict[str, Any]:
    """Return a response as both payload formats have it; the body of ours is always text."""
    return {
        "statusCode": response.status,
        "headers": dict(response.headers),
        "body": "" if method == "HEAD" else response.body.decode(),
        "isBase64Encoded": False,
    }


def direct_request(event: Event) -> HttpRequest:
    """Return the request that a direct invocation stands for."""
    match event.get("resonate"):
        case "tick":
            path, body = "/tick", {}
        case "invoke":
            function = event.get("function")
            if not isinstance(function, str) or not function:
                raise DirectInvocationError(422, "function: the name of a registered function is missing")
            path = f"/invoke/{quote(function, safe='')}"
            body = {name: value for name, value in event.items() if name not in {"resonate", "function"}}
        case _:
            path, body = "/", dict(event)
    return HttpRequest(method="POST", path=path, headers=_JSON_HEADERS, body=json.dumps(body).encode())


def direct_answer(response: HttpResponse) -> Any:
    """Return the response's JSON. An envelope tells its own status; any other refusal is raised.

    Raises:
        DirectInvocationError: so that Lambda tries an asynchronous invocation again, and counts the error.
    """
    body = load_json(response.body)
    if response.status >= 400 and "kind" not in body:
        raise DirectInvocationError(response.status, str(body.get("detail", "refused")))
    return body


def failures(ids: Sequence[str]) -> dict[str, Any]:
    """Return the answer to a batch: the messages that stay in the queue (ReportBatchItemFailures)."""
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in ids]}
