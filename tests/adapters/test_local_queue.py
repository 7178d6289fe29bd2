"""The in-process queue: the contract, its threads, and what it refuses."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from resonate_faas import Clock, StoreUnavailableError
from resonate_faas._clock import SystemClock
from resonate_faas._machine.objects import Execute, Message, Poke, Unblock
from resonate_faas.testing import QueueContract
from resonate_faas.testing._kit import promise_object
from resonate_faas_local import LocalQueue, _local_queue

QUIET_S = 0.25
TARGET = "local://default"


class Inbox:
    """Takes messages from any thread."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.messages: list[Message] = []

    def deliver(self, message: Message) -> None:
        with self.changed:
            self.messages.append(message)
            self.changed.notify_all()

    def take(self, until_ms: int) -> list[Message]:
        """Return what came until the instant, and a moment later: threads need a moment to hand over."""
        until_s = max(until_ms / 1000, time.time()) + QUIET_S
        with self.changed:
            while (left := until_s - time.time()) > 0:
                self.changed.wait(left)
            taken, self.messages = self.messages, []
        return taken


class TestLocalQueue(QueueContract):
    NEAR_MS = 1_000

    @pytest.fixture
    def clock(self) -> Clock:
        return SystemClock()

    @pytest.fixture
    def address(self) -> str:
        return TARGET

    @pytest.fixture
    def inbox(self) -> Inbox:
        return Inbox()

    @pytest.fixture
    def queue(self, clock: Clock, inbox: Inbox) -> Iterator[LocalQueue]:
        queue = LocalQueue(inbox.deliver, clock=clock, workers=3)
        queue.start()
        yield queue
        assert queue.stop(5.0)

    @pytest.fixture
    def receive(self, inbox: Inbox) -> Callable[[int], list[Message]]:
        return inbox.take

    @pytest.fixture
    def broken_queue(self, clock: Clock, inbox: Inbox) -> LocalQueue:
        queue = LocalQueue(inbox.deliver, clock=clock, workers=1)
        queue.close()
        return queue


def queue_of(deliver: Callable[[Message], object], *, workers: int = 1) -> LocalQueue:
    queue = LocalQueue(deliver, clock=SystemClock(), workers=workers)
    queue.start()
    return queue


@pytest.mark.parametrize(
    "address", ["http://localhost:1", "poll://any@default", "sqs://queue", "nonsense", ""]
)
def test_an_address_of_elsewhere_is_refused_not_swallowed(address: str) -> None:
    queue = LocalQueue(print, clock=SystemClock(), workers=1)
    for message in (
        Execute(id="task", version=1, target=address),
        Unblock(address=address, promise=promise_object("task").promise),
    ):
        (error,) = queue.send(message)
        assert error.message_id == "task"


def test_another_group_of_this_machine_is_delivered() -> None:
    inbox = Inbox()
    queue = queue_of(inbox.deliver)
    queue.send(Execute(id="task", version=1, target="local://reports"))
    assert inbox.take(0)
    queue.stop(5.0)


def test_a_full_queue_refuses_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_local_queue, "MESSAGES_MAX", 2)
    queue = LocalQueue(print, clock=SystemClock(), workers=1)
    for number in (1, 2):
        queue.send(Poke(id="a", not_before=number))
    queue.send(Poke(id="a", not_before=1))  # held already: no room needed
    errors = queue.send(Poke(id="a", not_before=3), Poke(id="a", not_before=3))
    assert ["waiting" in error.cause for error in errors] == [True, True]


def test_timers_are_precise_while_every_worker_is_busy() -> None:
    inbox, busy, release = Inbox(), threading.Semaphore(0), threading.Event()

    def deliver(message: Message) -> None:
        if isinstance(message, Execute):
            busy.release()
            assert release.wait(10)
        else:
            inbox.deliver(message)

    queue = queue_of(deliver, workers=2)
    try:
        for number in range(3):
            queue.send(Execute(id=f"long-{number}", version=1, target=TARGET))
        for _ in range(2):
            assert busy.acquire(timeout=10)
        at_ms = SystemClock().now_ms() + 100
        poke = Poke(id="timer", not_before=at_ms)
        queue.send(poke)
        with inbox.changed:
            assert inbox.changed.wait_for(lambda: inbox.messages, 5)
        assert at_ms <= SystemClock().now_ms() < at_ms + 250
    finally:
        release.set()
        queue.stop(5.0)


def test_a_far_poke_does_not_hold_up_a_near_one() -> None:
    inbox = Inbox()
    queue = queue_of(inbox.deliver)
    now_ms = SystemClock().now_ms()
    queue.send(Poke(id="far", not_before=now_ms + 600_000))
    near = Poke(id="near", not_before=now_ms + 50)
    queue.send(near)
    with inbox.changed:
        assert inbox.changed.wait_for(lambda: inbox.messages == [near], 5)
    queue.stop(5.0)


@pytest.mark.parametrize("error", [StoreUnavailableError("read", "away"), KeyError("a bug"), SystemExit(3)])
def test_a_delivery_that_fails_is_logged_and_the_thread_lives_on(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = Inbox()

    def deliver(message: Message) -> None:
        if isinstance(message, Execute) and message.version == 1:
            raise error
        inbox.deliver(message)

    queue = queue_of(deliver)
    with caplog.at_level(logging.WARNING, logger="resonate_faas_local.queue"):
        queue.send(Execute(id="task", version=1, target=TARGET))
        queue.send(Execute(id="task", version=2, target=TARGET))
        with inbox.changed:
            assert inbox.changed.wait_for(lambda: inbox.messages, 5)
    assert "delivery failed" in caplog.text
    assert queue.stop(5.0)


def test_a_stop_waits_for_what_is_being_delivered_and_delivers_nothing_more() -> None:
    begun, release, delivered = threading.Event(), threading.Event(), []

    def deliver(message: Message) -> None:
        begun.set()
        assert release.wait(10)
        delivered.append(message)

    queue = queue_of(deliver)
    first, second = (Execute(id=name, version=1, target=TARGET) for name in "ab")
    queue.send(first)
    assert begun.wait(5)
    queue.send(second)
    assert not queue.stop(0.05)
    release.set()
    assert queue.stop(5.0)
    queue.send(second)  # taken, and left to the due index
    assert delivered == [first]


def test_a_queue_that_never_started_stops_at_once() -> None:
    assert LocalQueue(print, clock=SystemClock(), workers=2).stop(0.0)
