"""The remote session keeps the contract of sessions, over a lenient and a strict server, and while answers are lost."""

from __future__ import annotations

import pytest
from tests.conformance.sessions import FAR_MS
from tests.remote.wire import URL, AppTransport, Everybody, server

from resonate_faas._errors import OutcomeUnknownError, TaskNotAcquiredError
from resonate_faas._http import App
from resonate_faas._machine.objects import (
    BRANCH,
    PARENT,
    TARGET,
    TIMER,
    Promise,
    PromiseState,
    Value,
)
from resonate_faas._machine.requests import PromiseCreate, PromiseSettle, Record
from resonate_faas._ports import DUE_SHARDS
from resonate_faas.testing import SessionContract
from resonate_faas_remote._remote_server import RemoteServer
from resonate_faas_remote._session import RemoteSession
from resonate_faas_remote._transport import Transport
from resonate_faas_remote._wire import Names

LOST = ("task.fence", "task.heartbeat", "promise.get", "promise.search", "task.get")
OWN = "poll://any@mine"


class RemoteStage:
    """A server of ours, reached by its protocol alone."""

    ttl_ms = 30_000

    def __init__(self, *, strict: bool = False, loses: bool = False, separator: str = ":") -> None:
        self.node, self.clock = server(strict=strict)
        self.wire = AppTransport(App(self.node, Everybody()), self._loses if loses else lambda _: False)
        transport = Transport(URL, clock=self.clock, transport=self.wire)
        self.names = Names(separator)
        self.remote = RemoteServer(transport, clock=self.clock, names=self.names, timer_target=OWN)

    def _loses(self, number: int) -> bool:
        body = self.wire.requests[-1].content.decode()
        return number % 3 == 0 and any(f'"kind":"{kind}"' in body for kind in LOST)

    def now_ms(self) -> int:
        return self.clock.now_ms()

    def start(self, task_id: str) -> None:
        create = PromiseCreate(id=task_id, timeout_at=FAR_MS, tags={TARGET: OWN})
        assert self.node.server.ask(create).reply.ok

    def open(self, task_id: str, pid: str) -> RemoteSession:
        return RemoteSession(self.remote, task_id, pid=pid, ttl_ms=self.ttl_ms)

    def settle(self, promise_id: str, state: PromiseState) -> None:
        settle = PromiseSettle(id=self.names.theirs(promise_id), state=state)
        assert self.node.server.ask(settle).reply.ok

    def find(self, promise_id: str) -> Promise | None:
        key = self.names.theirs(promise_id)
        found = self.node.server.observe((key,)).get(key)
        return None if found is None else found.promise

    def pass_time(self, duration_ms: int) -> None:
        self.clock.advance(duration_ms)
        for shard in range(DUE_SHARDS):
            for key, _ in self.node.server.store.due(self.clock.now_ms(), shard, 100):
                self.node.server.advance(key)

    def kinds(self) -> list[str]:
        """Return the kinds of the requests so far, and forget them."""
        import json  # noqa: PLC0415 - one use

        kinds = [json.loads(request.content)["kind"] for request in self.wire.requests]
        self.wire.requests.clear()
        return kinds


class TestSessionOverTheWire(SessionContract):
    @pytest.fixture(params=["lenient", "strict", "dots"])
    def stage(self, request: pytest.FixtureRequest) -> RemoteStage:
        return RemoteStage(
            strict=request.param == "strict", separator="." if request.param == "dots" else ":"
        )


class TestSessionWhileAnswersAreLost(SessionContract):
    """Requests that repeat are sent again; the others are told apart by the session's user."""

    @pytest.fixture
    def stage(self) -> RemoteStage:
        return RemoteStage(loses=True)


def record(stage: RemoteStage, promise_id: str, **tags: str) -> Record:
    return Record(
        id=promise_id,
        timeout_at=stage.now_ms() + 3_600_000,
        created_at=stage.now_ms(),
        tags={PARENT: "root", **tags},
        state=PromiseState.RESOLVED if not tags else PromiseState.PENDING,
        value=Value(data="MQ==") if not tags else Value(),
    )


def acquired(stage: RemoteStage) -> RemoteSession:
    stage.start("root")
    session = stage.open("root", "one")
    assert session.acquire(0) is not None
    stage.kinds()
    return session


def test_a_message_s_version_saves_the_look_at_the_task() -> None:
    stage = RemoteStage()
    stage.start("root")
    assert stage.open("root", "one").acquire(0) is not None
    assert stage.kinds() == ["task.acquire", "promise.search", "promise.search"]


def test_a_preload_saves_the_search_of_the_branch() -> None:
    stage = RemoteStage()
    create = PromiseCreate(id="root", timeout_at=FAR_MS, tags={TARGET: OWN, BRANCH: "root"})
    assert stage.node.server.ask(create).reply.ok
    session = stage.open("root", "one")
    session.acquire(0)
    session.commit([Record(id="root:1", timeout_at=FAR_MS, created_at=0, tags={BRANCH: "root"})])
    session.release()
    stage.kinds()
    lease = stage.open("root", "two").acquire(1)
    assert lease is not None
    assert list(lease.history) == ["root:1"]
    assert stage.kinds() == ["task.acquire", "promise.search"]


def test_a_step_is_created_before_it_is_settled() -> None:
    stage = RemoteStage()
    session = acquired(stage)
    session.commit([record(stage, "root:1")])
    assert stage.kinds() == ["task.fence", "task.fence"]


@pytest.mark.parametrize("strict", [False, True])
def test_a_timer_is_addressed_unless_the_server_refuses_that(*, strict: bool) -> None:
    stage = RemoteStage(strict=strict)
    session = acquired(stage)
    for number in (1, 2):
        session.commit([record(stage, f"root:{number}", **{TIMER: "true"})])
    asked = [TARGET in request.content.decode() for request in stage.wire.requests]
    assert asked == ([True, False, False] if strict else [True, True])  # refused once, not asked again
    stored = stage.find("root:1")
    assert stored is not None
    assert stored.is_timer


def test_to_back_off_a_task_is_left_to_its_lease() -> None:
    stage = RemoteStage()
    session = acquired(stage)
    session.release(reason="unknown function", back_off=True)
    assert stage.kinds() == []
    assert stage.open("root", "two").acquire() is None
    stage.pass_time(stage.ttl_ms + 1_000)
    assert stage.open("root", "three").acquire() is not None


def test_a_claim_whose_answer_is_lost_may_have_happened() -> None:
    stage = RemoteStage()
    stage.start("root")
    stage.wire._loses = lambda number: number == 1
    with pytest.raises(OutcomeUnknownError):
        stage.open("root", "one").acquire(0)
    assert stage.kinds() == ["task.acquire"]


def test_a_heartbeat_tells_that_the_lease_is_lost() -> None:
    stage = RemoteStage()
    session = acquired(stage)
    stage.node.server.ask(PromiseSettle(id="root", state=PromiseState.CANCELED))
    stage.pass_time(stage.ttl_ms // 2)
    with pytest.raises(TaskNotAcquiredError):
        session.heartbeat()
    assert session.left_ms() <= 0


def test_with_dots_no_colon_reaches_the_server() -> None:
    stage = RemoteStage(separator=".")
    session = acquired(stage)
    told = session.commit([record(stage, "root:1"), record(stage, "root:2.1")])
    assert set(told) == {"root:1", "root:2.1"}
    assert stage.find("root:1") is not None
    assert all('"root:' not in request.content.decode() for request in stage.wire.requests)
