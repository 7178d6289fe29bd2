"""Calls to DynamoDB: what is tried again, and what each failure means. The one place that knows botocore's errors.

The SDK's own retries are off. A conditional write whose answer is lost would come back from them as a failed
condition although it was committed; here it is told as unknown, and the transaction loop reads what happened.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, Final, NoReturn

from resonate_faas._errors import OutcomeUnknownError, StoreUnavailableError
from resonate_faas._optimistic import MovedError

TRIES_MAX: Final = 12
PAUSE_MS: Final = 10.0
PAUSE_MAX_MS: Final = 1_000.0
"""Twelve tries wait about four seconds in the mean: long enough for a table to scale, short beside a lease."""

CONNECT_TIMEOUT_S: Final = 2.0
READ_TIMEOUT_S: Final = 5.0
CONNECTIONS_MAX: Final = 64

_THROTTLED: Final = frozenset(
    {
        "ThrottlingException",
        "ThrottlingError",
        "Throttling",
        "ProvisionedThroughputExceededException",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "LimitExceededException",
    }
)
_MOVED: Final = frozenset(
    {
        "ConditionalCheckFailedException",
        "ConditionalCheckFailed",
        "TransactionConflictException",
        "TransactionConflict",
    }
)
_CANCELED: Final = "TransactionCanceledException"
_IN_PROGRESS: Final = "TransactionInProgressException"


def dynamodb_client(*, region: str | None = None, endpoint: str | None = None, session: Any = None) -> Any:
    """Return a low-level client as the store needs it: no retries of its own, short time-outs. Thread-safe.

    It is for the store alone: the items of its queries and scans are left as JSON has them, binary values as base64.

    Args:
        region: by default that of the session.
        endpoint: by default that of the region.
        session: a boto3 session; by default one of the environment.
    """
    import boto3  # noqa: PLC0415 - 300 ms, and only where a store is really opened
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        max_pool_connections=CONNECTIONS_MAX,
        parameter_validation=False,
        tcp_keepalive=True,
    )
    maker = boto3 if session is None else session
    client = maker.client("dynamodb", region_name=region, endpoint_url=endpoint, config=config)
    for operation in ("Query", "Scan"):
        client.meta.events.register(f"before-parse.dynamodb.{operation}", _spare_items)
    return client


def _spare_items(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Keep the items from botocore's parser, which walks every attribute: half of the CPU time of a long history."""
    if response_dict["status_code"] != HTTPStatus.OK:
        return
    answer = json.loads(response_dict["body"])
    customized_response_dict["Items"] = answer.pop("Items", [])
    response_dict["body"] = json.dumps(answer).encode()


class Calls:
    """One table's client, and the tries.

    Args:
        client: a DynamoDB client whose retries are off.
        pause: waits between tries; takes seconds.

    Raises:
        ValueError: the client retries by itself.
    """

    def __init__(self, client: Any, pause: Callable[[float], None]) -> None:
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError  # noqa: PLC0415
        from botocore.parsers import ResponseParserError  # noqa: PLC0415

        attempts = (client.meta.config.retries or {}).get("total_max_attempts")
        if attempts != 1:
            raise ValueError(
                "the client retries by itself, which turns a lost answer into a failed condition: make it with "
                "Config(retries={'total_max_attempts': 1}), or by dynamodb_client()"
            )
        self.client = client
        self._pause = pause
        self._refused = ClientError
        self._unanswered = (HTTPClientError, ResponseParserError)
        self._failures = (BotoCoreError, ClientError, ResponseParserError)

    def read(self, operation: str, **request: Any) -> dict[str, Any]:
        """Call something that changes nothing; what can pass is tried again.

        Raises:
            StoreUnavailableError: it did not pass in time, or never will.
        """
        for wait in self._waits():
            try:
                answer: dict[str, Any] = getattr(self.client, operation)(**request)
            except self._failures as error:
                if wait is None or not self._may_pass(error):
                    raise StoreUnavailableError(operation, self._cause(error)) from error
                self._pause(wait)
            else:
                return answer
        raise AssertionError("unreachable")

    def write(self, operation: str, keys: tuple[str, ...], **request: Any) -> None:
        """Call a conditional write once; only a throttled one, which wrote nothing, is tried again.

        Raises:
            MovedError: a condition failed, or another transaction was at work on an item.
            OutcomeUnknownError: no answer, or one that does not tell.
            StoreUnavailableError: refused; nothing was written.
        """
        for wait in self._waits():
            try:
                getattr(self.client, operation)(**request)
            except self._failures as error:
                if wait is None or not self._is_throttled(error):
                    self._raise(error, operation, keys)
                self._pause(wait)
            else:
                return

    def pause(self, attempt: int) -> None:
        """Wait with jitter before something is asked for again."""
        self._pause(_jittered(attempt))

    def _waits(self) -> Iterator[float | None]:
        """Yield the wait after each try, None after the last."""
        for attempt in range(TRIES_MAX - 1):
            yield _jittered(attempt)
        yield None

    def _raise(self, error: Exception, operation: str, keys: tuple[str, ...]) -> NoReturn:
        """Translate the failure of a write."""
        codes = self._codes(error)
        if codes & _MOVED:
            raise MovedError(keys) from error
        if isinstance(error, self._unanswered) or _IN_PROGRESS in codes or self._status(error) >= 500:
            raise OutcomeUnknownError(keys, self._cause(error)) from error
        raise StoreUnavailableError(operation, self._cause(error)) from error

    def _may_pass(self, error: Exception) -> bool:
        codes = self._codes(error)
        return (
            not isinstance(error, self._refused)
            or self._status(error) >= 500
            or self._is_throttled(error)
            or bool(codes & _MOVED)
        )

    def _is_throttled(self, error: Exception) -> bool:
        """True if the call was refused for its rate alone: a cancelled transaction tells a reason for each item."""
        return bool(self._codes(error) & _THROTTLED) and not self._codes(error) & _MOVED

    def _codes(self, error: Exception) -> frozenset[str]:
        if not isinstance(error, self._refused):
            return frozenset()
        response: dict[str, Any] = error.response
        code = str(response.get("Error", {}).get("Code", ""))
        if code != _CANCELED:
            return frozenset((code,))
        reasons = response.get("CancellationReasons") or []
        return frozenset(str(reason.get("Code")) for reason in reasons) - {"None"}

    def _status(self, error: Exception) -> int:
        if not isinstance(error, self._refused):
            return 0
        return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))

    def _cause(self, error: Exception) -> str:
        return f"{type(error).__name__}: {error}"[:500]


def _jittered(attempt: int) -> float:
    """Return seconds: full jitter under a ceiling that doubles."""
    ceiling = min(PAUSE_MS * 2**attempt, PAUSE_MAX_MS)
    return random.uniform(0, ceiling) / 1000  # noqa: S311 - jitter, not a secret
