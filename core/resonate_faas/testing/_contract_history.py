"""Contract of ``history``: one activation's records, in call order, complete, up to date."""

from __future__ import annotations

from typing import ClassVar, Final

from resonate_faas._machine.ids import PAYLOAD_BYTES_MAX
from resonate_faas._machine.objects import PromiseObject, Value
from resonate_faas._ports import ABSENT
from resonate_faas.testing._contract_transact import ContractBase
from resonate_faas.testing._kit import (
    count,
    counting,
    drop,
    history_ids,
    look,
    promise_object,
    put,
    put_all,
    schedule_object,
    task_object,
)
from resonate_faas.testing._wrappers import CountingStore, PrimitiveStore

HISTORY_PAGE_MAX: Final = 1_000


class HistoryContract(ContractBase):
    """The read that a replay starts with."""

    HISTORY_RECORDS: ClassVar[int] = 10_000
    """Records of the longest history; an adapter over a slow emulator may lower it, not below 2,500."""

    def test_a_long_history_comes_complete_in_call_order_in_bounded_pages(
        self, store: PrimitiveStore
    ) -> None:
        """Written in another order than called, so that insertion order would be noticed."""
        numbers = range(1, self.HISTORY_RECORDS + 1)
        shuffled = [number for offset in range(7) for number in numbers[offset::7]]
        put_all(store, (promise_object(f"root:{number}", count=number) for number in shuffled), batch=99)
        pages = list(store.history("root"))
        assert all(0 < len(page) <= HISTORY_PAGE_MAX for page in pages)
        assert [count(found.object) for page in pages for found in page] == list(numbers)
        middle = self.HISTORY_RECORDS // 2
        behind = [f"root:{number}" for number in range(middle + 1, self.HISTORY_RECORDS + 1)]
        assert history_ids(store, "root", f"root:{middle}") == behind

    def test_nested_calls_stand_behind_their_caller(self, store: PrimitiveStore) -> None:
        """Numbers are compared as numbers, at every depth."""
        places = ["1", "1.1", "1.2", "1.10", "1.10.1", "2", "9", "10", "10.9", "10.10", "11r", "99", "100"]
        put(store, *(promise_object(f"root:{place}") for place in reversed(places)))
        assert history_ids(store, "root") == [f"root:{place}" for place in places]

    def test_after_is_exclusive_and_may_be_the_last(self, store: PrimitiveStore) -> None:
        """What is behind the last is nothing."""
        put(store, *(promise_object(f"root:{number}") for number in (1, 2, 3)))
        assert history_ids(store, "root", "root:1") == ["root:2", "root:3"]
        assert history_ids(store, "root", "root:3") == []

    def test_after_may_name_a_record_that_is_gone(self, store: PrimitiveStore) -> None:
        """It is a place, not a record."""
        put(store, *(promise_object(f"root:{number}") for number in (1, 2, 3)))
        drop(store, "root:2")
        assert history_ids(store, "root", "root:2") == ["root:3"]

    def test_an_unknown_task_has_no_history(self, store: PrimitiveStore) -> None:
        """No page at all, or none with a record."""
        assert history_ids(store, "nobody") == []

    def test_the_task_itself_is_left_out(self, store: PrimitiveStore) -> None:
        """It is read on its own, with its lease."""
        put(store, task_object("root"), task_object("root:1r"), promise_object("root:1r.1"))
        assert history_ids(store, "root") == ["root:1r"]
        assert history_ids(store, "root:1r") == ["root:1r.1"]

    def test_a_remote_childs_records_are_its_own(self, store: PrimitiveStore) -> None:
        """The caller's history holds the child, not what the child recorded."""
        places = ["1", "2r", "2r.1", "2r.1.1", "2r.2r", "2r.2r.1", "3"]
        put(store, *(promise_object(f"root:{place}") for place in places))
        assert history_ids(store, "root") == ["root:1", "root:2r", "root:3"]
        assert history_ids(store, "root:2r") == ["root:2r.1", "root:2r.1.1", "root:2r.2r"]
        assert history_ids(store, "root:2r.2r") == ["root:2r.2r.1"]

    def test_roots_with_like_names_are_apart(self, store: PrimitiveStore) -> None:
        """A prefix is not a partition."""
        roots = ["root", "root-2", "roo", "Root", "root:1r", "root.", "root/1", "root "]
        put(store, *(promise_object(f"{root}{'.' if ':' in root else ':'}1") for root in roots))
        for root in roots:
            assert history_ids(store, root) == [f"{root}{'.' if ':' in root else ':'}1"]

    def test_a_schedule_is_in_no_history(self, store: PrimitiveStore) -> None:
        """Its key holds a colon too."""
        stored = schedule_object("root", next_run_at=1)
        put(store, stored, promise_object("root:1"))
        assert history_ids(store, "root") == ["root:1"]
        assert history_ids(store, stored.id.partition(":")[0]) == []

    def test_a_record_is_in_the_history_once_it_is_acknowledged(self, store: PrimitiveStore) -> None:
        """Strongly consistent: a replay that missed a record would run a step twice."""
        for number in range(1, 31):
            put(store, promise_object(f"root:{number}", count=number))
            seen = [count(found.object) for page in store.history("root") for found in page]
            assert seen == list(range(1, number + 1))
            put(store, promise_object("root:1", count=1))

    def test_a_changed_record_comes_as_it_is_now_and_a_deleted_one_not(self, store: PrimitiveStore) -> None:
        """As strongly consistent."""
        put(store, *(promise_object(f"root:{number}") for number in (1, 2, 3)))
        put(store, promise_object("root:2", count=5))
        drop(store, "root:1")
        seen = [
            (found.object.id, count(found.object))
            for page in store.history("root")
            for found in page
            if found.object
        ]
        assert seen == [("root:2", 5), ("root:3", 0)]

    def test_a_revision_from_the_history_can_be_used_as_known(self, store: PrimitiveStore) -> None:
        """So an activation settles a replayed promise without reading it again."""
        put(store, *(promise_object(f"root:{number}", count=number) for number in (1, 2)))
        (page,) = store.history("root")
        known = {found.object.id: found for found in page if found.object}
        assert known == look(store, "root:1", "root:2")
        counted = CountingStore(store)
        counted.transact(("root:2",), counting("root:2"), known=known)
        assert (counted.counts.reads, counted.counts.writes) == (0, 1)

    def test_a_history_of_large_records_comes_complete(self, store: PrimitiveStore) -> None:
        """A page is bounded by bytes too, on stores that bound an answer (DynamoDB: 1 MB)."""
        payload = Value(data="x" * PAYLOAD_BYTES_MAX)
        for number in range(1, 9):
            put(store, promise_object(f"root:{number}", param=payload, value=payload))
        found = [each.object for page in store.history("root") for each in page]
        assert [each.id for each in found if each] == [f"root:{number}" for number in range(1, 9)]
        for each in found:
            assert isinstance(each, PromiseObject)
            assert each.promise.param == each.promise.value == payload

    def test_a_task_is_opened_with_its_history(self, store: PrimitiveStore) -> None:
        """What a read and a history give, however the store gets them."""
        for task_id in ("root", "root:2r"):
            put(store, task_object(task_id), *(promise_object(f"{task_id}:{place}") for place in (1, 2)))
            task, pages = store.open(task_id)
            assert task == look(store, task_id)[task_id]
            assert list(pages) == list(store.history(task_id))

    def test_a_task_that_is_opened_may_be_absent_or_have_no_history(self, store: PrimitiveStore) -> None:
        """The start of an execution, and the delivery of one that is gone."""
        task, pages = store.open("nobody")
        assert (task, list(pages)) == (ABSENT, [])
        put(store, task_object("root"))
        task, pages = store.open("root")
        assert (task.object, list(pages)) == (task_object("root"), [])

    def test_a_task_with_a_long_history_is_opened_page_by_page(self, store: PrimitiveStore) -> None:
        """The first one may have been read ahead; it is not given twice."""
        numbers = range(1, HISTORY_PAGE_MAX + 101)
        put_all(store, [promise_object(f"root:{number}", count=number) for number in numbers], batch=99)
        put(store, task_object("root"))
        _, pages = store.open("root")
        assert [count(found.object) for page in pages for found in page] == list(numbers)
