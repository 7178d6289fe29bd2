"""Lambda's event source mapping for SQS: polls real queues, invokes with batches, deletes what was not reported as failed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from tests.emulators.lambda_runtime import FunctionError, LambdaEmulator

WAIT_S = 1
STOP_S = 60.0

Message = dict[str, Any]
Batches = Callable[[list[Message]], Sequence[Sequence[Message]]]
"""What becomes of the messages received at once: batches in the order in which they are delivered."""


class EventSourceMapping:
    """Polls until it is left; a context manager.

    Args:
        client: makes an SQS client.
        queue_url: of the queue.
        function: what is invoked.
        batch_size: messages of one event.
        pollers: batches at a time.
        mangle: may repeat and reorder messages, as a standard queue may.
    """

    def __init__(
        self,
        client: Callable[[], Any],
        queue_url: str,
        function: LambdaEmulator,
        *,
        batch_size: int = 1,
        pollers: int = 2,
        mangle: Batches = lambda messages: [messages],
    ) -> None:
        self._client = client
        self._queue_url = queue_url
        self._function = function
        self._batch_size = batch_size
        self._mangle = mangle
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._poll, daemon=True) for _ in range(pollers)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(STOP_S)

    def _poll(self) -> None:
        client = self._client()
        while not self._ending.is_set():
            answer = client.receive_message(
                QueueUrl=self._queue_url,
                MaxNumberOfMessages=self._batch_size,
                WaitTimeSeconds=WAIT_S,
                MessageSystemAttributeNames=["All"],
            )
            for batch in self._mangle(answer.get("Messages", [])):
                if batch:
                    self._deliver(client, batch)

    def _deliver(self, client: Any, batch: Sequence[Message]) -> None:
        """Invoke once; whatever fails is left to its visibility timeout."""
        with contextlib.suppress(FunctionError):
            answer = self._function.invoke({"Records": [record(message) for message in batch]})
            failed = {each["itemIdentifier"] for each in answer["batchItemFailures"]}
            done = {
                each["MessageId"]: each["ReceiptHandle"] for each in batch if each["MessageId"] not in failed
            }
            for receipt in done.values():
                with contextlib.suppress(
                    client.exceptions.ReceiptHandleIsInvalid
                ):  # it took too long: it comes again
                    client.delete_message(QueueUrl=self._queue_url, ReceiptHandle=receipt)


def record(message: Message) -> dict[str, Any]:
    """Return a received message as Lambda hands it over."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message.get("ReceiptHandle", ""),
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:000000000000:queue",
        "awsRegion": "eu-central-1",
    }
