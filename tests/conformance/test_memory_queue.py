"""The queue in memory keeps the contract of queues, and misbehaves exactly as it is told."""

from __future__ import annotations

import pytest

from resonate_faas._machine.objects import Execute, Message, Poke
from resonate_faas.testing import Disorder, FakeClock, MemoryQueue, QueueContract
from resonate_faas.testing._queue_contract import Receive


class TestMemoryQueue(QueueContract):
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def queue(self, clock: FakeClock) -> MemoryQueue:
        return MemoryQueue(clock)

    @pytest.fixture
    def receive(self, queue: MemoryQueue, clock: FakeClock) -> Receive:
        def receive(until_ms: int) -> list[Message]:
            clock.advance_to(until_ms)
            return queue.pop_due(clock.now_ms())

        return receive

    @pytest.fixture
    def broken_queue(self, clock: FakeClock) -> MemoryQueue:
        queue = MemoryQueue(clock)
        queue.close()
        return queue


def executes(count: int) -> list[Execute]:
    return [Execute(id=f"task-{number}", version=1, target="poll://any@a") for number in range(count)]


def delivered(disorder: Disorder) -> list[Message]:
    clock = FakeClock()
    queue = MemoryQueue(clock, disorder=disorder)
    for message in executes(100):
        queue.send(message)
    return queue.pop_due(clock.now_ms())


def test_without_disorder_messages_come_once_in_order_of_sending() -> None:
    assert delivered(Disorder()) == executes(100)


def test_messages_due_together_come_by_instant() -> None:
    clock = FakeClock()
    queue = MemoryQueue(clock)
    late, early = (Poke(id="a", not_before=clock.now_ms() + ms) for ms in (20, 10))
    queue.send(late)
    queue.send(early)
    assert queue.next_instant() == early.not_before
    assert queue.held() == [early, late]
    assert queue.pop_due(late.not_before) == [early, late]
    assert queue.next_instant() is None
    assert len(queue) == 0


def test_a_poke_beyond_the_bound_is_the_senders_bug() -> None:
    clock = FakeClock()
    queue = MemoryQueue(clock, delay_max_ms=1_000)
    queue.send(Poke(id="a", not_before=clock.now_ms() + 1_000))
    with pytest.raises(ValueError, match="1001 ms ahead"):
        queue.send(Poke(id="a", not_before=clock.now_ms() + 1_001))
    assert len(queue) == 1


def test_dropped_messages_never_come() -> None:
    assert delivered(Disorder(drop=1.0)) == []
    assert 30 < len(delivered(Disorder(drop=0.5))) < 70


def test_duplicates_come_twice() -> None:
    assert sorted(map(repr, delivered(Disorder(duplicate=1.0)))) == sorted(map(repr, executes(100) * 2))


def test_shuffled_messages_all_come_in_another_order() -> None:
    shuffled = delivered(Disorder(shuffle=True))
    assert shuffled != executes(100)
    assert set(shuffled) == set(executes(100))


def test_late_messages_come_within_their_bound() -> None:
    clock = FakeClock()
    queue = MemoryQueue(clock, disorder=Disorder(late=1.0, late_ms=500))
    for message in executes(50):
        queue.send(message)
    assert len(queue.pop_due(clock.now_ms())) < 50
    queue.pop_due(clock.now_ms() + 500)
    assert len(queue) == 0


def test_a_refused_message_is_told_and_not_kept() -> None:
    clock = FakeClock()
    queue = MemoryQueue(clock, disorder=Disorder(refuse=1.0))
    (error,) = queue.send(*executes(1))
    assert error.message_id == "task-0"
    assert len(queue) == 0


def test_one_seed_gives_one_behaviour() -> None:
    disorder = Disorder(seed=7, drop=0.3, duplicate=0.3, shuffle=True)
    assert delivered(disorder) == delivered(disorder)
    assert delivered(disorder) != delivered(Disorder(seed=8, drop=0.3, duplicate=0.3, shuffle=True))
