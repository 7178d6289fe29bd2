"""Contract under lost answers: a whole life of a workflow, with every single write going wrong in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from resonate_faas._errors import OutcomeUnknownError, StoreUnavailableError
from resonate_faas._machine import internal
from resonate_faas._machine.objects import (
    BRANCH,
    EXTERNAL,
    ORIGIN,
    TARGET,
    Message,
    Object,
    PromiseObject,
    PromiseState,
    TaskState,
    Value,
)
from resonate_faas._machine.requests import Claim, Commit, Outcome, Park, PromiseCreate, PromiseSettle, Record
from resonate_faas._parts import AWAITED_MAX, parts
from resonate_faas._ports import DUE_SHARDS, Result
from resonate_faas._records import encode_object
from resonate_faas.testing._contract_transact import ContractBase
from resonate_faas.testing._fake_clock import EPOCH_MS
from resonate_faas.testing._kit import (
    ADDRESS,
    FAR_MS,
    ask,
    count,
    counting,
    done,
    drop,
    history_ids,
    look,
    look_at,
    promise_object,
    put,
    run,
)
from resonate_faas.testing._wrappers import Fault, FaultyStore, PrimitiveStore

_TRIES: Final = 3


@dataclass
class _Life:
    """One scripted life of a workflow under a root; its writes are the same each time it runs."""

    store: PrimitiveStore
    root: str
    messages: list[Message] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def live(self) -> None:
        """Start, record, suspend, be woken, record more, finish; then one record is deleted."""
        root, local, signal, remote = self.root, f"{self.root}:1", f"{self.root}:2", f"{self.root}:3r"
        tags = {ORIGIN: root, BRANCH: root}
        at = EPOCH_MS
        resolved = PromiseState.RESOLVED
        early = (
            Record(
                id=local,
                timeout_at=FAR_MS,
                created_at=at,
                tags=tags,
                state=resolved,
                value=Value(data="MQ=="),
            ),
            Record(id=signal, timeout_at=FAR_MS, created_at=at, tags={**tags, EXTERNAL: "true"}),
            Record(id=remote, timeout_at=FAR_MS, created_at=at, tags={**tags, TARGET: ADDRESS}),
        )
        late = (
            Record(id=f"{root}:4", timeout_at=FAR_MS, created_at=at, tags=tags, state=resolved),
            PromiseSettle(id=remote, state=PromiseState.CANCELED),
        )
        finish = PromiseSettle(id=root, state=resolved, value=Value(data="Mg=="))
        self._ask(PromiseCreate(id=root, timeout_at=FAR_MS, tags={**tags, TARGET: ADDRESS}), at)
        self._ask(Claim(id=root, pid="first", ttl=60_000), at + 1)
        self._ask(Commit(id=root, version=1, effects=early), at + 2)
        self._ask(Park(id=root, version=1, awaited=(signal, remote)), at + 3)
        self._ask(PromiseSettle(id=signal, state=resolved, value=Value(data="Mw==")), at + 4)
        self._run((signal,), lambda turn: internal.callback_drain(turn, signal), at + 5)
        self._run((root,), lambda turn: internal.dispatch(turn, root), at + 6)
        self._ask(Claim(id=root, pid="second", ttl=60_000), at + 7)
        self._ask(Commit(id=root, version=2, effects=late, extend=True), at + 8)
        self._run((remote,), lambda turn: internal.callback_drain(turn, remote), at + 9)
        self._ask(Commit(id=root, version=2, effects=(), finish=finish), at + 10)
        self._retried(lambda: drop(self.store, local))

    def left_behind(self) -> dict[str, Any]:
        """Return all that can be seen of the life, its root's name replaced."""
        keys = (self.root, *(f"{self.root}:{place}" for place in ("1", "2", "3r", "4")))
        found = look(self.store, *keys)
        due = [key for shard in range(DUE_SHARDS) for key, _ in self.store.due(FAR_MS, shard, 1_000)]
        origin = self.store.search("promise", tags={ORIGIN: self.root})
        return {
            "objects": {self._plain(key): self._record(held.object) for key, held in found.items()},
            "history": [self._plain(key) for key in history_ids(self.store, self.root)],
            "due": sorted(self._plain(key) for key in due if key in keys),
            "origin": [self._plain(held.id) for held in origin],
            "messages": [self._plain(repr(message)) for message in self.messages],
            "statuses": self.statuses,
        }

    def _ask(self, request: Any, now_ms: int) -> None:
        self._retried(lambda: ask(self.store, request, now_ms=now_ms))

    def _run(self, keys: tuple[str, ...], handler: Callable[[Any], Any], now_ms: int) -> None:
        self._retried(lambda: run(self.store, keys, handler, now_ms=now_ms))

    def _retried(self, action: Callable[[], Result]) -> None:
        """Do it until it is acknowledged; only "nothing was written" is tried again."""
        for _ in range(_TRIES):
            try:
                result = action()
            except StoreUnavailableError:
                continue
            self.messages += result.outcome.messages
            self.statuses.append(result.reply.status)
            return
        raise AssertionError(f"not acknowledged in {_TRIES} tries")

    def _plain(self, text: str) -> str:
        return text.replace(self.root, "ROOT")

    def _record(self, stored: Object | None) -> str:
        return "" if stored is None else self._plain(encode_object(stored).decode())


