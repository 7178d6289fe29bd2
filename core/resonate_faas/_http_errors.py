"""The errors of the HTTP rooms, a branch of the tree in ``_errors``: each leaf is one problem on the wire."""

from __future__ import annotations

from resonate_faas._errors import ResonateFaasError


class HttpError(ResonateFaasError):
    """A request that a route refuses; nothing was stored."""

    code = "http"
    status = 400


class AccessDeniedError(HttpError):
    """The caller is not known (401), or known and not allowed to do this (403)."""

    code = "access-denied"
    status = 403

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status, self.reason = status, reason

    def __str__(self) -> str:
        return self.reason


class RouteNotFoundError(HttpError):
    """There is no such route."""

    code = "route-not-found"
    status = 404

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"there is no route {self.path[:200]!r}; GET /openapi.json lists them"


class PromiseNotFoundError(HttpError):
    """The promise is unknown, or not the caller's to touch: which of the two is not told."""

    code = "promise-not-found"
    status = 404

    def __init__(self, promise_id: str) -> None:
        super().__init__(promise_id)
        self.promise_id = promise_id

    def __str__(self) -> str:
        return (
            f"promise {self.promise_id[:900]!r} does not exist, or this link or credential does not cover it"
        )


class MethodNotAllowedError(HttpError):
    """The route exists, with other methods."""

    code = "method-not-allowed"
    status = 405

    def __init__(self, method: str, allowed: tuple[str, ...]) -> None:
        super().__init__(method, allowed)
        self.method, self.allowed = method, allowed

    def __str__(self) -> str:
        return f"method {self.method[:32]!r} is not allowed here; use {' or '.join(self.allowed)}"


class BodyTooLargeError(HttpError):
    """The body is over the limit; it was not read."""

    code = "body-too-large"
    status = 413

    def __init__(self, bytes_max: int) -> None:
        super().__init__(bytes_max)
        self.bytes_max = bytes_max

    def __str__(self) -> str:
        return (
            f"the body is over the limit of {self.bytes_max} bytes; store it elsewhere and pass a reference"
        )


class ContentTypeError(HttpError):
    """The body is not declared as JSON."""

    code = "content-type"
    status = 415

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found

    def __str__(self) -> str:
        return f"the content type must be application/json, not {self.found[:100]!r}"


class MalformedBodyError(HttpError):
    """The body is not JSON."""

    code = "malformed-body"
    status = 400

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the body is not JSON: {self.reason}"


class InvalidFieldError(HttpError):
    """A field of the body or the query breaks its rule."""

    code = "invalid-field"
    status = 422

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field, self.reason = field, reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"
