"""Our functions on a server that is not ours: the one resonate-sdk brings for its local mode, and on our own by the wire."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.dev_server import dev_server, until
from tests.interop import sdks
from tests.interop.official import official
from tests.interop.programs import elsewhere
from tests.interop.workers import Worker, working

from resonate_faas import Invocation
from resonate_faas._machine.objects import PromiseState
from resonate_faas_remote import RemoteNode

SERVERS = ["preload", "no preload", "ours", "ours, strict"]
WITHIN_MS = 60_000


@pytest.fixture(scope="module", params=SERVERS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    match request.param:
        case "preload":
            with official() as running:
                yield running
        case "no preload":
            with official("--no-preload") as running:
                yield running
        case _:
            options = ["--strict"] if "strict" in request.param else []
            app = sdks.PROGRAMS / "ours.py"
            with dev_server(tmp_path_factory.mktemp("server"), *options, app=app) as server:
                yield server.url


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "steps"


@pytest.fixture
def group(request: pytest.FixtureRequest) -> str:
    return f"g{abs(hash(request.node.nodeid))}"


@pytest.fixture
def worker(url: str, group: str, log: Path) -> Iterator[Worker]:
    with working(url, group, log) as running:
        yield running


@pytest.fixture
def node(url: str, group: str) -> Iterator[RemoteNode]:
    with RemoteNode(elsewhere.resonate, url, group=group) as found:
        yield found


def start(node: RemoteNode, function: str, *args: Any) -> str:
    return node.client.invoke(Invocation(function=function, args=list(args))).id


def result(node: RemoteNode, promise_id: str) -> Any:
    found = node.client.wait(promise_id, WITHIN_MS)
    assert found is not None
    assert found.promise.state is PromiseState.RESOLVED, found
    return node.client.result(found.promise)


@pytest.mark.usefixtures("worker")
def test_steps_children_sleeps_and_errors(node: RemoteNode, log: Path) -> None:
    found = result(node, start(node, "tour", 3))
    assert found == {"doubled": 6, "children": [1, 2, 3], "error": "no 7", "nested": 12, "last": "end"}
    assert log.read_text().splitlines() == ["double 3", "double 6", "end"]  # each step ran once


@pytest.mark.usefixtures("worker")
def test_retries_races_timeouts_and_cancellation(node: RemoteNode, log: Path) -> None:
    root = start(node, "varied")
    found = result(node, root)
    assert found == {
        "retried": "gave in",
        "won": True,
        "late": ["PromiseTimeoutError", "PromiseTimeoutError"],
    }
    assert [line for line in log.read_text().splitlines() if line != "begun"] == [
        "stubborn",
        "stubborn",
        "gave in",
    ]
    loser = node.client.get(f"{root}:3r")
    assert loser is not None
    assert loser.promise.state is PromiseState.CANCELED


@pytest.mark.usefixtures("worker")
def test_a_promise_is_resolved_from_outside(node: RemoteNode) -> None:
    root = start(node, "approval")
    found = until(lambda: node.client.get(f"{root}:1"))
    assert found.promise.state is PromiseState.PENDING
    node.client.settle(f"{root}:1", PromiseState.RESOLVED, {"by": "ada"})
    assert result(node, root) == {"by": "ada"}


@pytest.mark.usefixtures("worker")
def test_a_tail_call_goes_on_as_a_fresh_root(node: RemoteNode) -> None:
    successor = result(node, start(node, "relay", 3))
    for left in (2, 1):
        successor = result(node, successor)
        assert isinstance(successor, str), left
    assert result(node, successor) == "done"


def test_a_killed_worker_s_task_goes_on_elsewhere_with_what_is_recorded(
    url: str, node: RemoteNode, group: str, log: Path
) -> None:
    with working(url, group, log) as first:
        root = start(node, "patient")
        until(lambda: log.exists() and "holding" in log.read_text())
        first.end(signal.SIGKILL)
    with working(url, group, log):
        assert result(node, root) == "held"
    assert log.read_text().splitlines().count("before") == 1
