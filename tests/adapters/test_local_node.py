"""A node in this process: scripts and tests without HTTP, restarts on the same file, clean ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.dev_server import until

from resonate_faas import Context, Invocation, Resonate, StoreUnavailableError
from resonate_faas._clock import SystemClock
from resonate_faas._engine.invocation import invocation
from resonate_faas._machine.objects import PromiseState, TaskState
from resonate_faas._machine.requests import ScheduleCreate, ScheduleGet
from resonate_faas_local import LocalNode
from resonate_faas_local._local_node import address_of

WAIT_MS = 20_000


class Business:
    """Workflows whose steps are counted in this process."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.holding = threading.Event()
        self.go = threading.Event()
        self.resonate = resonate = Resonate()

        @resonate.register
        async def count(ctx: Context, name: str, steps: int, pause: float = 0.0) -> int:
            for number in range(steps):
                await ctx.run(self.note, f"{name}-{number}")
                if pause:
                    await ctx.sleep(pause)
            return steps

        @resonate.register
        async def hold(ctx: Context) -> str:
            await ctx.run(self.note, "before")
            await ctx.run(self.wait)
            return "done"

        @resonate.register
        async def elsewhere(ctx: Context) -> int:
            return await ctx.options(target="reports").rpc(count, "there", 1)

        @resonate.register
        async def link(ctx: Context) -> str:
            return ctx.promise(str, timeout=60).link("resolve")

    def note(self, line: str) -> None:
        self.steps.append(line)

    def wait(self) -> None:
        self.holding.set()
        self.go.wait(30)


@pytest.fixture
def business() -> Business:
    return Business()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db"


def run(node: LocalNode, function: str, *args: Any, id: str = "root") -> Any:  # noqa: A002 - the wire's name
    found = node.client.invoke(Invocation(function=function, args=args, id=id))
    ended = node.client.wait(found.id, WAIT_MS)
    assert ended is not None
    return node.client.result(ended.promise)


def test_a_workflow_runs_to_its_end_without_http(business: Business, path: Path) -> None:
    with LocalNode(business.resonate, path) as node:
        assert run(node, "count", "a", 3) == 3
    assert business.steps == ["a-0", "a-1", "a-2"]


def test_a_sleep_that_suspends_ends_at_its_instant(business: Business, path: Path) -> None:
    with LocalNode(business.resonate, path, sweep_interval_ms=60_000) as node:
        before = time.monotonic()
        assert run(node, "count", "a", 1, 2.5) == 1
        assert 2.5 <= time.monotonic() - before < 4.0
        found = node.client.get("root")
        assert found is not None
        assert found.task is not None
        assert found.task.version == 2


def test_a_group_of_another_name_is_served_here_too(business: Business, path: Path) -> None:
    with LocalNode(business.resonate, path) as node:
        assert run(node, "elsewhere") == 1


@pytest.mark.parametrize(
    ("group", "address"), [("reports", "local://reports"), ("http://localhost:1/x", "http://localhost:1/x")]
)
def test_a_group_becomes_an_address_and_an_address_stays(group: str, address: str) -> None:
    assert address_of(group) == address


def test_a_clean_end_releases_what_runs_and_the_next_start_goes_on_at_once(
    business: Business, path: Path
) -> None:
    with LocalNode(business.resonate, path) as node:
        node.client.invoke(Invocation(function="hold", id="root"))
        assert business.holding.wait(10)
        before = time.monotonic()
    assert time.monotonic() - before < 5
    business.go.set()
    with LocalNode(business.resonate, path) as node:
        ended = node.client.wait("root", 3_000)  # sooner than a re-dispatch (5 s) or the lease (10 s)
        assert ended is not None
        assert ended.promise.state is PromiseState.RESOLVED
    assert business.steps == ["before"]


def test_a_restart_goes_on_with_timers_of_the_file(business: Business, path: Path) -> None:
    with LocalNode(business.resonate, path) as node:
        node.client.invoke(Invocation(function="count", args=["a", 2, 2.2], id="root"))
        until(lambda: _is_suspended(node))
    with LocalNode(business.resonate, path) as node:
        ended = node.client.wait("root", WAIT_MS)
        assert ended is not None
        assert node.client.result(ended.promise) == 2
    assert business.steps == ["a-0", "a-1"]


def _is_suspended(node: LocalNode) -> bool:
    found = node.client.get("root")
    return found is not None and found.task is not None and found.task.state is TaskState.SUSPENDED


def test_a_node_that_was_only_made_works_nothing(business: Business, path: Path) -> None:
    node = LocalNode(business.resonate, path)
    node.client.invoke(Invocation(function="count", args=["a", 1], id="root"))
    node.close()
    node.close()
    assert business.steps == []
    with pytest.raises(StoreUnavailableError):
        node.client.get("root")


