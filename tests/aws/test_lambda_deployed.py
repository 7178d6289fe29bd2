"""The same function deployed into ministack's Lambda: its event source mapping, its function URL, its direct invocations."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.adapters.dynamodb_tables import running
from tests.aws.deployment import (
    HERE,
    LINK_KEY,
    SAMPLES,
    SECRET,
    Queues,
    environment,
    sqs,
    until,
)
from tests.aws.test_lambda_samples import linked

from resonate_faas._machine.objects import PromiseObject
from resonate_faas_aws import DynamoDBStore, PublicUrlError, create_table
from resonate_faas_aws._own_url import OwnUrl

ALIAS = "live"
ROLE = "arn:aws:iam::000000000000:role/function"
REGIONS = [f"region-{number:03}" for number in range(4)]
GAMES = 100
NUMBERS = count(1)


def archive(*files: Path) -> bytes:
    """Return a deployment package."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as package:
        for file in files:
            package.write(file, file.name)
    return buffer.getvalue()


class Function:
    """A function with its URL and its event source mapping. No alias: ministack tells a function its version instead."""

    def __init__(
        self, client: Any, name: str, sample: str, variables: dict[str, str], module: str = "workflows"
    ) -> None:
        self._client = client
        self.name = name
        create_table(running().client("dynamodb"), name)
        self.queues = Queues(name, visibility_s=30, receives_max=5)
        client.create_function(
            FunctionName=name,
            Runtime="python3.11",
            Handler="lambda_function.handler",
            Role=ROLE,
            Timeout=30,
            Code={"ZipFile": archive(HERE / "lambda_function.py", *(SAMPLES / sample).glob("*.py"))},
            Environment={
                "Variables": {
                    "RESONATE_FAAS_TABLE": name,
                    "RESONATE_FAAS_QUEUE_URL": self.queues.url,
                    "RESONATE_FAAS_LINK_KEY": LINK_KEY,
                    "RESONATE_FAAS_WEBHOOK_SECRET": SECRET,
                    "TEST_MODULE": module,
                    **variables,
                }
            },
        )
        client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        self.own_url: str = client.create_function_url_config(FunctionName=name, AuthType="NONE")[
            "FunctionUrl"
        ]
        arn = sqs().get_queue_attributes(QueueUrl=self.queues.url, AttributeNames=["QueueArn"])["Attributes"]
        client.create_event_source_mapping(
            FunctionName=name,
            EventSourceArn=arn["QueueArn"],
            BatchSize=10,
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )

    def reachable(self, url: str) -> str:
        """Return where the emulator serves a function URL: under a path, since the name does not resolve here."""
        host, _, path = url.removeprefix("https://").partition("/")
        return f"{running().url}/_aws/lambda-url/{host.partition('.')[0]}/{path}"

    def request(self, method: str, path: str, **fields: Any) -> httpx.Response:
        url = self.reachable(self.own_url.rstrip("/") + path)
        return httpx.request(method, url, headers={"authorization": f"Bearer {SECRET}"}, timeout=60, **fields)

    def invoke(self, event: Any) -> Any:
        """Invoke the function synchronously; fails if it raised."""
        answer = self._client.invoke(FunctionName=self.name, Payload=json.dumps(event))
        body = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, body
        return body

    def result(self, promise_id: str) -> Any:
        def look() -> Any:
            body = self.request("GET", f"/promises/{promise_id}?wait=10").json()
            return None if body["state"] == "pending" else body

        found = until(look)
        assert found["state"] == "resolved", found
        return found["value"]


@pytest.fixture
def deploy() -> Iterator[Callable[..., Function]]:
    """Deploy functions; their processes end with the emulator."""
    client = running().client("lambda")
    yield lambda sample, *module, **variables: Function(
        client, f"deployed-{sample.replace('_', '-')}-{next(NUMBERS)}", sample, variables, *module
    )
    for mapping in client.list_event_source_mappings()["EventSourceMappings"]:
        client.delete_event_source_mapping(UUID=mapping["UUID"])


