"""The contract of the Session port: an adapter's test class inherits it and brings the fixture ``stage``."""

from __future__ import annotations

from typing import Final, Protocol

import pytest

from resonate_faas._errors import TaskNotAcquiredError
from resonate_faas._machine.objects import EXTERNAL, PARENT, TIMER, Promise, PromiseState, Value
from resonate_faas._machine.requests import PromiseSettle, Record
from resonate_faas._ports import Session

LATER_MS: Final = 3_600_000
_RESOLVED: Final = PromiseState.RESOLVED
_MANY: Final = 150


class SessionStage(Protocol):
    """What the contract needs besides sessions: a server with nothing on it, seen from outside."""

    @property
    def ttl_ms(self) -> int:
        """The lease that sessions ask for."""

    def now_ms(self) -> int:
        """Return the server's time."""

    def start(self, task_id: str) -> None:
        """Create a pending task."""

    def open(self, task_id: str, pid: str) -> Session:
        """Return a new session."""

    def settle(self, promise_id: str, state: PromiseState) -> None:
        """Settle a promise from outside; what it awakes is awake when this returns."""

    def find(self, promise_id: str) -> Promise | None:
        """Return a promise as it is now."""

    def pass_time(self, duration_ms: int) -> None:
        """Let time pass for server and sessions, and let the server do what is due."""


