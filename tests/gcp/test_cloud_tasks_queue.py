"""The Queue port over Cloud Tasks: the shipped contract on the emulator, and what is particular to Cloud Tasks."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from google.auth import jwt
from google.cloud.tasks_v2 import CloudTasksClient
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport
from tests.emulators import oidc_issuer
from tests.emulators.cloud_tasks import PARENT, CloudTasksEmulator, running
from tests.emulators.oidc_issuer import OidcIssuer
from tests.gcp.receiver import Receiver

from resonate_faas import Clock
from resonate_faas._clock import SystemClock
from resonate_faas._http.delivery import decode_queued, encode_queued
from resonate_faas._machine.objects import Execute, Message, Poke, Unblock
from resonate_faas.testing import QueueContract
from resonate_faas.testing._kit import promise_object
from resonate_faas_gcp import CloudTasksQueue, cloud_tasks_channel

ACCOUNT = "queue@test.iam.gserviceaccount.com"
NEAR_MS = 800
_names = count(1)


@pytest.fixture(scope="module")
def issuer() -> Iterator[OidcIssuer]:
    with oidc_issuer.running() as made:
        yield made


@pytest.fixture(scope="module")
def emulator(issuer: OidcIssuer) -> Iterator[CloudTasksEmulator]:
    with running(issuer) as made:
        yield made


@pytest.fixture(scope="module")
def channel(emulator: CloudTasksEmulator) -> Iterator[Any]:
    made = cloud_tasks_channel(emulator.address)
    yield made
    made.close()


@pytest.fixture
def receiver(emulator: CloudTasksEmulator) -> Iterator[Receiver]:
    made = Receiver()
    yield made
    emulator.break_by()
    made.close()


@pytest.fixture
def name(emulator: CloudTasksEmulator) -> str:
    """Return the full name of a queue that nobody has used."""
    return emulator.queue(f"queue-{next(_names)}", min_backoff=0.05, max_backoff=0.2, max_attempts=5)


def made(name: str, receiver: Receiver, channel: Any, **settings: Any) -> CloudTasksQueue:
    return CloudTasksQueue(
        name, url=receiver.url, account=ACCOUNT, channel=lambda: channel, pause=lambda _: None, **settings
    )


@pytest.fixture
def queue(name: str, receiver: Receiver, channel: Any) -> CloudTasksQueue:
    return made(name, receiver, channel)


def message_of(body: bytes, address: str) -> Message:
    """Return the message of a body, with the address it was sent to: that part does not travel in it."""
    value = json.loads(body)
    if value["kind"] == "unblock":
        promise = promise_object(value["data"]["promise"]["id"]).promise
        assert value == encode_queued(Unblock(address=address, promise=promise))
        return Unblock(address=address, promise=promise)
    message = decode_queued(value)
    return replace(message, target=address) if isinstance(message, Execute) else message


@pytest.mark.slow
class TestCloudTasksQueue(QueueContract):
    """The contract, in real time: a message sent now comes at once, a poke within its instant."""

    NEAR_MS = NEAR_MS

    @pytest.fixture
    def clock(self) -> Clock:
        return SystemClock()

    @pytest.fixture
    def queue(self, name: str, receiver: Receiver, channel: Any) -> CloudTasksQueue:
        return made(name, receiver, channel)

    @pytest.fixture
    def address(self, receiver: Receiver) -> str:
        """Our own URL is a target, and a listener, like any other."""
        return receiver.url

    @pytest.fixture
    def broken_queue(self, receiver: Receiver, channel: Any) -> CloudTasksQueue:
        """A queue that does not exist."""
        return made(f"{PARENT}/queues/nowhere", receiver, channel)

    @pytest.fixture
    def receive(
        self, emulator: CloudTasksEmulator, name: str, receiver: Receiver, address: str
    ) -> Callable[[int], list[Message]]:
        def receive(until_ms: int) -> list[Message]:
            emulator.settle(name, max(until_ms / 1000, time.time()))
            found, receiver.requests = receiver.requests, []
            return [message_of(body, address) for _, _, body in found]

        return receive


def sent(emulator: CloudTasksEmulator, queue: str) -> Any:
    """Return the one task of a paused queue."""
    (task,) = emulator.pending(queue)
    return task


@pytest.fixture
def paused(name: str, channel: Any) -> str:
    CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel)).pause_queue(name=name)
    return name


def test_a_message_is_a_post_to_our_url_with_a_token_of_the_queues_account(
    queue: CloudTasksQueue, emulator: CloudTasksEmulator, name: str, receiver: Receiver
) -> None:
    assert queue.send(Execute(id="a:1r", version=2, target="tasks://")) == []
    emulator.settle(name, time.time())
    ((path, headers, body),) = receiver.requests
    assert (path, headers["content-type"]) == ("/function", "application/json")
    assert json.loads(body) == {"kind": "execute", "head": {}, "data": {"task": {"id": "a:1r", "version": 2}}}
    assert headers["user-agent"] == "Google-Cloud-Tasks"
    assert headers["x-cloudtasks-queuename"] == name.rpartition("/")[2]
    claims = jwt.decode(headers["authorization"].removeprefix("Bearer "), certs=issuer_certificates(emulator))
    assert (claims["aud"], claims["email"]) == (receiver.url, ACCOUNT)


def issuer_certificates(emulator: CloudTasksEmulator) -> dict[str, str]:
    issuer = emulator._issuer
    assert isinstance(issuer, OidcIssuer)
    return {one.key_id: one.certificate for one in issuer.keys}


def test_a_task_has_no_name_of_ours_and_the_deadline_of_a_dispatch(
    paused: str, emulator: CloudTasksEmulator, receiver: Receiver, channel: Any
) -> None:
    made(paused, receiver, channel, dispatch_deadline_s=540).send(
        Execute(id="a", version=1, target="tasks://")
    )
    task = sent(emulator, paused)
    assert task.dispatch_deadline.seconds == 540
    assert task.name.rpartition("/")[2].isdigit(), "the service chose it"


@pytest.mark.parametrize(("asked", "allowed"), [(1, 15), (3_600, 1_800)])
def test_the_deadline_of_a_dispatch_is_cut_to_what_the_service_allows(
    paused: str, emulator: CloudTasksEmulator, receiver: Receiver, channel: Any, asked: int, allowed: int
) -> None:
    queue = made(paused, receiver, channel, dispatch_deadline_s=asked)
    assert queue.send(Poke(id="a", not_before=0)) == []
    assert sent(emulator, paused).dispatch_deadline.seconds == allowed


def test_a_poke_beyond_thirty_days_is_cut_there(
    paused: str, emulator: CloudTasksEmulator, receiver: Receiver, channel: Any
) -> None:
    """It comes early, and is sent again."""
    queue = made(paused, receiver, channel)
    now_ms = SystemClock().now_ms()
    assert queue.send(Poke(id="a", not_before=now_ms + 10**11)) == []
    ahead_ms = sent(emulator, paused).schedule_time.ToMilliseconds() - now_ms
    assert queue.delay_max_ms <= ahead_ms <= queue.delay_max_ms + 10_000
    assert queue.delay_max_ms <= 30 * 24 * 3_600_000


def test_each_target_has_its_queue_and_an_unknown_one_is_refused(
    paused: str, emulator: CloudTasksEmulator, receiver: Receiver, channel: Any
) -> None:
    other = emulator.queue(f"other-{next(_names)}")
    emulator.PauseQueue(type("Named", (), {"name": other}))
    queue = made(paused, receiver, channel, others={"reports": other})
    own = paused.rpartition("/")[2]
    for key, target in (("a", "tasks://reports"), ("b", "tasks://"), ("c", f"tasks://{own}")):
        assert queue.send(Execute(id=key, version=1, target=target)) == []
    assert ids(emulator, other) == ["a"]
    assert ids(emulator, paused) == ["b", "c"]
    for target in ("tasks://elsewhere", "sqs://reports", "local://reports", "nonsense", ""):
        (error,) = queue.send(Execute(id="d", version=1, target=target))
        assert error.message_id == "d"
        assert "'tasks://reports'" in error.cause


def ids(emulator: CloudTasksEmulator, queue: str) -> list[str]:
    bodies = [json.loads(task.http_request.body) for task in emulator.pending(queue)]
    return sorted(body["data"]["task"]["id"] for body in bodies)


def test_another_url_gets_no_token(
    queue: CloudTasksQueue, emulator: CloudTasksEmulator, name: str, receiver: Receiver
) -> None:
    """Neither a foreign worker nor a listener; not even one whose URL begins with ours."""
    there = f"{receiver.url}-of-another"
    promise = promise_object("a").promise
    assert queue.send(Execute(id="a", version=1, target=there), Unblock(address=there, promise=promise)) == []
    emulator.settle(name, time.time())
    assert [path for path, _, _ in receiver.requests] == ["/function-of-another"] * 2
    assert not any("authorization" in headers for _, headers, _ in receiver.requests)


def test_a_hundred_messages_are_a_hundred_requests_side_by_side(
    queue: CloudTasksQueue, emulator: CloudTasksEmulator, name: str
) -> None:
    emulator.taken()
    assert (
        queue.send(*(Execute(id=f"task-{number}", version=1, target="tasks://") for number in range(101)))
        == []
    )
    assert emulator.taken() == {"CreateTask": 101}
    emulator.settle(name, time.time())


def test_what_can_pass_is_tried_again_and_only_that(
    queue: CloudTasksQueue, emulator: CloudTasksEmulator, name: str, receiver: Receiver
) -> None:
    emulator.break_by(refuse=2)
    emulator.taken()
    assert queue.send(Execute(id="a", version=1, target="tasks://")) == []
    assert emulator.taken() == {"CreateTask": 3}
    emulator.settle(name, time.time())
    assert len(receiver.requests) == 1


def test_a_task_whose_answer_was_lost_comes_twice(
    queue: CloudTasksQueue, emulator: CloudTasksEmulator, name: str, receiver: Receiver
) -> None:
    """Which is harmless; a name would keep it from ever coming again."""
    emulator.break_by(forget=1)
    assert queue.send(Execute(id="a", version=1, target="tasks://")) == []
    emulator.settle(name, time.time())
    assert len(receiver.requests) == 2


def test_what_is_refused_three_times_is_left_to_the_sweep(
    queue: CloudTasksQueue, emulator: CloudTasksEmulator
) -> None:
    emulator.break_by(refuse=1_000)
    emulator.taken()
    (error,) = queue.send(Poke(id="a", not_before=0))
    assert error.message_id == "a"
    assert error.cause.startswith("UNAVAILABLE")
    assert emulator.taken() == {"CreateTask": 3}


def test_a_queue_that_is_not_there_is_asked_once(
    emulator: CloudTasksEmulator, receiver: Receiver, channel: Any
) -> None:
    emulator.taken()
    (error,) = made(f"{PARENT}/queues/gone", receiver, channel).send(Poke(id="a", not_before=0))
    assert error.cause.startswith("NOT_FOUND")
    assert emulator.taken() == {"CreateTask": 1}


def test_the_service_out_of_reach_is_told(receiver: Receiver, name: str) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listening.getsockname()[1]}"
    channel = cloud_tasks_channel(address)
    (error,) = made(name, receiver, channel).send(Poke(id="a", not_before=0))
    assert error.cause.startswith("UNAVAILABLE")
    channel.close()


def test_the_library_is_imported_by_the_first_message_alone() -> None:
    """A delivery that sends nothing does not pay for it."""
    program = (
        "import sys; from resonate_faas_gcp import CloudTasksQueue;"
        "queue = CloudTasksQueue('projects/p/locations/l/queues/q', url='https://f', account='a@b');"
        "queue.send(), queue.delay_max_ms, queue.targets;"
        "print([name for name in ('grpc', 'google.cloud.tasks_v2', 'google.auth') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
