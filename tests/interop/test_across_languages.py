"""A workflow of ours calls functions on the official SDKs, and the other way round, through our server."""

from __future__ import annotations

import json
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from tests.adapters.dev_server import DevServer, dev_server
from tests.interop import sdks

from resonate_faas._protocol.envelope import PROTOCOL_VERSION

WORKERS = {"python": "worker.py", "typescript": "worker.mjs"}
VALUE = {"text": "grüße", "numbers": [1, 2.5, None], "nested": {"yes": True}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    with dev_server(tmp_path_factory.mktemp("cross"), app=sdks.PROGRAMS / "ours.py") as running:
        yield running


def start(server: DevServer, root: str, target: str, function: str, *args: Any) -> None:
    """Create a root for a foreign worker, as the official command line does (protocol section 10)."""
    param = json.dumps({"func": function, "args": args, "version": 1}).encode()
    answer = server.http.post(
        "/",
        json={
            "kind": "promise.create",
            "head": {"corrId": root, "version": PROTOCOL_VERSION},
            "data": {
                "id": root,
                "timeoutAt": int(time.time() * 1000) + 60_000,
                "param": {"headers": {}, "data": b64encode(param).decode()},
                "tags": {"resonate:target": target},
            },
        },
    )
    assert answer.json()["head"]["status"] == 200, answer.text


@pytest.fixture(params=WORKERS)
def language(request: pytest.FixtureRequest, server: DevServer) -> Iterator[str]:
    """A worker of each language, connected under its name as group."""
    name: str = request.param
    command = sdks.command(WORKERS[name], server.url, name)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        try:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
            yield name
        finally:
            worker.kill()


def test_ours_calls_theirs_and_hears_its_error(server: DevServer, language: str) -> None:
    server.invoke("ask", f"poll://any@{language}", "shout", VALUE, id=f"ask-{language}")
    found: dict[str, Any] = server.result(f"ask-{language}")
    assert found["answer"] == {"shouted": "GRÜSSE", "by": language, "given": VALUE}
    assert found["error"].endswith(f"{language} refuses grüße")


def test_theirs_calls_ours_and_hears_its_error(server: DevServer, language: str) -> None:
    root = f"theirs-{language}"
    start(server, root, f"poll://any@{language}", "ask_ours", 2, 3)
    found = server.result(root)
    assert found["total"] == 5
    assert found["error"] == "because"
