"""Contract of ``transact``: all or nothing, on unchanged objects, with what the caller knows, asking for more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import pytest

from resonate_faas._errors import LimitExceededError
from resonate_faas._machine.objects import Object, Value
from resonate_faas._machine.requests import Need, Outcome
from resonate_faas._optimistic import MovedError
from resonate_faas._ports import ABSENT, TRANSACTION_MAX, Step, Versioned
from resonate_faas.testing._kit import FAR_MS, count, counting, done, drop, look, look_at, promise_object, put
from resonate_faas.testing._wrappers import CountingStore, PrimitiveStore


class ContractBase:
    """What the parts of the contract share."""

    INDEX_LAG_S: ClassVar[float] = 0.0
    """How long the due index and searches may lag behind the objects, seconds of real time."""

    @pytest.fixture
    def store(self) -> PrimitiveStore:
        """Give an empty store with the default rules; an adapter overrides this."""
        raise NotImplementedError


def interrupted(step: Step, other: Step, store: PrimitiveStore, key: str) -> tuple[Step, list[int]]:
    """Return the step, with another writer's transaction on ``key`` between its first decision and its write."""
    calls: list[int] = []

    def wrapped(given: Mapping[str, Object | None]) -> Outcome | Need:
        outcome = step(given)
        if isinstance(outcome, Outcome):
            calls.append(1)
            if len(calls) == 1:
                store.transact((key,), other)
        return outcome

    return wrapped, calls


