"""Workers of ours that hold connections to a server: whom a message reaches, and what a broken one loses: nothing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.dev_server import DevServer, until
from tests.interop import sdks
from tests.interop.official import official
from tests.interop.programs import elsewhere
from tests.interop.workers import working

from resonate_faas import Invocation
from resonate_faas._machine.objects import PromiseState
from resonate_faas_remote import RemoteNode

APP = sdks.PROGRAMS / "ours.py"
WITHIN_MS = 60_000


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def start(url: str, function: str, *args: Any, target: str) -> str:
    with RemoteNode(elsewhere.resonate, url, target=target) as node:
        return node.client.invoke(Invocation(function=function, args=list(args))).id


def result(url: str, root: str) -> Any:
    with RemoteNode(elsewhere.resonate, url) as node:
        found = node.client.wait(root, WITHIN_MS)
        assert found is not None
        assert found.promise.state is PromiseState.RESOLVED, found
        return node.client.result(found.promise)


def test_a_killed_server_that_comes_back_finds_its_workers_again(tmp_path: Path, log: Path) -> None:
    """What waits stays in the database; what starts while the connection is down is told when it is up again."""
    server = DevServer(tmp_path, app=APP)
    port = server.url.rpartition(":")[2]
    with working(server.url, "steady", log):
        waiting = start(server.url, "approval", target="poll://any@steady")
        until(lambda: server.http.get(f"/promises/{waiting}:1").status_code == 200)
        server.end(signal.SIGKILL)
        again = DevServer(tmp_path, "--port", port, app=APP)
        try:
            fresh = start(again.url, "nested", 4, target="poll://any@steady")
            again.http.post(f"/promises/{waiting}:1/resolve", json={"value": "yes"})
            assert result(again.url, fresh) == 8
            assert result(again.url, waiting) == "yes"
        finally:
            again.end()


@pytest.mark.parametrize("kind", ["the official server", "the dev server"])
def test_a_message_for_one_worker_reaches_that_one_and_one_for_any_reaches_any(
    kind: str, tmp_path: Path
) -> None:
    with running(kind, tmp_path) as url:
        logs = {name: tmp_path / name for name in ("one", "two")}
        with (
            working(url, "group", logs["one"], "--name", "one"),
            working(url, "group", logs["two"], "--name", "two"),
        ):
            for name in ("one", "two", "one"):
                assert result(url, start(url, "nested", 2, target=f"poll://uni@group/{name}")) == 4
            assert [len(path.read_text().splitlines()) for path in logs.values()] == [2, 1]
            roots = [start(url, "nested", number, target="poll://any@group") for number in range(6)]
            assert [result(url, root) for root in roots] == [number * 2 for number in range(6)]
            assert sum(len(path.read_text().splitlines()) for path in logs.values()) == 9


@contextmanager
def running(kind: str, folder: Path) -> Iterator[str]:
    if kind == "the official server":
        with official() as url:
            yield url
        return
    server = DevServer(folder, app=APP)
    try:
        yield server.url
    finally:
        server.end()
