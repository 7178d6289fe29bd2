"""The Queue port over SQS: executes at once, pokes with a delay of whole seconds, up to 15 minutes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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

BATCH_MAX: Final = 10
"""Messages of one SendMessageBatch."""

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

    def send(self, *messages: Message) -> list[QueueError]:
        """Send messages as JSON (protocol section 1.3; a poke is ours), ten a request.

        A poke's delay is rounded up to whole seconds, so that it does not come before its instant, and cut at 15
        minutes: by another machine's clock it may lie a little farther, and an early one is sent again. Listeners are
        told over HTTP: their messages are refused, as those for a queue that has no name here.
        """
        errors: list[QueueError] = []
        by_url: dict[str, list[Execute | Poke]] = {}
        for message in messages:
            match message:
                case Unblock(promise=promise):
                    errors.append(QueueError(promise.id, "listeners are told over HTTP, not by SQS"))
                case Poke():
                    by_url.setdefault(self._url, []).append(message)
                case Execute(id=key, target=target):
                    url = self._url_of(target)
                    if url is None:
                        cause = f"{target[:200]!r} names none of the queues {self._names()}"
                        errors.append(QueueError(key, cause))
                    else:
                        by_url.setdefault(url, []).append(message)
        for url, those in by_url.items():
            for start in range(0, len(those), BATCH_MAX):
                errors += self._send(url, those[start : start + BATCH_MAX])
        return errors

    def _url_of(self, target: str) -> str | None:
        """Return the URL of the queue that a target names; None: there is none."""
        address = parse_address(target)
        return self._urls.get(address.host) if address and address.scheme == SCHEME else None

    def _send(self, url: str, messages: Sequence[Execute | Poke]) -> list[QueueError]:
        """Send one batch; of a batch, each message may fail for itself."""
        entries = [{"Id": str(number), **self._entry(message)} for number, message in enumerate(messages)]
        try:
            answer = self._client.send_message_batch(QueueUrl=url, Entries=entries)
        except self._failures as error:
            cause = f"{type(error).__name__}: {error}"[:500]
            return [QueueError(message.id, cause) for message in messages]
        return [
            QueueError(messages[int(failed["Id"])].id, f"{failed['Code']}: {failed.get('Message', '')}"[:500])
            for failed in answer.get("Failed", ())
        ]

    def _entry(self, message: Execute | Poke) -> dict[str, Any]:
        entry: dict[str, Any] = {"MessageBody": json.dumps(encode_queued(message), separators=(",", ":"))}
        if isinstance(message, Poke):
            left_ms = max(message.not_before - self._clock.now_ms(), 0)
            entry["DelaySeconds"] = min(-(-left_ms // 1_000), DELAY_MAX_S)
        return entry

    def _names(self) -> str:
        return ", ".join(repr(f"{SCHEME}://{name}") for name in self._urls)
