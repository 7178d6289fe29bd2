"""The Queue port over SQS: executes at once, pokes with a delay of whole seconds, up to 15 minutes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from resonate_faas._addresses import parse_address
from resonate_faas._clock import SystemClock
from resonate_faas._errors import QueueError
from resonate_faas._http.delivery import encode_queued
from resonate_faas._machine.objects import Execute, Message, Poke, Unblock
from resonate_faas._ports import Clock

SCHEME: Final = "sqs"
DELAY_MAX_S: Final = 900
"""SQS's bound on DelaySeconds; farther wakes are the sweep's."""

ATTEMPTS_MAX: Final = 3
CONNECT_TIMEOUT_S: Final = 2.0
READ_TIMEOUT_S: Final = 5.0
CONNECTIONS_MAX: Final = 32


def sqs_client(*, region: str | None = None, endpoint: str | None = None) -> Any:
    """Return a low-level client; it retries, since a message that comes twice is harmless. Thread-safe."""
    import boto3  # noqa: PLC0415 - 300 ms, and only where a queue is really used
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        retries={"total_max_attempts": ATTEMPTS_MAX, "mode": "standard"},
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        max_pool_connections=CONNECTIONS_MAX,
        parameter_validation=False,
        tcp_keepalive=True,
    )
    return boto3.client("sqs", region_name=region, endpoint_url=endpoint, config=config)


class SqsQueue:
    """The Queue port over standard SQS queues. Thread-safe.

    A task goes to the queue that its target names: ``sqs://reports`` is the queue given as ``reports``,
    ``sqs://`` the default one; an address that names none of them is refused. Pokes go to the default queue.

    Args:
        url: of the default queue.
        others: URLs of more queues, by the name that targets use.
        client: a low-level SQS client; by default :func:`sqs_client`.
        clock: tells how far ahead a poke lies.
    """

    def __init__(
        self,
        url: str,
        *,
        others: Mapping[str, str] = MappingProxyType({}),
        client: Any = None,
        clock: Clock | None = None,
    ) -> None:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as in sqs_client

        self._url = url
        self._urls = {"": url, url.rpartition("/")[2]: url, **others}
        self._client = sqs_client() if client is None else client
        self._clock = clock or SystemClock()
        self._failures = (BotoCoreError, ClientError)

    @property
    def delay_max_ms(self) -> int:
        """How far ahead a poke can be sent."""
        return DELAY_MAX_S * 1_000

    def send(self, message: Message) -> None:
        """Send a message as JSON (protocol section 1.3; a poke is ours).

        A poke's delay is rounded up to whole seconds, so that it does not come before its instant, and cut at 15
        minutes: by another machine's clock it may lie a little farther, and an early one is sent again.

        Raises:
            QueueError: it was not taken; no queue has this name; or it is for a listener, who is told over HTTP.
        """
        match message:
            case Poke(id=key, not_before=instant):
                left_ms = max(instant - self._clock.now_ms(), 0)
                self._send(key, self._url, message, min(-(-left_ms // 1_000), DELAY_MAX_S))
            case Execute(id=key, target=target):
                address = parse_address(target)
                url = self._urls.get(address.host) if address and address.scheme == SCHEME else None
                if url is None:
                    raise QueueError(key, f"{target[:200]!r} names none of the queues {self._names()}")
                self._send(key, url, message, 0)
            case Unblock(promise=promise):
                raise QueueError(promise.id, "listeners are told over HTTP, not by SQS")

    def _send(self, key: str, url: str, message: Message, delay_s: int) -> None:
        body = json.dumps(encode_queued(message), separators=(",", ":"))
        request: dict[str, Any] = {"QueueUrl": url, "MessageBody": body}
        if delay_s:
            request["DelaySeconds"] = delay_s
        try:
            self._client.send_message(**request)
        except self._failures as error:
            raise QueueError(key, f"{type(error).__name__}: {error}"[:500]) from error

    def _names(self) -> str:
        return ", ".join(repr(f"{SCHEME}://{name}") for name in self._urls)
