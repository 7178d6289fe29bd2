"""Cloud Functions and Lambda functions that a Resonate server pushes to: the real functions-framework, the real runtime client."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.adapters.dev_server import dev_server, until
from tests.aws.deployment import HERE as LAMBDA_CODE
from tests.emulators.function_url import FunctionUrl
from tests.emulators.lambda_runtime import LambdaEmulator
from tests.gcp.framework import Framework, free_port
from tests.interop import sdks
from tests.interop.official import official
from tests.interop.programs import elsewhere

from resonate_faas import Invocation
from resonate_faas._machine.objects import PromiseState
from resonate_faas_remote import RemoteNode

WORKER = {"in_place_ms": 50, "lease_ms": 10_000}
NAP_S = 0.4
WITHIN_MS = 30_000


@contextmanager
def cloud_function(variables: dict[str, str], folder: Path) -> Iterator[str]:
    port = free_port()
    running = Framework(sdks.PROGRAMS, variables, folder / "framework.log", port)
    url = f"http://127.0.0.1:{port}/run"
    try:
        until(lambda: answers(url))
        yield url
    finally:
        running.close()


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 405
    except httpx.TransportError:
        return False


@contextmanager
def lambda_function(variables: dict[str, str], folder: Path) -> Iterator[str]:
    path = f"{LAMBDA_CODE}:{sdks.PROGRAMS}"
    with (
        LambdaEmulator(
            "lambda_function.handler", path, folder / "lambda.log", variables, concurrency=1
        ) as function,
        FunctionUrl(needs_iam=False) as front,
    ):
        front.serve(function)
        yield f"{front.url}/run"


CLOUDS: dict[str, Callable[[dict[str, str], Path], AbstractContextManager[str]]] = {
    "a Cloud Function": cloud_function,
    "a Lambda function": lambda_function,
}


@pytest.fixture(scope="module", params=["the official server", "the dev server"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "the official server":
        with official() as url:
            yield url
    else:
        folder = tmp_path_factory.mktemp("server")
        with dev_server(folder, "--allow", "http://127.0.0.1:*", app=sdks.PROGRAMS / "ours.py") as running:
            yield running.url


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_pushed_function_works_through_steps_sleeps_and_children(
    server: str, cloud: str, tmp_path: Path
) -> None:
    steps = tmp_path / "steps"
    variables = {
        "RESONATE_URL": server,
        "TEST_MODULE": "elsewhere",
        "TEST_WORKER": json.dumps(WORKER),
        "STEPS_LOG": str(steps),
    }
    with (
        CLOUDS[cloud](variables, tmp_path) as own,
        RemoteNode(elsewhere.resonate, server, target=own) as node,
    ):
        root = node.client.invoke(Invocation(function="errand", args=[3, NAP_S])).id
        found = node.client.wait(root, WITHIN_MS)
        assert found is not None
        assert found.promise.state is PromiseState.RESOLVED, found
        result: Any = node.client.result(found.promise)
        grandchild = node.client.get(f"{root}:3r:1r") or node.client.get(f"{root}:3r.1r")
    assert result == [6, 7]
    assert steps.read_text().splitlines() == ["double 3"]  # once, however often it was pushed
    assert grandchild is not None
    assert grandchild.promise.tags["resonate:target"] == own  # its own URL, as it was asked