class TransactContract(ContractBase):
    """One writer at a time, and the conflicts that can be played in one thread."""

    def test_an_absent_object_is_none_at_revision_zero(self, store: PrimitiveStore) -> None:
        """Absence is an answer, not an error."""
        assert look(store, "absent")["absent"] == ABSENT

    def test_what_was_written_is_read_back_at_the_revision_that_was_told(self, store: PrimitiveStore) -> None:
        """The result names the revision that the next reader sees."""
        written = promise_object("a", param=Value(data="cGFyYW0="), count=7)
        told = put(store, written).objects["a"]
        assert told == look(store, "a")["a"]
        assert told.object == written
        assert told.revision != ABSENT.revision

    def test_a_time_to_live_is_kept_with_the_object(self, store: PrimitiveStore) -> None:
        """A store may delete the object by itself from then on; before, it is as any other."""
        param = Value(data="x" * 10_000)
        put(store, promise_object("root:1", param=param))
        marked = replace(promise_object("root:1", param=param), kept_until=FAR_MS)
        put(store, marked)
        assert look_at(store, "root:1") == marked
        assert [found.object for page in store.history("root") for found in page] == [marked]
        put(store, promise_object("root:1"))
        assert look_at(store, "root:1") == promise_object("root:1")

    def test_every_write_moves_the_revision(self, store: PrimitiveStore) -> None:
        """Also one that stores the same again."""
        revisions = [put(store, promise_object("a")).objects["a"].revision for _ in range(5)]
        assert len(set(revisions)) == 5

    def test_several_objects_are_written_together(self, store: PrimitiveStore) -> None:
        """One transaction, several roots."""
        put(store, promise_object("a", count=1), promise_object("b", count=2), promise_object("a:1", count=3))
        found = look(store, "a", "b", "a:1")
        assert {key: count(each.object) for key, each in found.items()} == {"a": 1, "b": 2, "a:1": 3}

    def test_a_transaction_holds_as_many_objects_as_promised(self, store: PrimitiveStore) -> None:
        """Exactly 100: a commit of 99 children and their task."""
        keys = [f"root:{number}" for number in range(1, TRANSACTION_MAX)]
        put(store, promise_object("root"), *(promise_object(key, count=1) for key in keys))
        assert sum(count(found.object) for found in look(store, *keys).values()) == len(keys)

    @pytest.mark.parametrize("asked", [False, True])
    def test_one_object_more_than_promised_is_refused(self, store: PrimitiveStore, *, asked: bool) -> None:
        """Named at once or asked for later, and by all stores alike: the laptop finds what a cloud would refuse."""
        keys = [f"o:{number}" for number in range(TRANSACTION_MAX + 1)]

        def step(given: Mapping[str, Object | None]) -> Outcome | Need:
            return done({keys[0]: promise_object(keys[0])}) if len(given) > 1 else Need(ids=frozenset(keys))

        with pytest.raises(LimitExceededError, match="100"):
            store.transact(keys[:1] if asked else keys, step)
        assert look_at(store, keys[0]) is None

    def test_one_moved_object_among_a_hundred_stops_all(self, store: PrimitiveStore) -> None:
        """Nothing of a refused write is stored, wherever in it the moved object stands."""
        keys = [f"root:{number}" for number in range(1, TRANSACTION_MAX + 1)]
        put(store, *(promise_object(key) for key in keys))
        expected = {key: found.revision for key, found in look(store, *keys).items()}
        for moved in (keys[0], keys[50], keys[-1]):
            store.transact((moved,), counting(moved, 0))
            with pytest.raises(MovedError):
                store.write(expected, {key: promise_object(key, count=9) for key in keys}, "n")
            assert all(count(found.object) == 0 for found in look(store, *keys).values())
            expected[moved] = look(store, moved)[moved].revision

    def test_a_step_that_raises_writes_nothing(self, store: PrimitiveStore) -> None:
        """The error reaches the caller as it is."""

        def step(_: Mapping[str, Object | None]) -> Outcome:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            store.transact(("a",), step)
        assert look_at(store, "a") is None

    def test_an_id_given_twice_is_read_once(self, store: PrimitiveStore) -> None:
        """Callers need not deduplicate."""
        store.transact(("a", "a"), counting("a"))
        assert count(look_at(store, "a")) == 1

    def test_a_conflict_runs_the_step_again_on_what_is_there_now(self, store: PrimitiveStore) -> None:
        """The other writer's change is not lost."""
        put(store, promise_object("a", count=1))
        step, calls = interrupted(counting("a"), counting("a", 10), store, "a")
        result = store.transact(("a",), step)
        assert len(calls) == 2
        assert count(result.objects["a"].object) == count(look_at(store, "a")) == 12

    @pytest.mark.parametrize("present", [True, False])
    def test_an_object_only_read_must_not_move_either(self, store: PrimitiveStore, *, present: bool) -> None:
        """Reads are guarded, of absent objects too: else a fence would guard nothing."""
        if present:
            put(store, promise_object("guard", count=1))

        def copy(given: Mapping[str, Object | None]) -> Outcome:
            return done({"copy": promise_object("copy", count=count(given["guard"]))})

        step, calls = interrupted(copy, counting("guard", 10), store, "guard")
        store.transact(("guard", "copy"), step)
        assert len(calls) == 2
        assert count(look_at(store, "copy")) == count(look_at(store, "guard")) == 10 + present

    def test_a_primitive_write_refuses_when_an_object_only_read_has_moved(
        self, store: PrimitiveStore
    ) -> None:
        """And the refusal leaves no trace."""
        stale = put(store, promise_object("guard")).objects["guard"].revision
        put(store, promise_object("guard"))
        with pytest.raises(MovedError):
            store.write({"guard": stale, "a": 0}, {"a": promise_object("a")}, "n")
        with pytest.raises(MovedError):
            store.write({"guard": 0, "a": 0}, {"a": promise_object("a")}, "n")
        assert look_at(store, "a") is None

    def test_many_objects_only_read_beside_one_written(self, store: PrimitiveStore) -> None:
        """99 guards and one write fit a transaction; a moved guard stops it."""
        guards = [f"guard:{number}" for number in range(1, TRANSACTION_MAX)]
        put(store, *(promise_object(key) for key in guards))
        step, calls = interrupted(counting("a"), counting(guards[70]), store, guards[70])
        store.transact((*guards, "a"), step)
        assert len(calls) == 2
        assert count(look_at(store, "a")) == 1

    def test_what_a_result_tells_can_be_used_as_known(self, store: PrimitiveStore) -> None:
        """Also of objects that were only read: the holder of a lease goes on without reading."""
        counted = CountingStore(store)
        put(counted, promise_object("task"))
        result = counted.transact(("task", "a"), counting("a"))
        counted.reset()
        result = counted.transact(("task", "a"), counting("a"), known=result.objects)
        result = counted.transact(("task", "a"), counting("task"), known=result.objects)
        result = counted.transact(("task", "a", "b"), counting("b"), known={**result.objects, "b": ABSENT})
        assert (counted.counts.reads, counted.counts.writes) == (0, 3)
        assert {key: count(found.object) for key, found in look(store, "task", "a", "b").items()} == {
            "task": 1,
            "a": 2,
            "b": 1,
        }

    @pytest.mark.parametrize("belief", ["older", "absent", "another revision"])
    def test_a_stale_known_is_found_out(self, store: PrimitiveStore, belief: str) -> None:
        """Nothing is decided on an object that has moved, was there, or never was."""
        old = put(store, promise_object("a", count=1)).objects["a"]
        new = put(store, promise_object("a", count=5)).objects["a"]
        known = {
            "older": old,
            "absent": ABSENT,
            "another revision": Versioned(promise_object("a", count=77), new.revision + 1),
        }
        result = store.transact(("a",), counting("a"), known={"a": known[belief]})
        assert count(result.objects["a"].object) == count(look_at(store, "a")) == 6

    def test_an_object_believed_in_that_was_deleted_is_found_out(self, store: PrimitiveStore) -> None:
        """A lease on a deleted task guards nothing."""
        old = put(store, promise_object("a", count=1)).objects["a"]
        drop(store, "a")
        store.transact(("a",), counting("a"), known={"a": old})
        assert count(look_at(store, "a")) == 1

    @pytest.mark.parametrize(("status", "writes"), [(200, False), (409, False), (409, True), (300, True)])
    def test_an_answer_on_known_that_is_no_written_success_is_decided_again(
        self, store: PrimitiveStore, status: int, *, writes: bool
    ) -> None:
        """A belief may be old: only a conditional write proves it, so a refusal needs a read."""
        fresh = put(store, promise_object("a", count=5)).objects["a"]
        believed = Versioned(promise_object("a", count=1), fresh.revision)
        seen: list[int] = []

        def step(given: Mapping[str, Object | None]) -> Outcome:
            seen.append(count(given["a"]))
            return done({"a": promise_object("a", count=50)} if writes else {}, status=status)

        store.transact(("a",), step, known={"a": believed})
        assert seen == [1, 5]

    def test_a_step_may_ask_for_more_three_times(self, store: PrimitiveStore) -> None:
        """Need is answered with the objects read, absent ones too."""
        put(store, promise_object("b", count=2), promise_object("d", count=4))
        chain = {"a": "b", "b": "c", "c": "d"}

        def step(given: Mapping[str, Object | None]) -> Outcome | Need:
            for asked in chain.values():
                if asked not in given:
                    return Need(ids=frozenset((asked,)))
            total = sum(count(found) for found in given.values())
            return done({"a": promise_object("a", count=total)})

        result = store.transact(("a",), step)
        assert set(result.objects) == {"a", "b", "c", "d"}
        assert count(look_at(store, "a")) == 6

    def test_what_a_step_asked_for_must_not_move(self, store: PrimitiveStore) -> None:
        """Objects read on demand are guarded as the others are."""
        put(store, promise_object("b", count=2))

        def copy(given: Mapping[str, Object | None]) -> Outcome | Need:
            if "b" not in given:
                return Need(ids=frozenset(("b",)))
            return done({"a": promise_object("a", count=count(given["b"]))})

        step, calls = interrupted(copy, counting("b", 10), store, "b")
        store.transact(("a",), step)
        assert len(calls) == 2
        assert count(look_at(store, "a")) == 12

    def test_an_answer_that_writes_nothing_is_of_one_instant(self, store: PrimitiveStore) -> None:
        """Objects read one after the other are read again together, unless a write proves that none has moved."""
        put(store, promise_object("a", count=10), promise_object("b", count=0))
        sums: list[int] = []

        def audit(given: Mapping[str, Object | None]) -> Outcome | Need:
            if "b" not in given:
                put(store, promise_object("a", count=3), promise_object("b", count=7))
                return Need(ids=frozenset(("b",)))
            sums.append(sum(count(found) for found in given.values()))
            return done()

        result = store.transact(("a",), audit)
        assert sums[-1] == sum(count(found.object) for found in result.objects.values()) == 10

    def test_a_step_that_asks_for_ever_is_a_bug_and_told(self, store: PrimitiveStore) -> None:
        """Every loop has a bound."""

        def step(given: Mapping[str, Object | None]) -> Need:
            return Need(ids=frozenset((f"more-{len(given)}",)))

        with pytest.raises(RuntimeError, match="3 calls"):
            store.transact(("a",), step)


