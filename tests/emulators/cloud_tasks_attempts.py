"""One attempt to deliver a task over HTTP, as Cloud Tasks makes it, and when the next one follows."""

from __future__ import annotations

import http.client
import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

AGENT: Final = "Google-Cloud-Tasks"
METHODS: Final = ("POST", "POST", "GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS")
"""By the number of the proto's enum; unspecified is POST."""

DEADLINE_S: Final = 600.0
THROTTLING: Final = (429, 503)


class Issuer(Protocol):
    """Signs tokens."""

    def token(self, audience: str, email: str, /) -> str:
        """Return a token of an account for an audience."""


@dataclass(slots=True)
class Faults:
    """What goes wrong on purpose; all off by default.

    Attributes:
        duplicate: the share of tasks that are delivered twice.
        drop: the share of tasks that are taken and never delivered.
        delay_s: each delivery comes up to this much late, so that tasks overtake each other.
        reorder: of the tasks that are due, any is next.
        refuse: CreateTask answers UNAVAILABLE so many times.
        forget: CreateTask takes the task and answers DEADLINE_EXCEEDED so many times.
        seed: of the choices.
    """

    duplicate: float = 0.0
    drop: float = 0.0
    delay_s: float = 0.0
    reorder: bool = False
    refuse: int = 0
    forget: int = 0
    seed: int = 0


@dataclass(slots=True)
class Chance:
    """The choices of the faults, from one seed. Thread-safe."""

    faults: Faults
    random: random.Random = field(init=False)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.random = random.Random(self.faults.seed)

    def copies(self) -> int:
        """Return how often a new task is to be delivered."""
        with self.lock:
            if self.random.random() < self.faults.drop:
                return 0
            return 2 if self.random.random() < self.faults.duplicate else 1

    def late_s(self) -> float:
        """Return how late a delivery comes."""
        with self.lock:
            return self.random.uniform(0.0, self.faults.delay_s)

    def pick(self, count: int) -> int:
        """Return which of the due tasks is next."""
        with self.lock:
            return self.random.randrange(count) if self.faults.reorder else 0

    def spends(self, fault: str) -> bool:
        """True as many times as the fault is to happen."""
        with self.lock:
            left: int = getattr(self.faults, fault)
            setattr(self.faults, fault, max(left - 1, 0))
            return left > 0


@dataclass(slots=True)
class Told:
    """What the receivers answered.

    Attributes:
        statuses: how often each status; 0: no answer.
        tokens: bearer tokens that were sent, the latest last.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    tokens: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def attempt(
    task: Any, queue: str, eta_s: float, retries: int, previous: int, issuer: Issuer, told: Told
) -> tuple[int, float]:
    """Send the task once.

    Args:
        task: the raw message.
        queue: the bare id of the queue.
        eta_s: when the task was to come, epoch seconds.
        retries: attempts before this one.
        previous: the status of the attempt before; 0: none.
        issuer: signs the token that the task asks for.
        told: is told.

    Returns:
        The status, 0 without an answer, and the seconds that Retry-After asks for.
    """
    request = task.http_request
    headers = {
        **{name.title(): text for name, text in request.headers.items()},
        "User-Agent": AGENT,
        "X-CloudTasks-QueueName": queue,
        "X-CloudTasks-TaskName": task.name.rpartition("/")[2],
        "X-CloudTasks-TaskRetryCount": str(retries),
        "X-CloudTasks-TaskExecutionCount": str(retries),
        "X-CloudTasks-TaskETA": f"{eta_s:.6f}",
    }
    if previous:
        headers["X-CloudTasks-TaskPreviousResponse"] = str(previous)
    if request.HasField("oidc_token"):
        token = request.oidc_token
        signed = issuer.token(token.audience or request.url, token.service_account_email)
        headers["Authorization"] = f"Bearer {signed}"
        with told.lock:
            told.tokens.append(signed)
    if request.body:
        headers.setdefault("Content-Type", "application/octet-stream")
    deadline_s = task.dispatch_deadline.ToMilliseconds() / 1000 or DEADLINE_S
    status, retry_after = _send(request, headers, deadline_s)
    with told.lock:
        told.statuses[status] += 1
    return status, retry_after


def _send(request: Any, headers: dict[str, str], deadline_s: float) -> tuple[int, float]:
    parts = urlsplit(request.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=deadline_s)
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    try:
        connection.request(METHODS[request.http_method], path, request.body, headers)
        answer = connection.getresponse()
        answer.read()
        after = answer.headers.get("Retry-After", "")
        return answer.status, float(after) if after.isdigit() else 0.0
    except (OSError, http.client.HTTPException):
        return 0, 0.0
    finally:
        connection.close()


def backoff_s(config: Any, attempts: int) -> float:
    """Return the seconds after so many attempts: doubled ``max_doublings`` times, then growing by the last step.

    The API's own example: from 10 s, at most 300 s, three doublings: 10, 20, 40, 80, 160, 240, 300, 300.
    """
    least, most = config.min_backoff.ToMilliseconds() / 1000, config.max_backoff.ToMilliseconds() / 1000
    doublings = min(attempts - 1, config.max_doublings)
    step: float = least * 2**doublings
    return float(min(step * (attempts - doublings), most))


def is_given_up(config: Any, attempts: int, age_s: float) -> bool:
    """True once both the attempts and, if it is bounded, the time are used up."""
    if config.max_attempts == -1:
        return False
    limit_s = config.max_retry_duration.ToMilliseconds() / 1000
    return bool(attempts >= config.max_attempts and age_s >= limit_s)