REQUESTS_OF_A_LIFE: Final = 12
WRITES_OF_A_LIFE: Final = 11
"""One drain finds nothing to do: the commit that settled the child consumed its own holder's callback."""


class LostAnswerContract(ContractBase):
    """Each write of a life goes wrong in turn; what is left behind must be as if none had."""

    def test_the_life_itself_ends_as_told(self, store: PrimitiveStore) -> None:
        """What the runs with faults are compared with: written down by hand."""
        life = _Life(store, "calm")
        life.live()
        left = life.left_behind()
        root = look_at(store, "calm")
        assert isinstance(root, PromiseObject)
        assert (root.promise.state, root.promise.value.data) == (PromiseState.RESOLVED, "Mg==")
        assert root.task is not None
        assert (root.task.state, root.task.version) == (TaskState.FULFILLED, 2)
        assert left["history"] == ["ROOT:2", "ROOT:3r", "ROOT:4"]
        assert left["origin"] == ["ROOT", "ROOT:2", "ROOT:3r", "ROOT:4"]
        assert left["due"] == []
        assert left["statuses"] == [200] * REQUESTS_OF_A_LIFE
        assert len(left["messages"]) == 1

    @pytest.mark.parametrize("fault", list(Fault))
    def test_each_write_gone_wrong_in_turn_changes_nothing(self, store: PrimitiveStore, fault: Fault) -> None:
        """Nothing doubled, nothing lost, every answer the same."""
        calm = _Life(store, "calm-life")
        calm.live()
        expected = calm.left_behind()
        for number in range(1, WRITES_OF_A_LIFE + 1):
            faulty = FaultyStore(store, {number: fault})
            life = _Life(faulty, f"faulty-{number:02}")
            life.live()
            retried = 0 if fault is Fault.ANSWER_LOST else 1
            assert faulty.writes == WRITES_OF_A_LIFE + retried, f"{fault.value}, write {number}"
            assert life.left_behind() == expected, f"{fault.value}, write {number}"

    def test_an_increment_whose_answer_is_lost_counts_once(self, store: PrimitiveStore) -> None:
        """The step itself need not be idempotent."""
        faulty = FaultyStore(store, dict.fromkeys((2, 3, 5), Fault.ANSWER_LOST))
        told = [count(faulty.transact(("a",), counting("a")).objects["a"].object) for _ in range(5)]
        assert told == [1, 2, 3, 4, 5]
        assert count(look_at(store, "a")) == 5

    def test_a_result_after_a_lost_answer_tells_the_real_revisions(self, store: PrimitiveStore) -> None:
        """They can be used as known: the next write does not conflict."""
        faulty = FaultyStore(store, {1: Fault.ANSWER_LOST})
        result = faulty.transact(("a", "b"), counting("a"))
        faulty.transact(("a", "b"), counting("a"), known=result.objects)
        assert faulty.writes == 2
        assert count(look_at(store, "a")) == 2

    def test_a_lost_deletion_is_recognised(self, store: PrimitiveStore) -> None:
        """It leaves no nonce; that nothing is left is the proof."""
        put(store, promise_object("a"), promise_object("b"))
        faulty = FaultyStore(store, {1: Fault.ANSWER_LOST})
        drop(faulty, "a", "b")
        assert faulty.writes == 1
        assert all(held.object is None for held in look(store, "a", "b").values())

    def test_a_lost_write_with_a_deletion_is_recognised(self, store: PrimitiveStore) -> None:
        """The written object's nonce speaks for both."""
        put(store, promise_object("a"))
        faulty = FaultyStore(store, {1: Fault.ANSWER_LOST})
        calls: list[int] = []

        def step(_: Mapping[str, Object | None]) -> Outcome:
            calls.append(1)
            return done({"a": None, "b": promise_object("b", count=len(calls))})

        faulty.transact(("a", "b"), step)
        assert calls == [1]
        assert count(look_at(store, "b")) == 1
        assert look_at(store, "a") is None

    def test_an_outage_of_one_write_stores_nothing(self, store: PrimitiveStore) -> None:
        """And is told as such."""
        faulty = FaultyStore(store, {1: Fault.UNAVAILABLE})
        with pytest.raises(StoreUnavailableError):
            faulty.transact(("a",), counting("a"))
        assert look_at(store, "a") is None

    def test_answers_that_are_always_lost_are_told_as_unknown(self, store: PrimitiveStore) -> None:
        """Nothing is claimed that nobody can know."""
        faulty = FaultyStore(store, dict.fromkeys(range(1, 200), Fault.REQUEST_LOST), pause=lambda _: None)
        with pytest.raises(OutcomeUnknownError):
            faulty.transact(("a",), counting("a"))
        assert look_at(store, "a") is None