class DeletionContract(ContractBase):
    """What retention relies on: deleted is gone everywhere, and never mistaken for what comes after."""

    def test_a_deleted_object_is_absent(self, store: PrimitiveStore) -> None:
        """As if it had never been."""
        put(store, promise_object("a"), promise_object("b"))
        assert drop(store, "a").objects["a"].object is None
        assert look(store, "a")["a"] == ABSENT
        assert look_at(store, "b") is not None

    def test_deleting_what_is_absent_does_nothing(self, store: PrimitiveStore) -> None:
        """A sweep may come twice."""
        drop(store, "a")
        assert look(store, "a")["a"] == ABSENT

    def test_a_write_and_a_deletion_go_together(self, store: PrimitiveStore) -> None:
        """Deletions are guarded and atomic as writes are."""
        old = put(store, promise_object("a"), promise_object("b")).objects
        put(store, promise_object("b", count=1))
        expected = {key: found.revision for key, found in old.items()}
        with pytest.raises(MovedError):
            store.write(expected, {"a": None, "b": promise_object("b", count=9)}, "n")
        with pytest.raises(MovedError):
            store.write(expected, {"a": promise_object("a", count=9), "b": None}, "n")
        found = look(store, "a", "b")
        assert [count(found[key].object) for key in ("a", "b")] == [0, 1]

    def test_an_id_created_again_never_matches_an_old_revision(self, store: PrimitiveStore) -> None:
        """Else a lease on the deleted object would hold for the new one."""
        past: list[int] = []
        for writes in (1, 3, 2, 1):
            for _ in range(writes):
                past.append(put(store, promise_object("a")).objects["a"].revision)
                put(store, promise_object("other"))
            drop(store, "a")
        put(store, promise_object("a", count=5))
        assert len(set(past)) == len(past)
        for revision in past:
            with pytest.raises(MovedError):
                store.write({"a": revision}, {"a": promise_object("a", count=9)}, "n")
        assert count(look_at(store, "a")) == 5

    def test_a_deletion_with_an_old_revision_spares_the_new_object(self, store: PrimitiveStore) -> None:
        """The sweep that was slow does not delete what was born meanwhile."""
        old = put(store, promise_object("a")).objects["a"].revision
        drop(store, "a")
        put(store, promise_object("a", count=5))
        with pytest.raises(MovedError):
            store.write({"a": old}, {"a": None}, "n")
        assert count(look_at(store, "a")) == 5
