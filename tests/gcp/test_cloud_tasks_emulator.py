"""The emulator does what the service's documentation says: the tests of the queue and the function stand on it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from google.api_core.exceptions import AlreadyExists, InvalidArgument, NotFound
from google.cloud.tasks_v2 import CloudTasksClient, Queue, RetryConfig, Task
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from tests.emulators import oidc_issuer
from tests.emulators.cloud_tasks import AHEAD_S_MAX, PARENT, CloudTasksEmulator, running
from tests.emulators.cloud_tasks_attempts import backoff_s
from tests.gcp.receiver import Receiver

from resonate_faas_gcp import cloud_tasks_channel

_names = count(1)


@pytest.fixture(scope="module")
def emulator() -> Iterator[CloudTasksEmulator]:
    with oidc_issuer.running() as issuer, running(issuer) as made:
        yield made


@pytest.fixture(scope="module")
def client(emulator: CloudTasksEmulator) -> Iterator[CloudTasksClient]:
    """Give the client of google-cloud-tasks itself."""
    channel = cloud_tasks_channel(emulator.address)
    yield CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel))
    channel.close()


@pytest.fixture
def receiver(emulator: CloudTasksEmulator) -> Iterator[Receiver]:
    made = Receiver()
    yield made
    emulator.break_by()
    made.close()


def seconds(number: float) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(int(number * 1000))
    return duration


@pytest.fixture
def queue(client: CloudTasksClient) -> str:
    retry = RetryConfig(max_attempts=4, min_backoff=seconds(0.05), max_backoff=seconds(0.2), max_doublings=1)
    name = f"{PARENT}/queues/own-{next(_names)}"
    made: str = client.create_queue(parent=PARENT, queue=Queue(name=name, retry_config=retry)).name
    return made


def task(receiver: Receiver, name: str = "", **fields: Any) -> Task:
    return Task(name=name, http_request={"url": receiver.url, "body": b"{}"}, **fields)


def at(instant_s: float) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromMicroseconds(int(instant_s * 1e6))
    return timestamp


def test_a_name_is_taken_once_also_when_its_task_has_ended(
    client: CloudTasksClient, emulator: CloudTasksEmulator, queue: str, receiver: Receiver
) -> None:
    client.pause_queue(name=queue)
    name = f"{queue}/tasks/once"
    assert client.create_task(parent=queue, task=task(receiver, name)).name == name
    with pytest.raises(AlreadyExists):
        client.create_task(parent=queue, task=task(receiver, name))
    client.resume_queue(name=queue)
    emulator.settle(queue, time.time())
    with pytest.raises(AlreadyExists):
        client.create_task(parent=queue, task=task(receiver, name))
    assert len(receiver.requests) == 1


def test_a_failed_delivery_is_repeated_as_the_queue_says(
    client: CloudTasksClient, emulator: CloudTasksEmulator, queue: str, receiver: Receiver
) -> None:
    """And given up in the end."""
    receiver.statuses = [500, 404, 200]
    client.create_task(parent=queue, task=task(receiver))
    emulator.wait_until(lambda: not emulator.pending(queue), "it is not delivered")
    retries = [headers["x-cloudtasks-taskretrycount"] for _, headers, _ in receiver.requests]
    previous = [headers.get("x-cloudtasks-taskpreviousresponse") for _, headers, _ in receiver.requests]
    assert (retries, previous) == (["0", "1", "2"], [None, "500", "404"])
    receiver.statuses = [500] * 10
    client.create_task(parent=queue, task=task(receiver))
    emulator.wait_until(lambda: not emulator.pending(queue), "it is not given up")
    assert len(receiver.requests) == 3 + 4
    assert emulator.given_up == 1


def test_the_back_off_is_the_documented_one() -> None:
    config = RetryConfig.pb()(
        min_backoff=seconds(10), max_backoff=seconds(300), max_doublings=3, max_attempts=100
    )
    assert [backoff_s(config, attempts) for attempts in range(1, 9)] == [10, 20, 40, 80, 160, 240, 300, 300]


def test_a_task_comes_at_its_instant(
    client: CloudTasksClient, emulator: CloudTasksEmulator, queue: str, receiver: Receiver
) -> None:
    instant = time.time() + 0.3
    client.create_task(parent=queue, task=task(receiver, schedule_time=at(instant)))
    emulator.settle(queue, instant + 0.001)  # the instant was rounded on its way
    ((_, headers, _),) = receiver.requests
    assert float(headers["x-cloudtasks-tasketa"]) == pytest.approx(instant, abs=0.001)
    assert receiver.instants[0] >= instant - 0.001


def test_a_paused_queue_keeps_its_tasks_and_a_purged_one_forgets_them(
    client: CloudTasksClient, emulator: CloudTasksEmulator, queue: str, receiver: Receiver
) -> None:
    client.pause_queue(name=queue)
    for number in range(3):
        client.create_task(parent=queue, task=task(receiver, f"{queue}/tasks/{number}"))
    client.delete_task(name=f"{queue}/tasks/1")
    with pytest.raises(NotFound):
        client.get_task(name=f"{queue}/tasks/1")
    assert len(list(client.list_tasks(parent=queue))) == 2
    client.purge_queue(name=queue)
    assert list(client.list_tasks(parent=queue)) == []
    client.resume_queue(name=queue)
    client.create_task(parent=queue, task=task(receiver))
    emulator.settle(queue, time.time())
    assert len(receiver.requests) == 1


WRONG: dict[str, dict[str, Any]] = {
    "thirty days and an hour": {"schedule_time": at(time.time() + AHEAD_S_MAX + 3_600)},
    "a deadline below 15 s": {"dispatch_deadline": seconds(14)},
    "a deadline over 30 min": {"dispatch_deadline": seconds(1_801)},
    "no URL": {"http_request": {"url": "ftp://example.com"}},
    "a megabyte": {"http_request": {"url": "http://127.0.0.1", "body": b"a" * 1_048_576}},
    "a token of nobody": {"http_request": {"url": "http://127.0.0.1", "oidc_token": {"audience": "a"}}},
    "a name in another queue": {"name": f"{PARENT}/queues/another/tasks/one"},
}


@pytest.mark.parametrize("fields", WRONG.values(), ids=WRONG)
def test_what_the_service_refuses_is_refused(
    client: CloudTasksClient, queue: str, receiver: Receiver, fields: dict[str, Any]
) -> None:
    wrong = task(receiver)
    for name, value in fields.items():
        setattr(wrong, name, value)
    with pytest.raises(InvalidArgument):
        client.create_task(parent=queue, task=wrong)


def test_faults_are_those_asked_for(
    client: CloudTasksClient, emulator: CloudTasksEmulator, queue: str, receiver: Receiver
) -> None:
    def sent(**faults: Any) -> list[str]:
        emulator.break_by(**faults)
        receiver.requests.clear()
        client.pause_queue(name=queue)
        for number in range(10):
            body = {"url": receiver.url, "body": str(number).encode()}
            client.create_task(parent=queue, task=Task(http_request=body))
        client.resume_queue(name=queue)
        emulator.wait_until(lambda: not emulator.pending(queue), "they are not delivered")
        return [body.decode() for _, _, body in receiver.requests]

    every = [str(number) for number in range(10)]
    assert sorted(sent(duplicate=1.0)) == sorted(every * 2)
    assert sent(drop=1.0) == []
    assert sorted(sent(delay_s=0.2, seed=1)) == every
    some = sent(duplicate=0.5, drop=0.3, reorder=True, seed=2)
    assert set(some) < set(every)
    assert len(some) > len(set(some))