class SuspendContract(ContractBase):
    """Suspending on one promise, on as many as fit a transaction, on one more, and on a thousand."""

    @pytest.mark.parametrize("number", [1, 98, 99, 1_000])
    def test_a_task_suspends_on_any_number_and_wakes_once(self, store: PrimitiveStore, number: int) -> None:
        """All are registered, the task last; the last one to settle wakes it."""
        awaited = self._started(store, "root", number)
        statuses = self._parked(store, "root", awaited)
        assert statuses == [200] * -(-number // AWAITED_MAX)
        for start in range(0, number, 100):
            for held in look(store, *awaited[start : start + 100]).values():
                assert isinstance(held.object, PromiseObject)
                assert held.object.promise.callbacks == ("root",)
        assert self._task(store, "root") == (TaskState.SUSPENDED, ())
        ask(store, PromiseSettle(id=awaited[-1], state=PromiseState.RESOLVED))
        run(store, (awaited[-1],), lambda turn: internal.callback_drain(turn, awaited[-1]))
        assert self._task(store, "root") == (TaskState.PENDING, (awaited[-1],))

    def test_a_settled_promise_among_many_registers_none(self, store: PrimitiveStore) -> None:
        """The redirect keeps the lease and leaves no callback behind."""
        awaited = self._started(store, "root", AWAITED_MAX)
        ask(store, PromiseSettle(id=awaited[60], state=PromiseState.RESOLVED))
        assert self._parked(store, "root", awaited) == [300]
        for held in look(store, *awaited).values():
            assert isinstance(held.object, PromiseObject)
            assert held.object.promise.callbacks == ()
        assert self._task(store, "root")[0] is TaskState.ACQUIRED

    def test_a_settlement_that_races_the_suspension_is_not_missed(self, store: PrimitiveStore) -> None:
        """Between the decision and its write another settles: the suspension must see it."""
        awaited = self._started(store, "root", AWAITED_MAX)
        raced: list[int] = []

        class Racing(FaultyStore):
            def write(
                self, expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
            ) -> Mapping[str, int]:
                if not raced:
                    raced.append(1)
                    ask(store, PromiseSettle(id=awaited[97], state=PromiseState.RESOLVED))
                return super().write(expected, writes, nonce)

        assert self._parked(Racing(store, {}), "root", awaited) == [300]
        assert self._task(store, "root")[0] is TaskState.ACQUIRED

    @pytest.mark.parametrize("fault", [Fault.ANSWER_LOST, Fault.REQUEST_LOST])
    def test_a_large_suspension_survives_each_lost_answer(self, store: PrimitiveStore, fault: Fault) -> None:
        """Each chunk's write goes wrong in turn."""
        for number in range(1, 4):
            root = f"root-{number}"
            awaited = self._started(store, root, 2 * AWAITED_MAX + 1)
            assert self._parked(FaultyStore(store, {number: fault}), root, awaited) == [200] * 3
            for held in (look_at(store, awaited[0]), look_at(store, awaited[-1])):
                assert isinstance(held, PromiseObject)
                assert held.promise.callbacks == (root,)
            assert self._task(store, root)[0] is TaskState.SUSPENDED

    def _started(self, store: PrimitiveStore, root: str, number: int) -> list[str]:
        ask(store, PromiseCreate(id=root, timeout_at=FAR_MS, tags={TARGET: ADDRESS}))
        ask(store, Claim(id=root, pid="pid", ttl=60_000))
        awaited = [f"{root}:{place}" for place in range(1, number + 1)]
        for start in range(0, number, 99):
            effects = tuple(
                Record(id=key, timeout_at=FAR_MS, created_at=EPOCH_MS, tags={EXTERNAL: "true"})
                for key in awaited[start : start + 99]
            )
            assert ask(store, Commit(id=root, version=1, effects=effects)).reply.ok
        return awaited

    def _parked(self, store: PrimitiveStore, root: str, awaited: list[str]) -> list[int]:
        whole = Park(id=root, version=1, awaited=tuple(awaited))
        return [ask(store, park).reply.status for park in parts(whole)]

    def _task(self, store: PrimitiveStore, root: str) -> tuple[TaskState, tuple[str, ...]]:
        found = look_at(store, root)
        assert isinstance(found, PromiseObject)
        assert found.task is not None
        return found.task.state, found.task.resumes
