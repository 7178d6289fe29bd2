"""Errors as RFC 9457 problems: one total table, from every error to what the wire may know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from resonate_faas import _errors as errors
from resonate_faas import _http_errors as http
from resonate_faas._http.messages import PROBLEM_TYPE, HttpResponse, json_response

TYPE_PREFIX: Final = "urn:resonate-faas:problem:"
INTERNAL_CODE: Final = "internal"


@dataclass(frozen=True, slots=True)
class Problem:
    """How an error looks on the wire.

    Attributes:
        title: the same for every occurrence.
        is_told: the error's own text is the detail; False: it may hold what a caller must not see.
        status: None: the error's own.
    """

    title: str
    is_told: bool = True
    status: int | None = None


_STORE = Problem("The store can't serve now; try again", is_told=False, status=503)

PROBLEMS: Final[Mapping[type[errors.ResonateFaasError], Problem]] = {
    errors.ConflictError: _STORE,
    errors.StoreUnavailableError: _STORE,
    errors.OutcomeUnknownError: Problem(
        "The answer of a write was lost; read before you try again", is_told=False, status=503
    ),
    errors.QueueError: Problem("The queue can't take messages now; try again", is_told=False, status=503),
    errors.TaskNotAcquiredError: Problem("The task's lease is not ours"),
    errors.RequestRefusedError: Problem("The request was refused"),
    errors.InvocationConflictError: Problem("The execution exists with another function or other arguments"),
    errors.EncodingError: Problem("A value can't be recorded"),
    errors.DecodingError: Problem("A record can't be read"),
    errors.AlreadyRegisteredError: Problem("The name is taken"),
    errors.InvalidNameError: Problem("The name can't be registered"),
    errors.FunctionNotFoundError: Problem("The function is not registered"),
    errors.ArgumentsError: Problem("The arguments do not fit the function's signature"),
    errors.CronError: Problem("The cron expression or its time zone can't be used"),
    errors.DependencyNotFoundError: Problem("A dependency is not set", is_told=False),
    errors.ConfigurationError: Problem("The deployment is not set up right", is_told=False),
    errors.LimitExceededError: Problem("A bound was met"),
    errors.ApplicationError: Problem("The execution failed"),
    errors.PromiseTimeoutError: Problem("The promise was not settled before its deadline"),
    errors.PromiseCanceledError: Problem("The promise was cancelled"),
    http.AccessDeniedError: Problem("Access denied"),
    http.RouteNotFoundError: Problem("There is no such route"),
    http.PromiseNotFoundError: Problem("The promise was not found"),
    http.MethodNotAllowedError: Problem("The method is not allowed"),
    http.BodyTooLargeError: Problem("The body is too large"),
    http.ContentTypeError: Problem("The content type is not supported"),
    http.MalformedBodyError: Problem("The body is malformed"),
    http.InvalidFieldError: Problem("A field is invalid"),
}
"""Every leaf of the tree in ``_errors``; an adapter's own error counts as its nearest ancestor here."""

_UNLISTED: Final = Problem("The request could not be done", is_told=False)


def problem_response(error: errors.ResonateFaasError) -> HttpResponse:
    """Return the problem document of an error."""
    problem = next((PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS), _UNLISTED)
    status = problem.status or error.status
    headers: dict[str, str] = {}
    if isinstance(error, http.MethodNotAllowedError):
        headers["allow"] = ", ".join(error.allowed)
    if isinstance(error, http.AccessDeniedError) and status == 401:
        headers["www-authenticate"] = "Bearer"
    if status == 503:
        headers["retry-after"] = "1"
    detail = str(error) if problem.is_told else problem.title
    return _response(status, error.code, problem.title, detail, getattr(error, "field", None), headers)


def bug_response() -> HttpResponse:
    """Return the problem of an error that is nobody's fault but ours: nothing of it is told."""
    title = "Internal error"
    return _response(
        500, INTERNAL_CODE, title, "The error was logged; the request may be tried again", None, {}
    )


def _response(
    status: int, code: str, title: str, detail: str, field: str | None, headers: Mapping[str, str]
) -> HttpResponse:
    body: dict[str, Any] = {
        "type": f"{TYPE_PREFIX}{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if field is not None:
        body["field"] = field
    return json_response(status, body, headers=headers, media_type=PROBLEM_TYPE)
