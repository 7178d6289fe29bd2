"""Calls to Firestore: what is tried again, and what each failure means. The one place that knows gRPC's errors.

The channel carries no retry policy. A commit whose answer is lost would come back from a retry as a failed
precondition although it happened; here it is told as unknown, and the transaction loop reads what happened.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn
from urllib.parse import quote

from resonate_faas._errors import OutcomeUnknownError, StoreUnavailableError
from resonate_faas._optimistic import MovedError
from resonate_faas_gcp._firestore_messages import messages

HOST: Final = "firestore.googleapis.com:443"
SCOPE: Final = "https://www.googleapis.com/auth/datastore"

COMMIT_TIMEOUT_S: Final = 10.0
READ_TIMEOUT_S: Final = 15.0
"""Of one try; both stay below a lease of 30 s."""

READ_TRIES_MAX: Final = 6
PAUSE_MS: Final = 50.0
PAUSE_MAX_MS: Final = 1_000.0
"""Six tries wait about a second in the mean."""

Metadata = tuple[tuple[str, str], ...]

_SERVICE: Final = "/google.firestore.v1.Firestore/"
_UNLIMITED: Final = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))
_NO_RETRIES: Final = (("grpc.enable_retries", 0),)

_PASSING: Final = frozenset(
    {"ABORTED", "CANCELLED", "DEADLINE_EXCEEDED", "INTERNAL", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "UNKNOWN"}
)
_MOVED: Final = frozenset({"ABORTED", "ALREADY_EXISTS", "FAILED_PRECONDITION", "NOT_FOUND"})
_UNANSWERED: Final = frozenset(
    {"CANCELLED", "DATA_LOSS", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "UNKNOWN"}
)
_NEWER_THAN_STORED: Final = "base version"
"""What the emulator says, as INVALID_ARGUMENT, of an ``update_time`` ahead of the document's."""


def firestore_channel(emulator: str | None = None) -> Any:
    """Return a gRPC channel as the store needs it: no retries of its own. Thread-safe; not to be carried over a fork.

    Args:
        emulator: ``host:port`` of an emulator; None: the real service, with the application default credentials.
    """
    import grpc  # noqa: PLC0415 - only where a store is really opened

    options = (*_UNLIMITED, *_NO_RETRIES)
    if emulator is not None:
        return grpc.insecure_channel(emulator, options=options)
    from google.api_core.grpc_helpers import create_channel  # noqa: PLC0415

    return create_channel(HOST, default_scopes=(SCOPE,), options=options)


class FirestoreRpc:
    """The three calls that the store makes.

    Args:
        channel: as made by :func:`firestore_channel`.
        database: ``projects/{project}/databases/{database}``.
        pause: waits between tries; takes seconds.
    """

    def __init__(self, channel: Any, database: str, pause: Callable[[float], None]) -> None:
        import grpc  # noqa: PLC0415 - as above

        kinds = messages()
        self._pause = pause
        self._failure: type[Exception] = grpc.RpcError
        self._at_database = _routed("database", database)
        self._at_documents = _routed("parent", f"{database}/documents")
        self._commit = channel.unary_unary(
            f"{_SERVICE}Commit",
            request_serializer=kinds.commit_request.SerializeToString,
            response_deserializer=kinds.commit_response.FromString,
        )
        self._batch_get = channel.unary_stream(
            f"{_SERVICE}BatchGetDocuments",
            request_serializer=kinds.batch_get_request.SerializeToString,
            response_deserializer=kinds.batch_get_response.FromString,
        )
        self._run_query = channel.unary_stream(
            f"{_SERVICE}RunQuery",
            request_serializer=kinds.run_query_request.SerializeToString,
            response_deserializer=kinds.run_query_response.FromString,
        )

    def commit(self, request: Any, keys: tuple[str, ...]) -> Any:
        """Send a commit once and return its response.

        Raises:
            MovedError: a precondition failed, or another commit was at work on a document; nothing was written.
            OutcomeUnknownError: no answer, or one that does not tell.
            StoreUnavailableError: refused; nothing was written.
        """
        try:
            return self._commit(request, timeout=COMMIT_TIMEOUT_S, metadata=self._at_database)
        except self._failure as error:
            _raise_of_commit(error, keys)

    def batch_get(self, request: Any) -> list[Any]:
        """Return the documents found and missing, all of one snapshot, in any order.

        Raises:
            StoreUnavailableError: they can't be read.
        """
        answers, _ = self._read("read", self._batch_get, request, self._at_database)
        return answers

    def run_query(self, request: Any, bytes_max: int = 0) -> tuple[list[Any], bool]:
        """Return the documents of a query, in order, and whether these are all it asked for.

        Args:
            request: the query; bounded by its limit.
            bytes_max: stop behind the document that reaches this; 0: never.

        Raises:
            StoreUnavailableError: the query can't be answered.
        """
        answers, whole = self._read("query", self._run_query, request, self._at_documents, bytes_max)
        return [answer.document for answer in answers if answer.HasField("document")], whole

    def _read(
        self, doing: str, method: Any, request: Any, metadata: Metadata, bytes_max: int = 0
    ) -> tuple[list[Any], bool]:
        """Read a whole stream; what can pass is tried again from the start."""
        for wait in _waits():
            try:
                stream = method(request, timeout=READ_TIMEOUT_S, metadata=metadata)
                return _taken(stream, bytes_max)
            except self._failure as error:
                code, cause = _told(error)
                if wait is None or code not in _PASSING:
                    raise StoreUnavailableError(doing, cause) from error
                self._pause(wait)
        raise AssertionError("unreachable")


def _routed(field: str, name: str) -> Metadata:
    """Return the header by which Google's front ends find the database."""
    return (("x-goog-request-params", f"{field}={quote(name, safe='/')}"),)


def _taken(stream: Any, bytes_max: int) -> tuple[list[Any], bool]:
    """Return the answers of a stream, and whether it was read to its end."""
    answers: list[Any] = []
    left = bytes_max
    for answer in stream:
        answers.append(answer)
        left -= answer.ByteSize()
        if bytes_max and left <= 0:
            stream.cancel()
            return answers, False
    return answers, True


def _raise_of_commit(error: Exception, keys: tuple[str, ...]) -> NoReturn:
    """Translate the failure of a commit. RESOURCE_EXHAUSTED (too large, or over quota) wrote nothing."""
    code, cause = _told(error)
    if code in _MOVED or (code == "INVALID_ARGUMENT" and _NEWER_THAN_STORED in cause):
        raise MovedError(keys) from error
    if code in _UNANSWERED:
        raise OutcomeUnknownError(keys, cause) from error
    raise StoreUnavailableError("write", cause) from error


def _told(error: Any) -> tuple[str, str]:
    """Return the status code's name, and a text of at most 500 characters."""
    code = error.code().name
    return code, f"{code}: {error.details()}"[:500]


def _waits() -> Iterator[float | None]:
    """Yield the wait after each try, seconds with full jitter; None after the last."""
    for attempt in range(READ_TRIES_MAX - 1):
        ceiling = min(PAUSE_MS * 2**attempt, PAUSE_MAX_MS)
        yield random.uniform(0, ceiling) / 1000  # noqa: S311 - jitter, not a secret
    yield None
