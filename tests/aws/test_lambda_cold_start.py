"""What a cold start imports, in a process of the real runtime client: names, since a shared machine decides on times.

docs/benchmarks.md has the times (`python -m bench cold_lambda`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.dynamodb_tables import running
from tests.aws.deployment import HERE, Queues, environment, sqs
from tests.emulators.event_source import record
from tests.emulators.function_url import event_of
from tests.emulators.lambda_runtime import LambdaEmulator

from resonate_faas_aws import create_table

NAME = "cold-start"
NEVER = {
    *("asyncio", "cronsim", "cryptography", "jwt", "pydantic"),
    *("resonate_faas._http.invoke", "resonate_faas._http.openapi", "resonate_faas._protocol"),
    *("resonate_faas.checks", "resonate_faas.testing"),
    *("resonate_faas_cli", "resonate_faas_gcp", "resonate_faas_local", "resonate_faas_remote"),
    *("starlette", "typer", "rich", "httpx", "google.cloud.firestore", "grpc"),
}
"""What neither the start nor a delivery needs."""


@pytest.fixture(scope="module")
def queues() -> Queues:
    create_table(running().client("dynamodb"), NAME)
    return Queues(NAME, visibility_s=30, receives_max=5)


@pytest.fixture
def function(queues: Queues, tmp_path: Path) -> Iterator[LambdaEmulator]:
    variables = {**environment(), "RESONATE_FAAS_TABLE": NAME, "RESONATE_FAAS_QUEUE_URL": queues.url}
    with LambdaEmulator(
        "cold_start.handler", str(HERE), tmp_path / "log", variables, concurrency=1
    ) as emulator:
        yield emulator


def imported(told: Any) -> set[str]:
    return set(told["modules"])


def test_a_health_check_imports_no_more_than_the_start(function: LambdaEmulator) -> None:
    told = function.invoke(event_of("GET", "/health", is_signed=True))
    assert told["answer"]["statusCode"] == 200
    assert imported(told) & NEVER == set()
    assert {"boto3", "resonate_faas_aws"} <= imported(told), "clients are made in the init phase"


def test_an_execution_of_plain_values_imports_no_models(
    function: LambdaEmulator, queues: Queues, tmp_path: Path
) -> None:
    """Started by one process, run by another: starting one over HTTP needs the models of its request."""
    message = started(queues, tmp_path)
    told = function.invoke({"Records": [record(message)]})
    assert told["answer"] == {"batchItemFailures": []}
    assert imported(told) & NEVER == set()
    read = function.invoke(event_of("GET", "/promises/sum", is_signed=True))
    assert '"value":42' in read["answer"]["body"]
    assert "pydantic" in imported(read), "a route's room is imported at its first request"


def started(queues: Queues, tmp_path: Path) -> dict[str, Any]:
    """Start an execution; return the message that was sent for it."""
    variables = {**environment(), "RESONATE_FAAS_TABLE": NAME, "RESONATE_FAAS_QUEUE_URL": queues.url}
    with LambdaEmulator(
        "cold_start.handler", str(HERE), tmp_path / "log", variables, concurrency=1
    ) as starter:
        starter.invoke({"resonate": "invoke", "function": "twice", "id": "sum", "args": [21]})
    (message,) = sqs().receive_message(QueueUrl=queues.url, WaitTimeSeconds=1)["Messages"]
    found: dict[str, Any] = message
    return found
