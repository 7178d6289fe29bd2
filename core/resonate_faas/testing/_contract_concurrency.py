"""Contract under concurrent writers: nothing acknowledged is lost, nothing is seen half done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from resonate_faas._errors import ConflictError
from resonate_faas._machine.objects import Object, PromiseObject, Value
from resonate_faas._machine.requests import Claim, Need, Outcome, PromiseCreate
from resonate_faas._ports import TRANSACTION_MAX, Result
from resonate_faas.testing._contract_transact import ContractBase
from resonate_faas.testing._kit import (
    FAR_MS,
    TARGETED,
    ask,
    count,
    counting,
    done,
    look,
    look_at,
    promise_object,
    put,
    together,
)
from resonate_faas.testing._wrappers import PrimitiveStore


class ConcurrencyContract(ContractBase):
    """Eight writers at once."""

    WRITERS: ClassVar[int] = 8
    ROUNDS: ClassVar[int] = 25
    """Transactions of each writer; an adapter over a slow emulator lowers it."""

    def test_no_acknowledged_increment_is_lost(self, store: PrimitiveStore) -> None:
        """One hot counter: its total is the number of acknowledged increments."""

        def write() -> int:
            return sum(
                _acknowledged(lambda: store.transact(("hot",), counting("hot"))) for _ in range(self.ROUNDS)
            )

        acknowledged = sum(together([write] * self.WRITERS))
        assert count(look_at(store, "hot")) == acknowledged
        assert acknowledged >= self.ROUNDS  # a store that refuses everything would pass otherwise

    def test_transfers_keep_the_sum_and_are_never_seen_half_done(self, store: PrimitiveStore) -> None:
        """Writers move amounts between accounts; readers, who ask for accounts one by one, see one snapshot."""
        accounts = [f"account-{number}" for number in range(4)]
        put(store, *(promise_object(key, count=100) for key in accounts))

        def transfer(writer: int) -> Callable[[], set[int]]:
            def body() -> set[int]:
                for number in range(self.ROUNDS):
                    source = accounts[(writer + number) % 4]
                    target = accounts[(writer + 2 * number + 1) % 4]
                    if source != target:
                        _acknowledged(lambda: store.transact((source, target), _moving(source, target)))  # noqa: B023
                return set()

            return body

        def audit() -> set[int]:
            return {_sum_seen(store, accounts) for _ in range(self.ROUNDS)}

        seen = set().union(*together([transfer(writer) for writer in range(self.WRITERS - 2)] + [audit] * 2))
        assert seen == {400}
        assert sum(count(found.object) for found in look(store, *accounts).values()) == 400

    def test_a_read_of_many_objects_is_of_one_instant(self, store: PrimitiveStore) -> None:
        """One writer keeps a hundred objects equal; readers never see two different ones."""
        keys = [f"root:{number}" for number in range(TRANSACTION_MAX)]
        put(store, *(promise_object(key) for key in keys))

        def write() -> set[int]:
            for number in range(1, self.ROUNDS + 1):
                put(store, *(promise_object(key, count=number) for key in keys))
            return {1}

        def audit() -> set[int]:
            reads = (look(store, *keys).values() for _ in range(self.ROUNDS))
            return {len({count(found.object) for found in read}) for read in reads}

        assert set().union(*together([write, audit, audit])) == {1}

    def test_one_of_many_creators_wins_and_all_are_told_the_same(self, store: PrimitiveStore) -> None:
        """A create is idempotent by id, under a race too."""
        for number in range(self.ROUNDS // 5 + 1):

            def create(writer: int, key: str = f"contested-{number}") -> Callable[[], str | None]:
                request = PromiseCreate(id=key, timeout_at=FAR_MS, param=Value(data=str(writer)))
                return lambda: _param(ask(store, request))

            told = set(together([create(writer) for writer in range(self.WRITERS)]))
            assert len(told) == 1
            assert told == {_param_of(look_at(store, f"contested-{number}"))}

    def test_one_of_many_claims_holds_the_task(self, store: PrimitiveStore) -> None:
        """At most one valid claim per version (C10)."""
        for number in range(self.ROUNDS // 5 + 1):
            task_id = f"task-{number}"
            ask(store, PromiseCreate(id=task_id, timeout_at=FAR_MS, tags=TARGETED))

            def claim(writer: int, key: str = task_id) -> Callable[[], int]:
                request = Claim(id=key, pid=f"pid-{writer}", ttl=60_000)
                return lambda: ask(store, request).reply.status

            statuses = sorted(together([claim(writer) for writer in range(self.WRITERS)]))
            assert statuses == [200, *[409] * (self.WRITERS - 1)]
            held = look_at(store, task_id)
            assert isinstance(held, PromiseObject)
            assert held.task is not None
            assert held.task.version == 1

    def test_two_who_read_each_other_never_both_write(self, store: PrimitiveStore) -> None:
        """Write skew is impossible: each raises its flag only while it reads the other's down."""
        for number in range(self.ROUNDS):
            left, right = f"left-{number}", f"right-{number}"

            def raise_flag(mine: str, other: str) -> Callable[[], object]:
                def step(given: Mapping[str, Object | None]) -> Outcome:
                    return done() if count(given[other]) else done({mine: promise_object(mine, count=1)})

                return lambda: store.transact((mine, other), step)

            together([raise_flag(left, right), raise_flag(right, left)])
            assert sum(count(found.object) for found in look(store, left, right).values()) == 1


def _acknowledged(write: Callable[[], Result]) -> int:
    """Return 1 if the write was acknowledged, 0 if it met too many others: then it must not have happened."""
    try:
        write()
    except ConflictError:
        return 0
    return 1


def _moving(source: str, target: str) -> Callable[[Mapping[str, Object | None]], Outcome]:
    def step(given: Mapping[str, Object | None]) -> Outcome:
        return done(
            {
                source: promise_object(source, count=count(given[source]) - 1),
                target: promise_object(target, count=count(given[target]) + 1),
            }
        )

    return step


def _sum_seen(store: PrimitiveStore, accounts: list[str]) -> int:
    totals: list[int] = []

    def step(given: Mapping[str, Object | None]) -> Outcome | Need:
        for account in accounts:
            if account not in given:
                return Need(ids=frozenset((account,)))
        totals.append(sum(count(given[account]) for account in accounts))
        return done()

    store.transact(accounts[:1], step)
    return totals[-1]


def _param(result: Result) -> str | None:
    return _param_of(result.reply.promise)


def _param_of(stored: Object | None) -> str | None:
    assert isinstance(stored, PromiseObject)
    return stored.promise.param.data
