"""Cloud Tasks on this machine: the API over gRPC with google-cloud-tasks' own messages, real HTTP deliveries.

It does what the documentation of the service says: named tasks are taken once, also after they ended; failed
deliveries are repeated by the queue's retry settings; a queue can be paused, resumed and purged; tasks are delivered in
parallel, with the headers of the service and a signed OIDC token where one is asked for.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from google.cloud.tasks_v2.types import cloudtasks
from google.cloud.tasks_v2.types import queue as queues
from google.cloud.tasks_v2.types import task as tasks
from google.protobuf import empty_pb2
from tests.emulators.cloud_tasks_attempts import (
    THROTTLING,
    Chance,
    Faults,
    Issuer,
    Told,
    attempt,
    backoff_s,
    is_given_up,
)

SERVICE: Final = "google.cloud.tasks.v2.CloudTasks"
PARENT: Final = "projects/test/locations/europe-west1"
AHEAD_S_MAX: Final = 30 * 24 * 3_600
TASK_BYTES_MAX: Final = 1_048_576
DEADLINE_S: Final = (15, 1_800)
DELIVERIES_MAX: Final = 48
GRPC_THREADS: Final = 16
PATIENCE_S: Final = 60.0

_QUEUE: Final = queues.Queue.pb()
_TASK: Final = tasks.Task.pb()
_RUNNING: Final = int(queues.Queue.State.RUNNING)
_PAUSED: Final = int(queues.Queue.State.PAUSED)


class Refusal(Exception):  # noqa: N818 - an answer, not a failure
    """What the API answers instead."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(code, text)
        self.code, self.text = code, text


@dataclass(eq=False, slots=True)
class Held:
    """A task in a queue.

    Attributes:
        message: raw.
        at_s: when it is to be attempted next, epoch seconds.
        due_s: when it was to be attempted first.
        since_s: when it was created.
        attempts: made so far.
        previous: the status of the latest.
        is_gone: deleted, purged or done.
    """

    message: Any
    at_s: float
    due_s: float
    since_s: float
    attempts: int = 0
    previous: int = 0
    is_gone: bool = False


@dataclass(eq=False, slots=True)
class EmulatedQueue:
    """A queue.

    Attributes:
        message: raw: its settings and state.
        tasks: those not ended, by name.
        names: those ever taken under a name of the caller's.
        in_flight: attempts under way.
    """

    message: Any
    tasks: dict[str, Held] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    in_flight: int = 0


