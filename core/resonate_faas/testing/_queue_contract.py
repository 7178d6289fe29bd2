"""The contract of the Queue port: an adapter's test class inherits it and brings the fixtures."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

import pytest

from resonate_faas._errors import QueueError
from resonate_faas._machine.objects import Execute, Message, Poke, Unblock
from resonate_faas._ports import Clock, Queue
from resonate_faas.testing._contract_limits import HOSTILE_ROOTS, LONG_CHILDREN
from resonate_faas.testing._kit import ADDRESS, promise_object

Receive = Callable[[int], list[Message]]

_MANY: Final = 50


class QueueContract:
    """What every queue must do while nothing fails: deliver each message, not before its instant.

    Not promised: order, and that a message comes once. Fixtures:

    - ``queue``: the queue under test.
    - ``clock``: the clock it goes by.
    - ``receive``: takes an instant, lets time pass until then (really, if it must), returns what was delivered.
    - ``broken_queue``: a queue that can take nothing: closed, or its service out of reach.
    """

    NEAR_MS: ClassVar[int] = 2_000
    """How far ahead the tests' pokes lie; an adapter in real time chooses what it can wait for."""

    LISTENERS: ClassVar[bool] = True
    """False: Unblock goes another way (an HTTP push to the listener's address)."""

    @pytest.fixture
    def clock(self) -> Clock:
        """Give the clock the queue goes by; an adapter overrides this."""
        raise NotImplementedError

    @pytest.fixture
    def queue(self) -> Queue:
        """Give an empty queue; an adapter overrides this."""
        raise NotImplementedError

    @pytest.fixture
    def receive(self) -> Receive:
        """Give the way to receive; an adapter overrides this."""
        raise NotImplementedError

    @pytest.fixture
    def broken_queue(self) -> Queue:
        """Give a queue that can take nothing; an adapter overrides this."""
        raise NotImplementedError

    @pytest.fixture
    def address(self) -> str:
        """Give a target that the queue delivers to."""
        return ADDRESS

    def test_an_execute_is_delivered_at_once(
        self, queue: Queue, clock: Clock, receive: Receive, address: str
    ) -> None:
        """With all its fields."""
        message = Execute(id="task", version=3, target=address)
        queue.send(message)
        assert message in receive(clock.now_ms())

    def test_an_unblock_is_delivered_at_once(
        self, queue: Queue, clock: Clock, receive: Receive, address: str
    ) -> None:
        """With the settled record."""
        if not self.LISTENERS:
            pytest.skip("listeners are told another way")
        message = Unblock(address=address, promise=promise_object("a").promise)
        queue.send(message)
        assert message in receive(clock.now_ms())

    def test_a_poke_is_delivered_at_its_instant_and_not_before(
        self, queue: Queue, clock: Clock, receive: Receive
    ) -> None:
        """Everything that waits travels as a poke."""
        message = Poke(id="task", not_before=clock.now_ms() + self.NEAR_MS)
        queue.send(message)
        assert message not in receive(message.not_before - self.NEAR_MS // 2)
        assert message in receive(message.not_before)

    @pytest.mark.parametrize("lateness_ms", [0, 1, 10**12])
    def test_a_poke_whose_instant_has_passed_is_delivered_at_once(
        self, queue: Queue, clock: Clock, receive: Receive, lateness_ms: int
    ) -> None:
        """However long ago."""
        message = Poke(id="task", not_before=clock.now_ms() - lateness_ms)
        queue.send(message)
        assert message in receive(clock.now_ms())

    def test_each_of_many_messages_is_delivered(
        self, queue: Queue, clock: Clock, receive: Receive, address: str
    ) -> None:
        """In any order, at least once."""
        now_ms = clock.now_ms()
        executes: set[Message] = {
            Execute(id=f"task-{number}", version=number, target=address) for number in range(_MANY)
        }
        pokes: set[Message] = {
            Poke(id=f"task-{number}", not_before=now_ms + number) for number in range(_MANY)
        }
        assert queue.send(*executes, *pokes) == []
        assert executes | pokes <= {*receive(now_ms), *receive(now_ms + self.NEAR_MS)}

    def test_equal_messages_are_not_merged_into_none(
        self, queue: Queue, clock: Clock, receive: Receive, address: str
    ) -> None:
        """A task dispatched again at the same version must come again: no deduplication by name."""
        message = Execute(id="task", version=1, target=address)
        for _ in range(3):
            queue.send(message)
            assert message in receive(clock.now_ms())

    def test_ids_travel_unharmed(self, queue: Queue, clock: Clock, receive: Receive, address: str) -> None:
        """Hostile ones and the longest."""
        messages = {Execute(id=key, version=1, target=address) for key in (*HOSTILE_ROOTS, *LONG_CHILDREN)}
        for message in messages:
            queue.send(message)
        assert messages <= set(receive(clock.now_ms()))

    def test_a_poke_as_far_ahead_as_promised_is_taken(
        self, queue: Queue, clock: Clock, receive: Receive
    ) -> None:
        """And does not come now. What lies beyond is never sent: it is the sweep's."""
        assert queue.delay_max_ms > 0
        message = Poke(id="task", not_before=clock.now_ms() + queue.delay_max_ms)
        queue.send(message)
        assert message not in receive(clock.now_ms())

    def test_a_queue_that_can_take_nothing_says_so(self, broken_queue: Queue, address: str) -> None:
        """Silence would be taken for a delivery."""
        messages = [Execute(id=f"task-{number}", version=1, target=address) for number in range(_MANY)]
        errors = broken_queue.send(*messages)
        assert [error.message_id for error in errors] == [message.id for message in messages]
        assert all(isinstance(error, QueueError) and error.cause for error in errors)

    def test_a_message_that_is_not_taken_hinders_no_other(
        self, queue: Queue, clock: Clock, receive: Receive, address: str
    ) -> None:
        """Of those sent together."""
        nowhere = Execute(id="lost", version=1, target="nowhere://at-all")
        near = [Execute(id=f"task-{number}", version=1, target=address) for number in range(_MANY)]
        errors = queue.send(*near[:25], nowhere, *near[25:])
        if errors:  # a queue in memory has no addresses
            assert [error.message_id for error in errors] == ["lost"]
        assert set(near) <= set(receive(clock.now_ms()))

    def test_nothing_is_sent_as_nothing(self, queue: Queue, clock: Clock, receive: Receive) -> None:
        """An empty request would be refused by most."""
        assert queue.send() == []
        assert receive(clock.now_ms()) == []