class SessionContract:
    """What every session must do. Hidden fields, packing into transactions and costs are the embedded one's own."""

    @pytest.fixture
    def stage(self) -> SessionStage:
        """Give a fresh stage; an adapter overrides this."""
        raise NotImplementedError

    def test_a_pending_task_is_acquired_with_an_empty_history(self, stage: SessionStage) -> None:
        """The lease is ours for about as long as was asked."""
        stage.start("root")
        session = stage.open("root", "one")
        lease = session.acquire()
        assert lease is not None
        assert lease.root.id == "root"
        assert lease.history == {}
        assert 0 < session.left_ms() <= stage.ttl_ms

    @pytest.mark.parametrize("version", [0, 7])
    def test_a_message_s_version_is_a_hint_and_no_more(self, stage: SessionStage, version: int) -> None:
        """Whatever it says, the task is acquired as it is now."""
        stage.start("root")
        lease = stage.open("root", "one").acquire(version)
        assert lease is not None
        assert lease.root.task is not None
        assert lease.root.task.version == 1

    def test_what_is_unknown_settled_or_held_is_not_acquired(self, stage: SessionStage) -> None:
        """The delivery is done; nothing is raised."""
        assert stage.open("nobody", "one").acquire() is None
        stage.start("done")
        _acquired(stage, "done", "one").commit((), finish=PromiseSettle(id="done", state=_RESOLVED))
        assert stage.open("done", "two").acquire() is None
        stage.start("root")
        _acquired(stage, "root", "one")
        assert stage.open("root", "two").acquire() is None

    def test_what_was_committed_is_the_next_history_in_call_order(self, stage: SessionStage) -> None:
        """Pending and settled; what the commit told is what is stored."""
        stage.start("root")
        session = _acquired(stage, "root", "one")
        effects = [_record(stage, f"root:{number}", state=_RESOLVED) for number in (10, 2, 1)]
        told = session.commit([*effects, _record(stage, "root:3")])
        assert {key: promise.state for key, promise in told.items()} == {
            "root:10": _RESOLVED,
            "root:2": _RESOLVED,
            "root:1": _RESOLVED,
            "root:3": PromiseState.PENDING,
        }
        session.release()
        lease = stage.open("root", "two").acquire()
        assert lease is not None
        assert list(lease.history) == ["root:1", "root:2", "root:3", "root:10"]
        assert {key: lease.history[key].state for key in told} == {key: told[key].state for key in told}
        assert lease.history["root:1"].value == Value(data="MQ==")

    def test_a_commit_tells_what_is_stored_not_what_was_asked(self, stage: SessionStage) -> None:
        """A settled promise keeps its state, whoever settled it first."""
        stage.start("root")
        session = _acquired(stage, "root", "one")
        session.commit([_record(stage, "root:1")])
        stage.settle("root:1", PromiseState.REJECTED)
        told = session.commit([PromiseSettle(id="root:1", state=_RESOLVED)])
        assert told["root:1"].state is PromiseState.REJECTED
        again = session.commit([_record(stage, "root:1", state=_RESOLVED)])
        assert again["root:1"].state is PromiseState.REJECTED

    def test_any_number_of_effects_is_committed(self, stage: SessionStage) -> None:
        """In as many transactions as it takes; the last one ends the task."""
        stage.start("root")
        session = _acquired(stage, "root", "one")
        ids = [f"root:{number}" for number in range(1, _MANY + 1)]
        session.commit([_record(stage, promise_id) for promise_id in ids])
        settles = [PromiseSettle(id=promise_id, state=_RESOLVED) for promise_id in ids]
        told = session.commit(settles, finish=PromiseSettle(id="root", state=_RESOLVED))
        assert set(told) == set(ids)
        assert {promise.state for promise in told.values()} == {_RESOLVED}
        assert _state(stage, "root") is _RESOLVED
        assert _state(stage, ids[-1]) is _RESOLVED

    def test_a_finished_task_is_no_longer_held(self, stage: SessionStage) -> None:
        """Nothing more can be recorded, and a release does nothing."""
        stage.start("root")
        session = _acquired(stage, "root", "one")
        session.commit((), finish=PromiseSettle(id="root", state=_RESOLVED, value=Value(data="MQ==")))
        found = stage.find("root")
        assert found is not None
        assert (found.state, found.value.data) == (_RESOLVED, "MQ==")
        with pytest.raises(TaskNotAcquiredError):
            session.commit([_record(stage, "root:1")])
        session.release()
        assert _state(stage, "root") is _RESOLVED

    @pytest.mark.parametrize("how", ["commit", "finish", "suspend", "heartbeat", "release"])
    def test_after_a_takeover_nothing_is_recorded(self, stage: SessionStage, how: str) -> None:
        """Error 1199, by whatever the loser learns of it; a release is silent, and takes nothing from the winner."""
        stage.start("root")
        loser = _acquired(stage, "root", "loser")
        loser.commit([_record(stage, "root:1")])
        stage.pass_time(stage.ttl_ms + 1_000)
        winner = _acquired(stage, "root", "winner")
        if how == "release":
            loser.release()
        else:
            with pytest.raises(TaskNotAcquiredError):
                _attempt(loser, stage, how)
        assert loser.left_ms() <= 0
        assert stage.find("root:2") is None
        assert _state(stage, "root") is PromiseState.PENDING
        assert set(winner.commit([_record(stage, "root:3")])) == {"root:3"}

    def test_a_heartbeat_keeps_the_lease(self, stage: SessionStage) -> None:
        """Longer than it was first given for."""
        stage.start("root")
        session = _acquired(stage, "root", "one")
        for _ in range(3):
            stage.pass_time(stage.ttl_ms * 6 // 10)
            session.heartbeat()
        assert stage.open("root", "two").acquire() is None
        assert set(session.commit([_record(stage, "root:1")])) == {"root:1"}

    def test_commits_keep_the_lease_without_heartbeats(self, stage: SessionStage) -> None:
        """A workflow of many steps is busy for longer than one lease."""
        stage.start("root")
        session = _acquired(stage, "root", "one")
        for number in range(1, 5):
            stage.pass_time(stage.ttl_ms * 6 // 10)
            session.commit([_record(stage, f"root:{number}")])
        assert stage.open("root", "two").acquire() is None

    def test_promises_are_observed_as_they_are_now(self, stage: SessionStage) -> None:
        """Settled by others, by their deadline, or not at all; unknown ones are left out."""
        stage.start("root")
        session = _acquired(stage, "root", "one")
        timer = _record(stage, "root:2", tags={TIMER: "true"}, timeout_at=stage.now_ms() + 1_000)
        session.commit([_record(stage, "root:1"), timer, _record(stage, "root:3")])
        stage.settle("root:1", PromiseState.CANCELED)
        stage.pass_time(1_000)
        found = session.observe(["root:1", "root:2", "root:3", "root:4"])
        assert {key: promise.state for key, promise in found.items()} == {
            "root:1": PromiseState.CANCELED,
            "root:2": _RESOLVED,
            "root:3": PromiseState.PENDING,
        }

    @pytest.mark.parametrize("number", [1, _MANY])
    def test_a_suspended_task_is_woken_by_a_settlement(self, stage: SessionStage, number: int) -> None:
        """Of any one of the promises; until then nobody can acquire it."""
        stage.start("root")
        session = _acquired(stage, "root", "one")
        ids = [f"root:{place}" for place in range(1, number + 1)]
        session.commit([_record(stage, promise_id) for promise_id in ids])
        assert session.suspend(ids) == {}
        assert session.left_ms() <= 0
        assert stage.open("root", "two").acquire() is None
        stage.settle(ids[-1], _RESOLVED)
        lease = stage.open("root", "three").acquire()
        assert lease is not None
        assert lease.history[ids[-1]].state is _RESOLVED
        assert set(lease.woken_by) <= {ids[-1]}

    def test_a_suspension_on_a_settled_promise_keeps_the_lease(self, stage: SessionStage) -> None:
        """And tells which it is: go on."""
        stage.start("root")
        session = _acquired(stage, "root", "one")
        session.commit([_record(stage, "root:1"), _record(stage, "root:2")])
        stage.settle("root:2", _RESOLVED)
        assert {key: found.state for key, found in session.suspend(["root:1", "root:2"]).items()} == {
            "root:2": _RESOLVED
        }
        assert set(session.commit([_record(stage, "root:3")])) == {"root:3"}

    def test_a_released_task_is_acquired_again_at_once(self, stage: SessionStage) -> None:
        """With what was recorded."""
        stage.start("root")
        session = _acquired(stage, "root", "one")
        session.commit([_record(stage, "root:1")])
        session.release()
        assert session.left_ms() <= 0
        lease = stage.open("root", "two").acquire()
        assert lease is not None
        assert list(lease.history) == ["root:1"]


def _acquired(stage: SessionStage, task_id: str, pid: str) -> Session:
    session = stage.open(task_id, pid)
    assert session.acquire() is not None
    return session


def _attempt(session: Session, stage: SessionStage, how: str) -> None:
    if how == "commit":
        session.commit([_record(stage, "root:2")])
    elif how == "finish":
        session.commit([_record(stage, "root:2")], finish=PromiseSettle(id="root", state=_RESOLVED))
    elif how == "suspend":
        session.suspend(["root:1"])
    else:
        session.heartbeat()
        session.commit([_record(stage, "root:2")])


def _record(
    stage: SessionStage,
    promise_id: str,
    *,
    state: PromiseState = PromiseState.PENDING,
    tags: dict[str, str] | None = None,
    timeout_at: int | None = None,
) -> Record:
    now_ms = stage.now_ms()
    return Record(
        id=promise_id,
        timeout_at=now_ms + LATER_MS if timeout_at is None else timeout_at,
        created_at=now_ms,
        tags={PARENT: promise_id.partition(":")[0], **({EXTERNAL: "true"} if tags is None else tags)},
        state=state,
        value=Value() if state is PromiseState.PENDING else Value(data="MQ=="),
    )


def _state(stage: SessionStage, promise_id: str) -> PromiseState | None:
    found = stage.find(promise_id)
    return None if found is None else found.state
