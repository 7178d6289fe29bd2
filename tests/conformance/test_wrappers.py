"""The wrappers do to a store what they are told, and count what they see."""

from __future__ import annotations

import pytest

from resonate_faas._errors import OutcomeUnknownError, StoreUnavailableError
from resonate_faas._optimistic import MovedError
from resonate_faas.testing import CountingStore, Counts, Fault, FaultyStore, MemoryStore, StoreContract
from resonate_faas.testing._kit import counting, history_ids, look_at, promise_object, put


class TestCountingStore(StoreContract):
    HISTORY_RECORDS = 2_500

    @pytest.fixture
    def store(self) -> CountingStore:
        return CountingStore(MemoryStore())


class TestFaultyStoreWithoutFaults(StoreContract):
    HISTORY_RECORDS = 2_500

    @pytest.fixture
    def store(self) -> FaultyStore:
        return FaultyStore(MemoryStore(), {})


def test_round_trips_are_counted() -> None:
    store = CountingStore(MemoryStore())
    put(store, promise_object("root:1"), promise_object("root:2"))
    assert store.counts == Counts(reads=1, writes=1, items=2, latencies=2)
    history_ids(store, "root")
    store.due(0, 0, 1)
    store.search("promise")
    assert store.reset() == Counts(reads=1, writes=1, items=2, pages=1, dues=1, searches=1, latencies=3)
    assert store.counts == Counts()
    history_ids(store, "nobody")
    assert store.counts.round_trips == 1


def test_a_refused_write_is_a_round_trip_without_items() -> None:
    store = CountingStore(MemoryStore())
    with pytest.raises(MovedError):
        store.write({"a": 7}, {"a": promise_object("a")}, "n")
    assert store.counts == Counts(writes=1, latencies=1)


@pytest.mark.parametrize(
    ("fault", "error", "stored"),
    [
        (Fault.ANSWER_LOST, OutcomeUnknownError, True),
        (Fault.REQUEST_LOST, OutcomeUnknownError, False),
        (Fault.MOVED, MovedError, False),
        (Fault.UNAVAILABLE, StoreUnavailableError, False),
    ],
)
def test_each_fault_does_what_it_says(fault: Fault, error: type[Exception], *, stored: bool) -> None:
    inner = MemoryStore()
    store = FaultyStore(inner, {2: fault})
    store.transact(("first",), counting("first"))
    with pytest.raises(error):
        store.write({"a": 0}, {"a": promise_object("a")}, "n")
    assert (look_at(inner, "a") is not None) is stored
    assert store.writes == 2
