"""What the shared transaction does when a store fails while it resolves a lost answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from resonate_faas._errors import ConflictError, OutcomeUnknownError, StoreUnavailableError
from resonate_faas._optimistic import ATTEMPTS_MAX, Stored
from resonate_faas.testing import Fault, FaultyStore, MemoryStore
from resonate_faas.testing._kit import count, counting, look_at


class BlindStore(FaultyStore):
    """Reads fail once a write was tried."""

    def read(self, keys: Sequence[str]) -> Mapping[str, Stored]:
        if self.writes:
            raise StoreUnavailableError("read", "out of reach")
        return super().read(keys)


@pytest.mark.parametrize("fault", [Fault.ANSWER_LOST, Fault.REQUEST_LOST, Fault.MOVED])
def test_an_outage_while_a_lost_answer_is_resolved_is_told_as_unknown(fault: Fault) -> None:
    store = BlindStore(MemoryStore(), {1: fault})
    with pytest.raises(OutcomeUnknownError, match="out of reach"):
        store.transact(("a",), counting("a"))


def test_attempts_are_bounded_and_the_pauses_too() -> None:
    pauses: list[float] = []
    inner = MemoryStore()
    store = FaultyStore(inner, dict.fromkeys(range(1, 1_000), Fault.MOVED), pause=pauses.append)
    with pytest.raises(ConflictError) as raised:
        store.transact(("a",), counting("a"))
    assert raised.value.attempts == store.writes == ATTEMPTS_MAX
    assert len(pauses) == ATTEMPTS_MAX - 1
    assert max(pauses) <= 0.25
    assert count(look_at(inner, "a")) == 0
