"""Calls to Cloud Tasks: what is tried again, and what each failure means.

google-cloud-tasks is imported at the first task that is sent, not before: an activation that sends nothing, and most of
those on a fresh instance send nothing, does not pay for it. Its messages go out raw over one channel; its client would
add proto-plus wrappers and a second pass over each message.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

HOST: Final = "cloudtasks.googleapis.com:443"
SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"

TIMEOUT_S: Final = 5.0
"""Of one try; three of them stay below a lease of 30 s."""

TRIES_MAX: Final = 3
PAUSE_S: Final = 0.1
IN_FLIGHT_MAX: Final = 100
"""Requests on their way at a time: what gRPC carries on one connection by default."""

_METHOD: Final = "/google.cloud.tasks.v2.CloudTasks/CreateTask"
_PASSING: Final = frozenset(
    {"ABORTED", "CANCELLED", "DEADLINE_EXCEEDED", "INTERNAL", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "UNKNOWN"}
)
"""A task that was taken, though the answer was lost, comes twice: that is harmless, so all of these are tried again."""


@dataclass(frozen=True, slots=True)
class Messages:
    """Raw message classes and values of enums."""

    create_task_request: Any
    task: Any
    post: int


@cache
def messages() -> Messages:
    """Import the library and return its messages."""
    from google.cloud.tasks_v2.types import cloudtasks, target, task  # noqa: PLC0415 - only where a task is sent

    return Messages(
        create_task_request=cloudtasks.CreateTaskRequest.pb(),
        task=task.Task.pb(),
        post=int(target.HttpMethod.POST),
    )


def cloud_tasks_channel(emulator: str | None = None) -> Any:
    """Return a gRPC channel to Cloud Tasks. Thread-safe; not to be carried over a fork.

    Args:
        emulator: ``host:port`` of an emulator; None: the real service, with the application default credentials.
    """
    import grpc  # noqa: PLC0415 - only where a task is sent

    if emulator is not None:
        return grpc.insecure_channel(emulator)
    from google.api_core.grpc_helpers import create_channel  # noqa: PLC0415

    return create_channel(HOST, default_scopes=(SCOPE,))


class CloudTasksRpc:
    """The one call that the queue makes.

    Args:
        channel: as made by :func:`cloud_tasks_channel`.
        pause: waits between tries; takes seconds.
    """

    def __init__(self, channel: Any, pause: Callable[[float], None]) -> None:
        import grpc  # noqa: PLC0415 - as above

        self._pause = pause
        self._failure: type[Exception] = grpc.RpcError
        self._create = channel.unary_unary(
            _METHOD,
            request_serializer=messages().create_task_request.SerializeToString,
            response_deserializer=_ignored,
        )

    def create(self, requests: Sequence[Any]) -> list[str | None]:
        """Create tasks, side by side; what can pass is tried again, three times in all.

        Returns:
            Why each was not taken, in order; None: it was.
        """
        causes: list[str | None] = [None] * len(requests)
        left = list(range(len(requests)))
        for attempt in range(TRIES_MAX):
            if attempt:
                self._pause(random.uniform(0, PAUSE_S * 2**attempt))  # noqa: S311 - jitter, not a secret
            left = [place for place in self._attempt(requests, left, causes) if causes[place] is not None]
            if not left:
                break
        return causes

    def _attempt(self, requests: Sequence[Any], places: Iterable[int], causes: list[str | None]) -> list[int]:
        """Send once, set the causes, and return the places of those worth another try."""
        again: list[int] = []
        waiting = iter(places)
        while window := list(islice(waiting, IN_FLIGHT_MAX)):
            calls = [(place, self._start(requests[place])) for place in window]
            for place, call in calls:
                code, causes[place] = self._told(call)
                if code in _PASSING:
                    again.append(place)
        return again

    def _start(self, request: Any) -> Any:
        routed = (("x-goog-request-params", f"parent={quote(request.parent, safe='/')}"),)
        return self._create.future(request, timeout=TIMEOUT_S, metadata=routed)

    def _told(self, call: Any) -> tuple[str, str | None]:
        """Return the status code's name, and why the task was not taken; None: it was."""
        try:
            call.result()
        except self._failure as error:
            failure: Any = error
            code = str(failure.code().name)
            return code, f"{code}: {failure.details()}"[:500]
        return "OK", None


def _ignored(answer: bytes) -> bytes:
    """Leave the answer undecoded: it is the task itself."""
    return answer
