"""Real programs on the official SDKs against a dev server: nothing in them knows that the server is ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.dev_server import DevServer, dev_server
from tests.interop import sdks

OURS = sdks.PROGRAMS / "ours.py"
PYTHON = {
    "hello": "hello world",
    "fib_run": 8,
    "fib_rpc": 5,
    "fib_both": 5,
    "fan_out": 2470,
    "nap": "rested",
    "approval": {"approved": True},
    "retries": 3,
    "handles_errors": ["RuntimeError: out of stock", "RuntimeError: out of stock"],
    "detached": "hello from afar",
    "saga": "rolled back: no cars left",
    "versions": ["one", "two"],
    "order": {"item": "tea", "count": 4},
    "rpc": "hello rpc",
    "scheduled": "0 3 * * *",
    "undone": ["hotel", "flight"],
}
TYPESCRIPT = {
    "hello": "hello world",
    "fibRun": 8,
    "fibRpc": 5,
    "fibBoth": 5,
    "fanOut": 2470,
    "nap": "rested",
    "approval": {"approved": True},
    "retries": 3,
    "handlesErrors": ["RangeError: out of stock", "RangeError: out of stock"],
    "detached": "hello from afar",
    "saga": "rolled back: no cars left",
    "versions": ["one", "two"],
    "order": {"item": "tea", "count": 4},
    "rpc": "hello rpc",
    "scheduled": "0 3 * * *",
    "undone": ["hotel", "flight"],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    with dev_server(tmp_path_factory.mktemp("lenient"), app=OURS) as running:
        yield running


def test_programs_on_the_python_sdk(server: DevServer) -> None:
    assert sdks.run_python("journey.py", server.url, "python", "60") == PYTHON


def test_programs_on_the_typescript_sdk(server: DevServer) -> None:
    assert sdks.run_node("journey.mjs", server.url, "typescript", "60") == TYPESCRIPT


@pytest.mark.parametrize(
    ("program", "run"), [("journey.py", sdks.run_python), ("journey.mjs", sdks.run_node)]
)
def test_a_strict_server_refuses_the_timers_that_the_sdks_send(
    tmp_path: Path, program: str, run: Any
) -> None:
    """D1: both SDKs' sleep carries a target, which the specification refuses."""
    with dev_server(tmp_path, "--strict", app=OURS) as strict:
        outcomes = run(program, strict.url, "strict", "5", "hello", "nap")
    assert outcomes["hello"] == "hello world"
    assert outcomes["nap"] != "rested"
