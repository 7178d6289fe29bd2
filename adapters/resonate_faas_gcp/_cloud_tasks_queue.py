"""The Queue port over Cloud Tasks: each message is an HTTP task to our own URL, with a signed token of the queue's account."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from resonate_faas._addresses import parse_address
from resonate_faas._clock import SystemClock
from resonate_faas._errors import QueueError
from resonate_faas._http.delivery import encode_queued
from resonate_faas._machine.objects import Execute, Message, Poke, Unblock
from resonate_faas._ports import Clock
from resonate_faas_gcp._cloud_tasks_rpc import CloudTasksRpc, cloud_tasks_channel, messages

SCHEME: Final = "tasks"
DELAY_MAX_MS: Final = 30 * 24 * 3_600_000
"""Cloud Tasks' bound on how far ahead a task may be scheduled; farther wakes are the sweep's."""

SKEW_MS: Final = 60_000
"""What the clamp leaves of those 30 days, for a clock of ours that is ahead of the service's."""

DISPATCH_DEADLINE_S: Final = (15, 1_800)
"""The least and the most that Cloud Tasks allows an HTTP task."""


class CloudTasksQueue:
    """The Queue port over Cloud Tasks queues. Thread-safe; it opens its channel at the first message.

    A task goes to the queue that its target names: ``tasks://reports`` is the queue given as ``reports``, ``tasks://``
    the default one. Pokes go to the default queue. A target that is a URL, and a listener, is pushed to by the default
    queue; only our own URL gets a token. No task carries a name: that would cost a look-up, delay the task, and hide a
    message that must come again.

    Args:
        queue: the default queue, ``projects/P/locations/L/queues/Q``.
        url: where this deployment is reached: messages are posted to it, and it is the tokens' audience.
        account: the service account whose token Cloud Tasks sends along.
        others: more queues, by the name that targets use.
        dispatch_deadline_s: how long Cloud Tasks waits for an answer; cut to what it allows, 15 s to 30 min.
        channel: gives the channel, called once; by default :func:`cloud_tasks_channel`.
        clock: tells how far ahead a poke lies.
        pause: waits between tries; takes seconds.
    """

    def __init__(
        self,
        queue: str,
        *,
        url: str,
        account: str,
        others: Mapping[str, str] = MappingProxyType({}),
        dispatch_deadline_s: int = DISPATCH_DEADLINE_S[1],
        channel: Callable[[], Any] = cloud_tasks_channel,
        clock: Clock | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._queue = queue
        self._queues = {"": queue, queue.rpartition("/")[2]: queue, **others}
        self._url = url
        self._account = account
        least, most = DISPATCH_DEADLINE_S
        self._dispatch_deadline_s = min(max(dispatch_deadline_s, least), most)
        self._open_channel = channel
        self._clock = clock or SystemClock()
        self._pause = pause
        self._lock = threading.Lock()
        self._rpc: CloudTasksRpc | None = None

    @property
    def delay_max_ms(self) -> int:
        """How far ahead a poke can be sent."""
        return DELAY_MAX_MS - SKEW_MS

    @property
    def targets(self) -> tuple[str, ...]:
        """The addresses that name a queue."""
        return tuple(f"{SCHEME}://{name}" for name in self._queues)

    def send(self, *outgoing: Message) -> list[QueueError]:
        """Create a task for each message, side by side, without names; a poke comes at its instant.

        A poke's instant is cut at 30 days: by another machine's clock it may lie a little farther, and an early one
        is sent again. What could not be taken in three tries is the sweep's to repeat.

        Returns:
            Why each message that was not taken was not: no queue has its target's name, or the service refused.
        """
        errors: list[QueueError] = []
        requests: list[tuple[str, Any]] = []
        for message in outgoing:
            key = message.promise.id if isinstance(message, Unblock) else message.id
            try:
                requests.append((key, self._request(message)))
            except QueueError as error:
                errors.append(error)
        if requests:
            causes = self._calls().create([request for _, request in requests])
            errors += [
                QueueError(key, cause)
                for (key, _), cause in zip(requests, causes, strict=True)
                if cause is not None
            ]
        return errors

    def _calls(self) -> CloudTasksRpc:
        with self._lock:
            if self._rpc is None:
                self._rpc = CloudTasksRpc(self._open_channel(), self._pause)
            return self._rpc

    def _request(self, message: Message) -> Any:
        """Return the request that creates the message's task.

        Raises:
            QueueError: no queue has this name.
        """
        match message:
            case Poke(not_before=instant):
                return self._filled(message, self._queue, self._url, instant)
            case Execute(id=key, target=target):
                queue, url = self._place(key, target)
                return self._filled(message, queue, url)
            case Unblock(address=address):
                return self._filled(message, self._queue, address)

    def _place(self, key: str, target: str) -> tuple[str, str]:
        """Return the queue and the URL of a target; the server has matched it against the allow-list."""
        address = parse_address(target)
        if address is not None and address.scheme in {"http", "https"}:
            return self._queue, target
        queue = self._queues.get(address.host) if address and address.scheme == SCHEME else None
        if queue is None:
            names = ", ".join(repr(name) for name in self.targets)
            raise QueueError(key, f"{target[:200]!r} names none of the queues {names}")
        return queue, self._url

    def _filled(self, message: Message, queue: str, url: str, instant_ms: int = 0) -> Any:
        kinds = messages()
        request = kinds.create_task_request(parent=queue)
        task = request.task
        task.dispatch_deadline.seconds = self._dispatch_deadline_s
        http = task.http_request
        http.url, http.http_method = url, kinds.post
        http.headers["content-type"] = "application/json"
        http.body = json.dumps(encode_queued(message), separators=(",", ":")).encode()
        if url == self._url:
            http.oidc_token.service_account_email = self._account
            http.oidc_token.audience = self._url
        now_ms = self._clock.now_ms()
        if instant_ms > now_ms:
            task.schedule_time.FromMilliseconds(min(instant_ms, now_ms + self.delay_max_ms))
        return request
