"""What the Lambda runtime calls: it tells an event's kind, and hands it to who answers requests or takes messages."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from resonate_faas._errors import ConfigurationError, StoreError
from resonate_faas._http import HttpRequest, HttpResponse
from resonate_faas._http_errors import InvalidFieldError
from resonate_faas._machine.objects import Message
from resonate_faas._ports import Clock
from resonate_faas._worker import WorkerSettings
from resonate_faas_aws._ending import Ending
from resonate_faas_aws._events import (
    Event,
    Kind,
    direct_answer,
    direct_request,
    failures,
    http_answer,
    http_request,
    is_verified,
    kind_of,
    message_of,
)

log = logging.getLogger("resonate_faas_aws")

AT_A_TIME: Final = 8
"""Messages of one batch delivered at a time: a long one must not use up the time of its neighbours."""

LAST_MS: Final = 1_000
"""A message whose turn comes this close to the end is left to the queue."""


class LambdaContext(Protocol):
    """What of the runtime's context is used."""

    invoked_function_arn: str

    def get_remaining_time_in_millis(self) -> int:
        """Return how long this invocation may still take."""


class Answers(Protocol):
    """Answers requests: the routes over a store of ours, or what stands for them elsewhere."""

    def handle(self, request: HttpRequest, *, deadline_mono_ms: int | None = None) -> HttpResponse:
        """Answer one; never raises."""


class Takes(Protocol):
    """Takes messages off a queue: a node over a store of ours, or what stands for it elsewhere."""

    def deliver(self, message: Message, *, deadline_mono_ms: int | None = None) -> object:
        """Do what one hints at.

        Raises:
            StoreError: try again later.
        """


class LambdaFunction:
    """A Lambda function: ``handler = lambda_handler(resonate)`` makes one; the runtime calls it with each event.

    Args:
        answers: requests of callers that IAM has let in, direct invocations among them.
        outside: requests of everybody else.
        takes: messages of the event source mapping.
        stop: releases what is held, when the process is told to end.
        clock: the time.
        activations: their settings, compared with the function's timeout, which only an invocation tells.
        public_url: its path, if it has one, is cut off the paths of requests.
        heard: told the name under which the function was invoked.
    """

    def __init__(
        self,
        *,
        answers: Answers,
        outside: Answers,
        takes: Takes,
        stop: Callable[[], None],
        clock: Clock,
        activations: WorkerSettings,
        public_url: str | None = None,
        heard: Callable[[str | None], None] = lambda _: None,
    ) -> None:
        self._answers = answers
        self._outside = outside
        self._takes = takes
        self._ending = Ending(stop)
        self._clock = clock
        self._activations = activations
        self._prefix = urlsplit(public_url or "").path
        self._heard = heard
        self._is_cold = True

    def __call__(self, event: Any, context: LambdaContext) -> Any:
        """Handle one event.

        Args:
            event: see :mod:`resonate_faas_aws._events`.
            context: the runtime's.

        Returns:
            What the event's source expects: the failures of a batch, an HTTP response, or the result of a direct call.

        Raises:
            UnknownEventError: the event is none that is known here.
            DirectInvocationError: a direct invocation was refused.
            ConfigurationError: the function's timeout is too short for any step to start.
            SystemExit: the process was told to end before: another one must do it.
        """
        if self._ending.is_told:
            sys.exit("the process was told to end")
        remaining_ms = context.get_remaining_time_in_millis()
        deadline = self._clock.monotonic_ms() + remaining_ms
        self._heard(getattr(context, "invoked_function_arn", None))
        if self._is_cold:
            self._check_timeout(remaining_ms)
            self._is_cold = False
        kind = kind_of(event)
        with self._ending.heeded():
            if kind is Kind.MESSAGES:
                return self._batch(event["Records"], deadline)
            if kind is Kind.DIRECT:
                response = self._answers.handle(direct_request(event), deadline_mono_ms=deadline)
                return direct_answer(response)
            return self._http(event, kind, deadline)

    def _http(self, event: Event, kind: Kind, deadline: int) -> dict[str, Any]:
        who = self._answers if is_verified(event, kind) else self._outside
        request = http_request(event, kind, prefix=self._prefix)
        return http_answer(who.handle(request, deadline_mono_ms=deadline), request.method)

    def _batch(self, records: Sequence[Event], deadline: int) -> dict[str, Any]:
        """Deliver the messages of a batch, each for itself; name those that must come again."""
        if len(records) <= 1:
            done = [self._deliver(record, deadline) for record in records]
        else:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - most batches have one message

            with ThreadPoolExecutor(min(len(records), AT_A_TIME), "resonate-message") as pool:
                done = list(pool.map(lambda record: self._deliver(record, deadline), records))
        return failures(
            [str(record["messageId"]) for record, is_done in zip(records, done, strict=True) if not is_done]
        )

    def _deliver(self, record: Event, deadline: int) -> bool:
        """Deliver one message; False: it stays in the queue, and goes to the dead letters if that does not help."""
        fields: Mapping[str, Any] = {"message_id": record.get("messageId")}
        if self._ending.is_told or self._clock.monotonic_ms() >= deadline - LAST_MS:
            log.warning("message not begun", extra=fields)
            return False
        try:
            self._takes.deliver(message_of(record), deadline_mono_ms=deadline)
        except InvalidFieldError as error:
            log.error("message not understood", extra={**fields, "reason": str(error)})  # noqa: TRY400 - no bug of ours
        except StoreError as error:
            log.warning("delivery failed", extra={**fields, "code": error.code, "reason": str(error)})
        except Exception:
            log.exception("delivery failed", extra=fields)
        else:
            return True
        return False

    def _check_timeout(self, timeout_ms: int) -> None:
        """Compare the timeout with what activations need of it: said once, by the first invocation."""
        margin_ms, lease_ms = self._activations.margin_ms, self._activations.lease_ms
        if timeout_ms <= margin_ms:
            raise ConfigurationError(
                "The function's timeout",
                f"of {timeout_ms} ms is too short: no step starts in the last {margin_ms} ms of an invocation, so that "
                f"no step would ever start; set it to more than RESONATE_FAAS_LEASE_SECONDS ({lease_ms // 1_000} s)",
            )
        if timeout_ms <= lease_ms:
            log.warning("lease longer than timeout", extra={"lease_ms": lease_ms, "timeout_ms": timeout_ms})
