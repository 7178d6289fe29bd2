"""Contract of ``due``, ``next_due`` and ``search``: what a sweep and an operator find."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import ClassVar, Final, TypeVar

import pytest

from resonate_faas._machine.objects import (
    BRANCH,
    EXTERNAL,
    ORIGIN,
    TIMER,
    Object,
    PromiseObject,
    PromiseState,
    ScheduleObject,
    TaskState,
    schedule_key,
)
from resonate_faas._ports import DUE_SHARDS, SEARCH_LIMIT_MAX, Kind
from resonate_faas._records import due_shard
from resonate_faas.testing._contract_transact import ContractBase
from resonate_faas.testing._fake_clock import EPOCH_MS
from resonate_faas.testing._kit import (
    FAR_MS,
    drop,
    look_at,
    promise_object,
    put,
    put_all,
    schedule_object,
    task_object,
)
from resonate_faas.testing._wrappers import PrimitiveStore

INSTANT_MAX: Final = 2**63 - 1

_T = TypeVar("_T")
_LOOK_AGAIN_S: Final = 0.05


def eventually(read: Callable[[], _T], expected: _T, lag_s: float) -> None:
    """Assert that the read gives what is expected, within the lag that the store admits."""
    deadline = time.monotonic() + lag_s
    while (found := read()) != expected and time.monotonic() < deadline:
        time.sleep(_LOOK_AGAIN_S)
    assert found == expected


def all_due(store: PrimitiveStore, before_ms: int, limit: int = 1_000) -> dict[str, int]:
    """Return what is due in any shard."""
    return {key: at for shard in range(DUE_SHARDS) for key, at in store.due(before_ms, shard, limit)}


class DueContract(ContractBase):
    """The safety net of every timer."""

    def test_a_pending_task_is_due_at_its_retry_and_no_sooner(self, store: PrimitiveStore) -> None:
        """The instant itself is due."""
        put(store, task_object("task", retry_at=5_000))
        eventually(lambda: all_due(store, 5_000), {"task": 5_000}, self.INDEX_LAG_S)
        assert all_due(store, 4_999) == {}

    def test_each_kind_of_wake_is_found(self, store: PrimitiveStore) -> None:
        """Leases, deadlines of external promises, undrained callbacks, schedules; nothing else."""
        put(
            store,
            task_object("leased", state=TaskState.ACQUIRED, expires_at=1_000),
            task_object("suspended", state=TaskState.SUSPENDED, timeout_at=2_000),
            promise_object("timer", state=PromiseState.PENDING, tags={TIMER: "true"}, timeout_at=3_000),
            promise_object("external", state=PromiseState.PENDING, tags={EXTERNAL: "true"}, timeout_at=4_000),
            promise_object("undrained", callbacks=("suspended",)),
            schedule_object("nightly", next_run_at=5_000),
            promise_object("internal", state=PromiseState.PENDING, timeout_at=6_000),
            promise_object("settled", tags={EXTERNAL: "true"}, timeout_at=7_000),
        )
        expected = {
            "leased": 1_000,
            "suspended": 2_000,
            "timer": 3_000,
            "external": 4_000,
            schedule_key("nightly"): 5_000,
            "undrained": EPOCH_MS,
        }
        eventually(lambda: all_due(store, EPOCH_MS), expected, self.INDEX_LAG_S)

    def test_a_key_is_due_in_its_own_shard_alone(self, store: PrimitiveStore) -> None:
        """The shard follows from the key by the function that all stores share."""
        keys = [f"task-{number}" for number in range(200)]
        put_all(store, (task_object(key, retry_at=1_000) for key in keys), batch=99)
        eventually(lambda: set(all_due(store, 1_000)), set(keys), self.INDEX_LAG_S)
        for shard in range(DUE_SHARDS):
            found = [key for key, _ in store.due(1_000, shard, 1_000)]
            assert sorted(found) == sorted(key for key in keys if due_shard(key) == shard)
            assert found, "200 keys reach every shard"

    def test_the_earliest_come_first_and_the_limit_holds(self, store: PrimitiveStore) -> None:
        """A bounded sweep takes what has waited longest."""
        keys = [key for key in (f"task-{number}" for number in range(400)) if due_shard(key) == 3][:12]
        instants = {key: 1_000 + 37 * place % 101 for place, key in enumerate(keys)}
        put(store, *(task_object(key, retry_at=at) for key, at in instants.items()))
        in_order = sorted(instants.items(), key=lambda pair: pair[1])
        eventually(lambda: store.due(5_000, 3, 100), in_order, self.INDEX_LAG_S)
        assert store.due(5_000, 3, 5) == in_order[:5]

    def test_the_index_follows_the_object(self, store: PrimitiveStore) -> None:
        """Moved, cleared, set again, deleted."""
        moves: tuple[tuple[PromiseObject, dict[str, int]], ...] = (
            (task_object("task", retry_at=1_000), {"task": 1_000}),
            (task_object("task", retry_at=3_000), {"task": 3_000}),
            (promise_object("task"), {}),
            (task_object("task", state=TaskState.ACQUIRED, expires_at=2_000), {"task": 2_000}),
        )
        for stored, expected in moves:
            put(store, stored)
            eventually(lambda: all_due(store, 5_000), expected, self.INDEX_LAG_S)
        drop(store, "task")
        eventually(lambda: all_due(store, 5_000), dict[str, int](), self.INDEX_LAG_S)

    def test_the_next_due_instant_is_told_or_zero(self, store: PrimitiveStore) -> None:
        """Never later than the truth: who sleeps until then misses nothing."""
        assert store.next_due() in {None, 0}
        put(store, *(task_object(f"task-{number}", retry_at=9_000 - number) for number in range(50)))
        eventually(lambda: store.next_due() in {0, 8_951}, True, self.INDEX_LAG_S)  # noqa: FBT003 - the expected value
        drop(store, "task-49")
        eventually(lambda: store.next_due() in {0, 8_952}, True, self.INDEX_LAG_S)  # noqa: FBT003 - the expected value

    def test_an_instant_at_the_end_of_time_is_kept(self, store: PrimitiveStore) -> None:
        """SDKs send the largest integer they have for "never"."""
        forever = promise_object(
            "a", state=PromiseState.PENDING, tags={EXTERNAL: "true"}, timeout_at=INSTANT_MAX
        )
        put(store, forever)
        assert look_at(store, "a") == forever
        assert all_due(store, FAR_MS) == {}


class SearchContract(ContractBase):
    """What operators list. The state is the stored one: nothing is projected."""

    ORDERED_ACROSS_PAGES: ClassVar[bool] = True
    """False: the store shards by id, so that without an origin or branch tag the order holds within a page only."""

    def test_each_kind_finds_its_own(self, store: PrimitiveStore) -> None:
        """A task is a promise that has one."""
        put(store, promise_object("plain"), task_object("task"), schedule_object("nightly", next_run_at=1))
        self._expect(store, "promise", {"plain", "task"})
        self._expect(store, "task", {"task"})
        self._expect(store, "schedule", {"nightly"})

    def test_the_state_is_the_promises_or_the_tasks(self, store: PrimitiveStore) -> None:
        """By kind."""
        suspended = task_object("suspended", state=TaskState.SUSPENDED)
        fulfilled = task_object("fulfilled", state=TaskState.FULFILLED)
        promise = replace(fulfilled.promise, state=PromiseState.REJECTED, settled_at=EPOCH_MS)
        put(store, suspended, replace(fulfilled, promise=promise), promise_object("resolved"))
        self._expect(store, "promise", {"suspended"}, state="pending")
        self._expect(store, "promise", {"fulfilled"}, state="rejected")
        self._expect(store, "task", {"suspended"}, state="suspended")
        self._expect(store, "task", set(), state="pending")
        put(store, replace(suspended, promise=promise_object("suspended").promise))
        self._expect(store, "promise", {"suspended", "resolved"}, state="resolved")

    @pytest.mark.parametrize("tag", [ORIGIN, BRANCH, "team", "resonate:parent"])
    def test_tags_must_all_be_equal(self, store: PrimitiveStore, tag: str) -> None:
        """With an index or without."""
        for key, tags in {
            "both": {tag: "x", "colour": "red"},
            "one": {tag: "x"},
            "other": {tag: "y", "colour": "red"},
            "longer": {tag: "xx", "colour": "red"},
            "none": {},
        }.items():
            put(store, promise_object(key, tags=tags))
        self._expect(store, "promise", {"both", "one"}, tags={tag: "x"})
        self._expect(store, "promise", {"both"}, tags={tag: "x", "colour": "red"})
        self._expect(store, "promise", {"both", "other", "longer"}, tags={"colour": "red"})
        self._expect(store, "promise", set(), tags={tag: ""})

    def test_origin_and_branch_together_narrow(self, store: PrimitiveStore) -> None:
        """Two indexes, one answer; tasks and states narrow it further."""
        for key, origin, branch in (("a", "o", "b"), ("b", "o", "c"), ("c", "p", "b")):
            put(store, task_object(key, tags={ORIGIN: origin, BRANCH: branch}))
        put(store, promise_object("d", tags={ORIGIN: "o", BRANCH: "b"}))
        both = {ORIGIN: "o", BRANCH: "b"}
        self._expect(store, "promise", {"a", "d"}, tags=both)
        self._expect(store, "promise", {"d"}, tags=both, state="resolved")
        self._expect(store, "task", {"a"}, tags=both)

    def test_a_schedule_is_found_by_the_tags_of_its_promises(self, store: PrimitiveStore) -> None:
        """It has no state: asking for one finds nothing."""
        put(
            store,
            schedule_object("nightly", next_run_at=1, tags={"team": "x"}),
            schedule_object("b", next_run_at=2),
        )
        self._expect(store, "schedule", {"nightly"}, tags={"team": "x"})
        self._expect(store, "schedule", set(), state="pending")
        found = store.search("schedule", after="b")
        assert [each.schedule.id for each in found if isinstance(each, ScheduleObject)] == ["nightly"]

    def test_the_index_follows_changed_tags_and_deletions(self, store: PrimitiveStore) -> None:
        """A record of an earlier execution is overwritten, its tags too."""
        put(store, promise_object("a", tags={ORIGIN: "old", BRANCH: "old"}))
        put(store, promise_object("a", tags={ORIGIN: "new"}))
        self._expect(store, "promise", set(), tags={ORIGIN: "old"})
        self._expect(store, "promise", set(), tags={BRANCH: "old"})
        self._expect(store, "promise", {"a"}, tags={ORIGIN: "new"})
        drop(store, "a")
        self._expect(store, "promise", set(), tags={ORIGIN: "new"})
        self._expect(store, "promise", set())

    def test_ids_ascend_by_their_utf8_bytes(self, store: PrimitiveStore) -> None:
        """Not by UTF-16 units, not by a locale, not without case."""
        ids = ["A", "B", "a", "a-", "a.", "aa", "b", "z", "é", "ß", "\ue000", "\uffee", "\U0001f600"]
        put(store, *(promise_object(key, tags={ORIGIN: "o"}) for key in reversed(ids)))
        expected = sorted(ids, key=str.encode)
        eventually(lambda: _ids(store.search("promise", tags={ORIGIN: "o"})), expected, self.INDEX_LAG_S)
        for place in range(len(ids)):
            assert (
                _ids(store.search("promise", tags={ORIGIN: "o"}, after=expected[place]))
                == expected[place + 1 :]
            )

    @pytest.mark.parametrize(
        "tags", [{ORIGIN: "o"}, {"colour": "red"}, {}], ids=["indexed", "scanned", "all"]
    )
    def test_paging_meets_every_object_once(self, store: PrimitiveStore, tags: Mapping[str, str]) -> None:
        """Pages are full while there is more, and in order."""
        keys = [f"promise-{number}" for number in range(60)]
        held = {ORIGIN: "o", "colour": "red"}
        put(store, *(promise_object(key, tags=held) for key in keys))
        put(
            store,
            *(
                promise_object(f"other-{number}", tags={ORIGIN: "p", "colour": "blue"})
                for number in range(40)
            ),
        )
        expected = sorted(keys if tags else [*keys, *(f"other-{number}" for number in range(40))])
        eventually(lambda: sorted(_ids(store.search("promise", tags=tags))), expected, self.INDEX_LAG_S)
        seen: list[str] = []
        while page := _ids(store.search("promise", tags=tags, limit=7, after=seen[-1] if seen else None)):
            assert page == sorted(page)
            assert len(page) <= 7
            seen += page
            assert len(seen) <= len(expected), "an object came twice"
        if self.ORDERED_ACROSS_PAGES or ORIGIN in tags:
            assert seen == expected
        assert sorted(seen) == expected

    def test_a_rare_tag_is_found_among_many(self, store: PrimitiveStore) -> None:
        """An answer is complete however much must be scanned for it."""
        objects = [
            promise_object(f"p-{number:04}", tags={"rare": "yes"} if number == 1_150 else {})
            for number in range(1_188)
        ]
        put_all(store, objects, batch=99)
        self._expect(store, "promise", {"p-1150"}, tags={"rare": "yes"})

    @pytest.mark.parametrize("limit", [0, -1, SEARCH_LIMIT_MAX + 1])
    def test_a_limit_out_of_bounds_is_a_bug_and_told(self, store: PrimitiveStore, limit: int) -> None:
        """Never silently another limit."""
        with pytest.raises(ValueError, match="limit"):
            store.search("promise", limit=limit)

    def _expect(
        self,
        store: PrimitiveStore,
        kind: Kind,
        expected: Iterable[str],
        *,
        state: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        eventually(
            lambda: sorted(_ids(store.search(kind, state=state, tags=tags or {}))),
            sorted(expected),
            self.INDEX_LAG_S,
        )


def _ids(found: list[Object]) -> list[str]:
    return [each.id if isinstance(each, PromiseObject) else each.schedule.id for each in found]