def test_a_waiter_is_let_go_when_the_node_ends(business: Business, path: Path) -> None:
    told: list[Any] = []
    node = LocalNode(business.resonate, path).start()
    node.client.invoke(Invocation(function="hold", id="root"))
    assert business.holding.wait(10)
    waiter = threading.Thread(target=lambda: told.append(node.client.wait("root", WAIT_MS)))
    waiter.start()
    node.quiesce()
    waiter.join(5)
    assert not waiter.is_alive()
    assert told[0].promise.state is PromiseState.PENDING
    business.go.set()
    node.close()


def test_links_are_there_only_with_a_url_and_outlive_the_process(business: Business, path: Path) -> None:
    links = []
    for _ in range(2):
        with LocalNode(business.resonate, path, base_url="http://127.0.0.1:8001") as node:
            assert node.node.links is not None
            links.append(node.node.links.link("x", "birth", "resolve"))
    assert links[0] == links[1]
    with LocalNode(business.resonate, path.with_name("other"), base_url="http://127.0.0.1:8001") as node:
        assert node.node.links is not None
        assert node.node.links.link("x", "birth", "resolve") != links[0]
    with LocalNode(business.resonate, path) as node:
        assert node.node.links is None


def test_at_least_one_worker(business: Business, path: Path) -> None:
    with pytest.raises(ValueError, match="workers must be at least 1"):
        LocalNode(business.resonate, path, workers=0)


def test_a_target_outside_this_machine_is_refused_unless_allowed(business: Business, path: Path) -> None:
    with LocalNode(business.resonate, path, allow=["http://localhost:8080"]) as node:
        assert node.server.settings.permits("local://anything")
        assert node.server.settings.permits("http://localhost:8080/x")
        assert not node.server.settings.permits("http://localhost:8081/x")
        assert not node.server.settings.permits("poll://any@default")


class NearlyFull(SystemClock):
    """Runs as real time does, but from two seconds before a full hour (2024-06-01 07:00 UTC, 09:00 in Zurich)."""

    FULL_MS = 1_717_225_200_000

    def __init__(self) -> None:
        self._ahead_ms = self.FULL_MS - 2_000 - super().now_ms()

    def now_ms(self) -> int:
        return super().now_ms() + self._ahead_ms


def test_a_schedule_fires_in_its_zone_and_moves_on(business: Business, path: Path) -> None:
    clock = NearlyFull()
    param = invocation("count", ["s", 1], {}, version=1, codec=business.resonate.codec)
    schedule = ScheduleCreate(
        id="daily",
        cron="0 9 * * *",
        zone="Europe/Zurich",
        promise_id="{{.id}}-{{.timestamp}}",
        promise_timeout=3_600_000,
        promise_param=param,
        promise_tags={"resonate:target": "local://default"},
        next_run_at=0,
    )
    fired = f"daily-{clock.FULL_MS}"
    with LocalNode(business.resonate, path, clock=clock) as node:
        node.server.create_schedule(schedule)
        until(lambda: node.client.get(fired))
        assert clock.FULL_MS <= clock.now_ms() < clock.FULL_MS + 1_500
        ended = node.client.wait(fired, WAIT_MS)
        assert ended is not None
        assert node.client.result(ended.promise) == 1
        moved = node.server.ask(ScheduleGet(id="daily")).reply.schedule
        assert moved is not None
        assert (moved.last_run_at, moved.next_run_at) == (clock.FULL_MS, clock.FULL_MS + 86_400_000)


def test_a_schedule_missed_while_nothing_ran_fires_at_the_next_start(business: Business, path: Path) -> None:
    clock = NearlyFull()
    schedule = ScheduleCreate(
        id="hourly",
        cron="0 * * * *",
        promise_id="{{.id}}-{{.timestamp}}",
        promise_timeout=10**12,
        promise_tags={"resonate:target": "local://default"},
        next_run_at=0,
    )
    node = LocalNode(business.resonate, path, clock=clock)
    node.server.create_schedule(schedule, now_ms=clock.FULL_MS - 3 * 3_600_000)
    node.close()
    with LocalNode(business.resonate, path, clock=clock) as node:
        for hours in (2, 1):
            until(partial(node.client.get, f"hourly-{clock.FULL_MS - hours * 3_600_000}"))


def test_a_sweep_that_fails_is_logged_and_repeated(
    business: Business, path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = LocalNode(business.resonate, path, sweep_interval_ms=20)
    sweeps: list[int] = []
    whole: Callable[[], Any] = node.server.sweep

    def sweep() -> Any:
        sweeps.append(1)
        if len(sweeps) == 1:
            raise StoreUnavailableError("read", "away")
        if len(sweeps) == 2:
            raise KeyError("a bug")
        return whole()

    monkeypatch.setattr(node.server, "sweep", sweep)
    with node:
        until(lambda: len(sweeps) > 3)
    assert caplog.text.count("sweep failed") == 2