class CloudTasksEmulator:
    """A running emulator.

    Attributes:
        address: host and port of the API.
        faults: see :class:`Faults`; may be changed at any time.
        calls: requests of the API, by method.
        told: what the receivers answered.
        given_up: tasks whose retries were used up.
    """

    def __init__(self, issuer: Issuer) -> None:
        self.faults = Faults()
        self.calls: Counter[str] = Counter()
        self.told = Told()
        self.given_up = 0
        self._issuer = issuer
        self._chance = Chance(self.faults)
        self._queues: dict[str, EmulatedQueue] = {}
        self._heap: list[tuple[float, int, EmulatedQueue, Held]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._is_ending = False
        self._pool = ThreadPoolExecutor(DELIVERIES_MAX, "deliveries")
        self._dispatcher = threading.Thread(target=self._dispatch_always, daemon=True)
        self._server = grpc.server(ThreadPoolExecutor(GRPC_THREADS, "api"))
        self._server.add_generic_rpc_handlers((_handlers(self),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def start(self) -> None:
        """Answer and deliver from now on."""
        self._server.start()
        self._dispatcher.start()

    def close(self) -> None:
        """End; what is not delivered is lost."""
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()
        self._server.stop(None).wait()
        self._dispatcher.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def break_by(self, **faults: Any) -> None:
        """Let things go wrong from now on, and nothing else than these."""
        self.faults = Faults(**faults)
        self._chance = Chance(self.faults)

    def queue(self, name: str, **retry: Any) -> str:
        """Return a new queue's full name.

        Args:
            name: its id.
            retry: the fields of its retry settings, durations in seconds.
        """
        made = _QUEUE(name=f"{PARENT}/queues/{name}")
        for setting, value in retry.items():
            if setting.endswith(("backoff", "duration")):
                getattr(made.retry_config, setting).FromMilliseconds(int(value * 1000))
            else:
                setattr(made.retry_config, setting, value)
        self.CreateQueue(cloudtasks.CreateQueueRequest.pb()(parent=PARENT, queue=made))
        return str(made.name)

    def taken(self) -> dict[str, int]:
        """Return the requests of the API since the last call."""
        with self._changed:
            calls, self.calls = self.calls, Counter()
        return dict(calls)

    def pending(self, queue: str) -> list[Any]:
        """Return the tasks that have not ended, the earliest first."""
        with self._changed:
            held = sorted(self._queues[queue].tasks.values(), key=lambda one: one.at_s)
            return [one.message for one in held]

    def wait_until(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait for a condition on the emulator; it is looked at after each delivery."""
        with self._changed:
            if not self._changed.wait_for(is_so, PATIENCE_S):
                raise TimeoutError(what)

    def settle(self, queue: str, until_s: float) -> None:
        """Wait until everything that is due at an instant has been delivered."""
        time.sleep(max(until_s - time.time(), 0.0))
        held = self._queues[queue]

        def is_settled() -> bool:
            return not any(one.due_s <= until_s for one in held.tasks.values())

        self.wait_until(is_settled, f"tasks of {queue} were not delivered")

    # The API, a method each, by the names of the service.

    def CreateQueue(self, request: Any) -> Any:  # noqa: N802
        made = _QUEUE()
        made.retry_config.max_attempts = 100
        made.retry_config.min_backoff.FromMilliseconds(100)
        made.retry_config.max_backoff.FromSeconds(3_600)
        made.retry_config.max_doublings = 16
        made.rate_limits.max_concurrent_dispatches = 1_000
        made.MergeFrom(request.queue)
        made.state = _RUNNING
        with self._changed:
            if made.name in self._queues:
                raise Refusal(grpc.StatusCode.ALREADY_EXISTS, "Queue already exists.")
            self._queues[made.name] = EmulatedQueue(made)
        return made

    def GetQueue(self, request: Any) -> Any:  # noqa: N802
        return self._queue(request.name).message

    def PauseQueue(self, request: Any) -> Any:  # noqa: N802
        return self._in_state(request.name, _PAUSED)

    def ResumeQueue(self, request: Any) -> Any:  # noqa: N802
        return self._in_state(request.name, _RUNNING)

    def PurgeQueue(self, request: Any) -> Any:  # noqa: N802
        held = self._queue(request.name)
        with self._changed:
            for one in held.tasks.values():
                one.is_gone = True
            held.tasks.clear()
            self._changed.notify_all()
        return held.message

    def CreateTask(self, request: Any) -> Any:  # noqa: N802
        if self._chance.spends("refuse"):
            raise Refusal(grpc.StatusCode.UNAVAILABLE, "The service is currently unavailable.")
        held = self._queue(request.parent)
        task, now = _TASK(), time.time()
        task.CopyFrom(request.task)
        at_s = task.schedule_time.ToMicroseconds() / 1e6 if task.HasField("schedule_time") else now
        _check(task, request.parent, at_s - now)
        with self._changed:
            if task.name:
                if task.name in held.names:
                    raise Refusal(grpc.StatusCode.ALREADY_EXISTS, "The task name was used before.")
                held.names.add(task.name)
            else:
                task.name = f"{request.parent}/tasks/{secrets.randbits(63)}"
            for copy in range(self._chance.copies()):
                late_s = at_s + self._chance.late_s()
                one = Held(task, late_s, late_s, now)
                held.tasks[f"{task.name}#{copy}" if copy else task.name] = one
                self._push(held, one)
        if self._chance.spends("forget"):
            raise Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
        return task

    def GetTask(self, request: Any) -> Any:  # noqa: N802
        with self._changed:
            return self._task(request.name)[1].message

    def ListTasks(self, request: Any) -> Any:  # noqa: N802
        self._queue(request.parent)
        return cloudtasks.ListTasksResponse.pb()(tasks=self.pending(request.parent))

    def DeleteTask(self, request: Any) -> Any:  # noqa: N802
        with self._changed:
            held, one = self._task(request.name)
            self._end(held, one)
        return empty_pb2.Empty()

    def _in_state(self, name: str, state: int) -> Any:
        held = self._queue(name)
        with self._changed:
            held.message.state = state
            self._changed.notify_all()
        return held.message

    def _queue(self, name: str) -> EmulatedQueue:
        held = self._queues.get(name)
        if held is None:
            raise Refusal(grpc.StatusCode.NOT_FOUND, "Queue does not exist.")
        return held

    def _task(self, name: str) -> tuple[EmulatedQueue, Held]:
        held = self._queue(name.partition("/tasks/")[0])
        if name not in held.tasks:
            raise Refusal(grpc.StatusCode.NOT_FOUND, "Requested entity was not found.")
        return held, held.tasks[name]

    def _push(self, held: EmulatedQueue, one: Held) -> None:
        heapq.heappush(self._heap, (one.at_s, next(self._order), held, one))
        self._changed.notify_all()

    def _end(self, held: EmulatedQueue, one: Held) -> None:
        one.is_gone = True
        for name in [name for name, other in held.tasks.items() if other is one]:
            del held.tasks[name]
        self._changed.notify_all()

    def _dispatch_always(self) -> None:
        with self._changed:
            while not self._is_ending:
                now = time.time()
                due = [entry for entry in self._heap if entry[0] <= now and _may_go(entry[2])]
                if due:
                    entry = sorted(due)[self._chance.pick(len(due))]
                    self._heap.remove(entry)
                    heapq.heapify(self._heap)
                    self._begin(entry[2], entry[3])
                    continue
                later = [entry[0] for entry in self._heap if entry[0] > now]
                self._changed.wait(min(later) - now if later else None)

    def _begin(self, held: EmulatedQueue, one: Held) -> None:
        if not one.is_gone:
            held.in_flight += 1
            self._pool.submit(self._deliver, held, one)

    def _deliver(self, held: EmulatedQueue, one: Held) -> None:
        status, after_s = attempt(
            one.message,
            held.message.name.rpartition("/")[2],
            one.at_s,
            one.attempts,
            one.previous,
            self._issuer,
            self.told,
        )
        with self._changed:
            held.in_flight -= 1
            one.attempts, one.previous = one.attempts + 1, status
            config = held.message.retry_config
            if 200 <= status < 300 or one.is_gone:
                self._end(held, one)
            elif is_given_up(config, one.attempts, time.time() - one.since_s):
                self.given_up += 1
                self._end(held, one)
            else:
                wait_s = backoff_s(config, one.attempts)
                one.at_s = time.time() + (max(wait_s, after_s) if status in THROTTLING else wait_s)
                self._push(held, one)


def _may_go(held: EmulatedQueue) -> bool:
    limit: int = held.message.rate_limits.max_concurrent_dispatches
    return held.message.state == _RUNNING and held.in_flight < limit


def _check(task: Any, parent: str, ahead_s: float) -> None:
    """Refuse what the service refuses."""
    deadline_s = task.dispatch_deadline.ToMilliseconds() / 1000
    wrong = {
        "Task.name must match its queue": task.name and not task.name.startswith(f"{parent}/tasks/"),
        "HttpRequest.url must start with 'http://' or 'https://'": not task.http_request.url.startswith(
            ("http://", "https://")
        ),
        "The schedule_time must be at most 30 days in the future": ahead_s > AHEAD_S_MAX,
        "Task size too large": task.ByteSize() > TASK_BYTES_MAX,
        "The deadline must be from 15s to 30m": deadline_s
        and not DEADLINE_S[0] <= deadline_s <= DEADLINE_S[1],
        "A service account is required": task.http_request.HasField("oidc_token")
        and not task.http_request.oidc_token.service_account_email,
    }
    for text, is_wrong in wrong.items():
        if is_wrong:
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, text)


def _handlers(emulator: CloudTasksEmulator) -> Any:
    """Return the API's methods for gRPC."""

    def method(name: str) -> Any:
        kind = getattr(cloudtasks, f"{name}Request").pb()
        act = getattr(emulator, name)

        def answer(request: Any, context: Any) -> Any:
            with emulator._changed:
                emulator.calls[name] += 1
            try:
                return act(request)
            except Refusal as refusal:
                context.abort(refusal.code, refusal.text)

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=kind.FromString,
            response_serializer=lambda one: one.SerializeToString(),
        )

    names = [name for name in vars(CloudTasksEmulator) if name[0].isupper()]
    return grpc.method_handlers_generic_handler(SERVICE, {name: method(name) for name in names})


@contextlib.contextmanager
def running(issuer: Issuer) -> Iterator[CloudTasksEmulator]:
    """Run an emulator for a while."""
    emulator = CloudTasksEmulator(issuer)
    emulator.start()
    try:
        yield emulator
    finally:
        emulator.close()
