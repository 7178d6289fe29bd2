"""One total table from error to response."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import resonate_faas
from resonate_faas import ResonateFaasError
from resonate_faas._http.problems import PROBLEMS, problem_response

SAMPLES: dict[str, tuple[object, ...]] = {
    "ConflictError": (("a",), 8),
    "OutcomeUnknownError": (("a",), "the cause"),
    "StoreUnavailableError": ("read", "the cause"),
    "QueueError": ("a", "the cause"),
    "TaskNotAcquiredError": ("a", 1, "why"),
    "RequestRefusedError": (422, "why"),
    "InvocationConflictError": (409, "why"),
    "EncodingError": ("where", "why"),
    "DecodingError": ("where", "why"),
    "AlreadyRegisteredError": ("name", 1),
    "InvalidNameError": ("name", "why"),
    "FunctionNotFoundError": ("name", 0, ("other",)),
    "ArgumentsError": ("fn", "why", "count"),
    "CronError": ("* *", "why"),
    "DependencyNotFoundError": ("db",),
    "ConfigurationError": ("RESONATE_FAAS_X", "why"),
    "LimitExceededError": ("promises", 10, "cure"),
    "ApplicationError": ("message", "Name"),
    "PromiseTimeoutError": ("a",),
    "PromiseCanceledError": ("a",),
    "AccessDeniedError": (401, "why"),
    "RouteNotFoundError": ("/x",),
    "PromiseNotFoundError": ("a",),
    "MethodNotAllowedError": ("PUT", ("GET",)),
    "BodyTooLargeError": (1,),
    "ContentTypeError": ("text/plain",),
    "MalformedBodyError": ("why",),
    "InvalidFieldError": ("field", "why"),
}

STATUSES = {
    "ConflictError": 503,
    "OutcomeUnknownError": 503,
    "StoreUnavailableError": 503,
    "QueueError": 503,
    "TaskNotAcquiredError": 409,
    "RequestRefusedError": 422,
    "InvocationConflictError": 409,
    "EncodingError": 422,
    "DecodingError": 422,
    "AlreadyRegisteredError": 400,
    "InvalidNameError": 400,
    "FunctionNotFoundError": 404,
    "ArgumentsError": 422,
    "CronError": 400,
    "LimitExceededError": 422,
    "AccessDeniedError": 401,
    "RouteNotFoundError": 404,
    "PromiseNotFoundError": 404,
    "MethodNotAllowedError": 405,
    "BodyTooLargeError": 413,
    "ContentTypeError": 415,
    "MalformedBodyError": 400,
    "InvalidFieldError": 422,
}
"""By hand, from protocol section 1.4 and design section 8; what only workflows see is left out."""

GROUPS = {"StoreError", "HttpError", "CodecError", "RegistryError", "DurableError"}


def leaves(kind: type[ResonateFaasError] = ResonateFaasError) -> Iterator[type[ResonateFaasError]]:
    """Yield what can be raised of the core's tree."""
    for child in kind.__subclasses__():
        if child.__module__.split(".")[0] == "resonate_faas":
            if child.__name__ not in GROUPS:
                yield child
            yield from leaves(child)


def test_the_table_is_total_and_holds_nothing_else() -> None:
    assert set(PROBLEMS) == set(leaves())
    assert {kind.__name__ for kind in PROBLEMS} == set(SAMPLES)


@pytest.mark.parametrize("kind", list(PROBLEMS))
def test_every_error_becomes_a_problem_document(kind: type[ResonateFaasError]) -> None:
    error = kind(*SAMPLES[kind.__name__])
    response = problem_response(error)
    body = json.loads(response.body)
    assert response.headers["content-type"] == "application/problem+json"
    assert body["code"] == error.code
    assert body["status"] == response.status
    assert response.status == STATUSES.get(kind.__name__, response.status)
    assert "the cause" not in response.body.decode()
    assert body.get("field") == getattr(error, "field", None)


def test_codes_are_unique_and_every_error_is_exported() -> None:
    codes = [kind.code for kind in PROBLEMS]
    assert len(set(codes)) == len(codes)
    for kind in PROBLEMS:
        assert getattr(resonate_faas, kind.__name__) is kind


def test_an_adapters_own_error_counts_as_its_ancestor() -> None:
    class LocalDiskError(resonate_faas.StoreUnavailableError):
        """Of some adapter."""

    LocalDiskError.__module__ = "elsewhere"
    assert problem_response(LocalDiskError("read", "the cause")).status == 503


def test_an_error_nobody_foresaw_tells_nothing() -> None:
    class StrangeError(ResonateFaasError):
        """Of some adapter."""

    StrangeError.__module__ = "elsewhere"
    response = problem_response(StrangeError("the secret of the house"))
    assert response.status == 500
    assert b"secret" not in response.body
