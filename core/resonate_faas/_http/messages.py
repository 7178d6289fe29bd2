"""An HTTP request and a response as values: what a platform's handler translates to and from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from pydantic_core import from_json, to_json

from resonate_faas._http_errors import (
    BodyTooLargeError,
    ContentTypeError,
    InvalidFieldError,
    MalformedBodyError,
)

BODY_BYTES_MAX: Final = 1_048_576
"""Of a request: a param and a value of 300,000 bytes each fit, with their envelope."""

QUERY_FIELDS_MAX: Final = 16
JSON_TYPE: Final = "application/json"
PROBLEM_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request, whatever server took it.

    Attributes:
        method: upper case.
        path: as it was sent, percent-encoded: an id may hold an encoded slash. Where a platform decodes it, encode again.
        query: as it was sent, without the question mark.
        headers: names in lower case; of a repeated one, any.
        body: at most :data:`BODY_BYTES_MAX`, or as the settings say; a longer one may be cut one byte behind it.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def with_bearer(self, token: str) -> HttpRequest:
        """Return the request as if it had carried this bearer token in its header (D23)."""
        return replace(self, headers={**self.headers, "authorization": f"Bearer {token}"})

    @property
    def bearer(self) -> str | None:
        """The token of the Authorization header; None: there is none."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" and token.strip() else None

    def query_fields(self) -> dict[str, str]:
        """Return the decoded fields of the query; of a repeated one, the last.

        Raises:
            InvalidFieldError: it is not UTF-8, or has more than 16 fields.
        """
        try:
            return dict(
                parse_qsl(
                    self.query, keep_blank_values=True, errors="strict", max_num_fields=QUERY_FIELDS_MAX
                )
            )
        except ValueError as error:
            raise InvalidFieldError("query", "it must be UTF-8 with at most 16 fields") from error

    def json(self, *, bytes_max: int) -> Any:
        """Return the JSON value of the body.

        Raises:
            BodyTooLargeError: it is longer than ``bytes_max``.
            ContentTypeError: it is not declared as JSON.
            MalformedBodyError: it is not JSON.
        """
        self.require_json(bytes_max=bytes_max)
        try:
            return from_json(self.body, allow_inf_nan=False)
        except ValueError as error:
            raise MalformedBodyError(str(error)[:200]) from error

    def require_json(self, *, bytes_max: int) -> None:
        """Check what can be known of a JSON body before it is parsed.

        Raises:
            BodyTooLargeError: it is longer than ``bytes_max``.
            ContentTypeError: it is not declared as JSON.
        """
        if len(self.body) > bytes_max:
            raise BodyTooLargeError(bytes_max)
        if not self.is_json:
            raise ContentTypeError(self.headers.get("content-type", ""))

    @property
    def is_json(self) -> bool:
        """True if the body is declared as JSON; parameters such as the charset are not looked at."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower() == JSON_TYPE


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """A response. ``headers`` hold the content type; the length is the handler's."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


_ALWAYS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def json_response(
    status: int, body: Any, *, headers: Mapping[str, str] | None = None, media_type: str = JSON_TYPE
) -> HttpResponse:
    """Return a JSON response; an infinity, which JSON lacks, travels as text."""
    encoded = to_json(body, inf_nan_mode="strings")
    return HttpResponse(
        status=status, headers={"content-type": media_type, **_ALWAYS, **(headers or {})}, body=encoded
    )


def html_response(page: str, *, headers: Mapping[str, str]) -> HttpResponse:
    """Return a page."""
    return HttpResponse(
        status=200,
        headers={"content-type": "text/html; charset=utf-8", **_ALWAYS, **headers},
        body=page.encode(),
    )


def decode_segment(segment: str) -> str | None:
    """Return a path segment decoded; None: it is not UTF-8."""
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError:
        return None
