"""The SQS queue keeps the contract of queues over a real server, and sends each message where its target says."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count as counted
from typing import Any

import pytest
from tests.emulators.ministack import Emulator, found_or_skip, free_port, running

from resonate_faas import Clock
from resonate_faas._clock import SystemClock
from resonate_faas._http.delivery import decode_queued
from resonate_faas._machine.objects import Execute, Message, Poke, Unblock
from resonate_faas.testing import EPOCH_MS, FakeClock, QueueContract
from resonate_faas.testing._kit import promise_object
from resonate_faas_aws import SqsQueue

ROUNDING_MS = 1_000
"""A poke's delay is rounded up to whole seconds."""

_names = counted(1)


@pytest.fixture(scope="module")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    found_or_skip()
    with running(tmp_path_factory.mktemp("ministack")) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def client(ministack: Emulator) -> Any:
    return ministack.client("sqs")


@pytest.fixture
def url(client: Any) -> Iterator[str]:
    created = str(client.create_queue(QueueName=f"queue-{next(_names)}")["QueueUrl"])
    yield created
    client.delete_queue(QueueUrl=created)


def received(client: Any, url: str, *, wait_s: int) -> list[dict[str, Any]]:
    """Return what one long poll gives, and delete it."""
    answer = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=wait_s)
    messages: list[dict[str, Any]] = answer.get("Messages", [])
    for message in messages:
        client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return messages


class TestSqsQueue(QueueContract):
    NEAR_MS = 5_000
    LISTENERS = False

    @pytest.fixture
    def clock(self) -> Clock:
        return SystemClock()

    @pytest.fixture
    def address(self, url: str) -> str:
        return f"sqs://{url.rpartition('/')[2]}"

    @pytest.fixture
    def queue(self, client: Any, url: str, clock: Clock) -> SqsQueue:
        return SqsQueue(url, client=client, clock=clock)

    @pytest.fixture
    def receive(self, client: Any, url: str, address: str) -> Callable[[int], list[Message]]:
        def take(until_ms: int) -> list[Message]:
            found: list[Message] = []
            until_s = max(until_ms + ROUNDING_MS, time.time_ns() // 1_000_000) / 1_000
            while True:
                left_s = until_s - time.time()
                messages = received(client, url, wait_s=1 if left_s > 1 else 0)
                for message in messages:
                    decoded = decode_queued(json.loads(message["Body"]))
                    found.append(
                        replace(decoded, target=address) if isinstance(decoded, Execute) else decoded
                    )
                if left_s <= 0 and not messages:
                    return found

        return take

    @pytest.fixture
    def broken_queue(self, clock: Clock) -> SqsQueue:
        away = Emulator(f"http://127.0.0.1:{free_port()}")
        return SqsQueue(f"{away.url}/000000000000/gone", client=away.client("sqs"), clock=clock)


def test_a_poke_is_delayed_by_whole_seconds_never_too_few_and_at_most_fifteen_minutes() -> None:
    sent: list[dict[str, Any]] = []

    class Recording:
        def send_message_batch(self, **request: Any) -> dict[str, Any]:
            sent.extend(request["Entries"])
            return {}

    queue = SqsQueue("https://sqs.example/1/main", client=Recording(), clock=FakeClock())
    delays = {-5_000: 0, 0: 0, 1: 1, 999: 1, 1_000: 1, 1_001: 2, 900_000: 900, 900_001: 900, 10**12: 900}
    for ahead_ms, expected in delays.items():
        queue.send(Poke(id="a", not_before=EPOCH_MS + ahead_ms))
        assert sent.pop().get("DelaySeconds", 0) == expected
    assert queue.delay_max_ms == 900_000


def test_each_target_has_its_queue_and_an_unknown_one_is_refused(client: Any, url: str) -> None:
    other = str(client.create_queue(QueueName=f"reports-{next(_names)}")["QueueUrl"])
    queue = SqsQueue(url, others={"reports": other}, client=client)
    queue.send(Execute(id="a", version=1, target="sqs://reports"))
    queue.send(Execute(id="b", version=1, target="sqs://"))
    queue.send(Execute(id="c", version=1, target=f"sqs://any@{url.rpartition('/')[2]}"))
    assert bodies(client, other) == ["a"]
    assert bodies(client, url) == ["b", "c"]
    for target in ("sqs://elsewhere", "https://sqs.example/1/main", "local://reports", "nonsense", ""):
        (error,) = queue.send(Execute(id="d", version=1, target=target))
        assert error.message_id == "d"
    client.delete_queue(QueueUrl=other)


def bodies(client: Any, url: str) -> list[str]:
    found: list[str] = []
    while messages := received(client, url, wait_s=0):
        found += [json.loads(message["Body"])["data"]["task"]["id"] for message in messages]
    return sorted(found)


def test_a_listener_is_not_told_by_this_queue(client: Any, url: str) -> None:
    message = Unblock(address="https://example.com/hook", promise=promise_object("a").promise)
    (error,) = SqsQueue(url, client=client).send(message)
    assert error.message_id == "a"
    assert "HTTP" in error.cause


def test_a_queue_that_was_deleted_refuses(client: Any, url: str) -> None:
    (error,) = SqsQueue(f"{url}-gone", client=client).send(Poke(id="a", not_before=0))
    assert re.search(r"(?i)queue.*does ?not ?exist|nonexistentqueue", error.cause)


def test_of_a_batch_that_failed_in_part_those_that_were_not_taken_are_told(client: Any, url: str) -> None:
    """And no other: the sweep would send it twice for nothing."""

    class Failing:
        """The real client, whose service fails to take two of each ten."""

        def send_message_batch(self, **request: Any) -> dict[str, Any]:
            taken, lost = request["Entries"][:-2], request["Entries"][-2:]
            answer: dict[str, Any] = client.send_message_batch(**{**request, "Entries": taken})
            failed = [{"Id": each["Id"], "Code": "InternalError", "SenderFault": False} for each in lost]
            return {**answer, "Failed": failed}

    messages = [Execute(id=f"task-{number:02}", version=1, target="sqs://") for number in range(25)]
    errors = SqsQueue(url, client=Failing()).send(*messages)
    lost = [error.message_id for error in errors]
    assert lost == ["task-08", "task-09", "task-18", "task-19", "task-23", "task-24"]
    assert bodies(client, url) == sorted({message.id for message in messages} - set(lost))


def test_a_hundred_messages_cost_ten_requests(ministack: Emulator, url: str) -> None:
    client, requests = ministack.client("sqs"), 0

    def count(**_: Any) -> None:
        nonlocal requests
        requests += 1

    client.meta.events.register("before-call.sqs.*", count)
    sent = SqsQueue(url, client=client)
    assert (
        sent.send(*(Execute(id=f"task-{number}", version=1, target="sqs://") for number in range(100))) == []
    )
    assert requests == 10
    assert len(bodies(ministack.client("sqs"), url)) == 100


def test_a_schedules_key_travels_unharmed(client: Any, url: str) -> None:
    """It holds a control character, which no SQS message may."""
    poke = Poke(id="\x1fschedule:nightly", not_before=0)
    SqsQueue(url, client=client).send(poke)
    (message,) = received(client, url, wait_s=1)
    assert decode_queued(json.loads(message["Body"])) == poke
    assert "\x1f" not in message["Body"]