def test_an_approval_by_a_link_to_the_url_that_the_function_found_itself(
    deploy: Callable[..., Function], tmp_path: Path
) -> None:
    outbox = tmp_path / "outbox"
    function = deploy("approval", APPROVAL_OUTBOX=str(outbox))
    started = function.request("POST", "/invoke/approval", json={"id": "boat", "args": ["a boat", "ada", 60]})
    assert started.status_code == 202, started.text
    link = until(lambda: linked(outbox), lambda: function.request("GET", "/promises/boat").text)
    assert link.startswith(function.own_url)
    settled = httpx.post(function.reachable(link), json={"value": "enjoy"}, timeout=60)
    assert settled.status_code == 200, settled.text
    assert function.result("boat") == {"request": "a boat", "state": "approved", "note": "enjoy"}


def test_an_alias_has_a_url_of_its_own(
    deploy: Callable[..., Function], monkeypatch: pytest.MonkeyPatch
) -> None:
    function, client = deploy("countdown"), running().client("lambda")
    client.publish_version(FunctionName=function.name)
    client.create_alias(FunctionName=function.name, Name=ALIAS, FunctionVersion="1")
    config = client.create_function_url_config(
        FunctionName=function.name, Qualifier=ALIAS, AuthType="AWS_IAM"
    )
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    arn = client.get_function(FunctionName=function.name)["Configuration"]["FunctionArn"]

    def found(invoked: str) -> str:
        url = OwnUrl(None)
        url.heard(invoked)
        return url()

    assert found(f"{arn}:{ALIAS}") == config["FunctionUrl"].rstrip("/")
    assert found(arn) == found(f"{arn}:1") == found(f"{arn}:$LATEST") == function.own_url.rstrip("/")
    with pytest.raises(PublicUrlError, match="RESONATE_FAAS_PUBLIC_URL"):
        found(f"{arn}:other")
    with pytest.raises(PublicUrlError):
        found("")


def test_a_fan_out_through_the_event_source_mapping(deploy: Callable[..., Function]) -> None:
    function = deploy("fanout_report")
    function.queues.send("{ this is no JSON")
    started = function.invoke({"resonate": "invoke", "function": "report", "id": "report", "args": [REGIONS]})
    assert started["id"] == "report"
    assert function.result("report")["regions"] == len(REGIONS)
    assert function.invoke({"resonate": "tick"})["failures"] == 0


def test_a_countdown_sleeps_between_invocations(deploy: Callable[..., Function], tmp_path: Path) -> None:
    announced = tmp_path / "announced"
    function = deploy("countdown", COUNTDOWN_LOG=str(announced))
    started = function.request("POST", "/invoke/countdown", json={"id": "launch", "args": [2, 2.5]})
    assert started.status_code == 202, started.text
    assert function.result("launch") == "lift-off"
    assert announced.read_text().split() == ["2", "1"]


def test_money_is_moved_once_or_given_back(deploy: Callable[..., Function], tmp_path: Path) -> None:
    function = deploy("money_transfer", "main", BANK_FILE=str(tmp_path / "bank.db"))
    orders = {"rent": ("bob", "70.00"), "yacht": ("bob", "1000.00"), "gift": ("closed", "10.00")}
    for promise_id, (destination, amount) in orders.items():
        order = {"source": "ada", "destination": destination, "amount": amount}
        asked = function.request("POST", "/invoke/transfer", json={"id": promise_id, "args": [order]})
        assert asked.status_code == 202, asked.text
    states = {promise_id: function.result(promise_id)["state"] for promise_id in orders}
    assert states == {"rent": "done", "yacht": "refused", "gift": "compensated"}


def test_a_chain_of_tail_calls_is_as_many_executions(deploy: Callable[..., Function]) -> None:
    function = deploy("play")
    store = DynamoDBStore(function.name, client=running().client("dynamodb"))

    def games() -> list[PromiseObject] | None:
        """Return the executions, once all have ended."""
        found = [one for one in store.search("promise", limit=1_000) if isinstance(one, PromiseObject)]
        roots = [one for one in found if ":" not in one.id]
        is_over = len(roots) == GAMES and all(one.promise.settled_at is not None for one in roots)
        return roots if is_over else None

    started = function.request("POST", "/invoke/play", json={"id": "play", "args": [1, GAMES, 0]})
    assert started.status_code == 202, started.text
    assert len(until(games)) == GAMES
