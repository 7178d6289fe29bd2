"""A function deployed for a test: table and queues in ministack, processes of the real runtime client, a URL."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cache
from itertools import count as counted
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from tests.adapters.dynamodb_tables import running
from tests.emulators.event_source import Batches, EventSourceMapping
from tests.emulators.function_url import SIGNED, FunctionUrl
from tests.emulators.lambda_runtime import LambdaEmulator
from tests.emulators.ministack import REGION

from resonate_faas._engine.codec import NO_HINT, Codec
from resonate_faas._machine.objects import Promise, PromiseObject
from resonate_faas_aws import DynamoDBStore, create_table, dynamodb_client

HERE = Path(__file__).parent
SAMPLES = Path(__file__).parents[2] / "samples"
PATIENCE_S = 60.0
LOOK_S = 0.2
LINK_KEY = "a key of at least sixteen bytes"
SECRET = "a webhook's shared secret"

T = TypeVar("T")
_names = counted(1)


def until(look: Callable[[], T | None], failure: Callable[[], str] = lambda: "it did not happen") -> T:
    """Look again and again until there is something; return it."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := look()) is None:
        assert time.monotonic() < deadline, failure()
        time.sleep(LOOK_S)
    return found


@cache
def sqs() -> Any:
    return running().client("sqs")


@cache
def dynamodb() -> Any:
    emulator = running()
    return dynamodb_client(endpoint=emulator.url, session=emulator.session())


def environment() -> dict[str, str]:
    """Return the variables by which boto3 finds the emulator."""
    return {
        "AWS_ENDPOINT_URL": running().url,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }


class Queues:
    """A queue and its dead-letter queue.

    Args:
        visibility_s: how long a message that failed stays invisible.
        receives_max: a message received more often goes to the dead letters.
    """

    def __init__(self, name: str, *, visibility_s: int, receives_max: int) -> None:
        self.dead_url: str = sqs().create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        attributes = sqs().get_queue_attributes(QueueUrl=self.dead_url, AttributeNames=["QueueArn"])[
            "Attributes"
        ]
        policy = {"deadLetterTargetArn": attributes["QueueArn"], "maxReceiveCount": receives_max}
        self.url: str = sqs().create_queue(
            QueueName=name,
            Attributes={"VisibilityTimeout": str(visibility_s), "RedrivePolicy": json.dumps(policy)},
        )["QueueUrl"]

    def send(self, body: str) -> None:
        sqs().send_message(QueueUrl=self.url, MessageBody=body)

    def dead(self) -> list[str]:
        """Return the bodies of the dead letters; they stay where they are."""
        found = sqs().receive_message(QueueUrl=self.dead_url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return [message["Body"] for message in found.get("Messages", [])]

    def redrive(self) -> int:
        """Move the dead letters back, as the console's redrive does; return how many."""
        found = sqs().receive_message(QueueUrl=self.dead_url, MaxNumberOfMessages=10).get("Messages", [])
        for message in found:
            self.send(message["Body"])
            sqs().delete_message(QueueUrl=self.dead_url, ReceiptHandle=message["ReceiptHandle"])
        return len(found)


class Deployed:
    """A function over a table and queues of its own, fed by an event source mapping; a context manager.

    Args:
        folder: for logs.
        module: the business code; it has a ``resonate``.
        code: where the module is.
        worker: the settings of activations, as keyword arguments.
        variables: of the function's environment.
        timeout_s: the function's.
        concurrency: events at a time; each poller delivers one, and HTTP requests need one more.
        batch_size: messages of an event.
        needs_iam: the URL's AuthType is AWS_IAM.
        is_polled: messages are delivered from the start.
        mangle: see :class:`EventSourceMapping`.
    """

    def __init__(
        self,
        folder: Path,
        module: str = "workflows",
        code: Path = HERE,
        *,
        worker: Mapping[str, int] | None = None,
        variables: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
        concurrency: int = 2,
        batch_size: int = 1,
        visibility_s: int = 30,
        receives_max: int = 1_000,
        needs_iam: bool = True,
        is_polled: bool = True,
        mangle: Batches = lambda messages: [messages],
    ) -> None:
        name = f"function-{next(_names)}"
        create_table(running().client("dynamodb"), name)
        self.store = DynamoDBStore(name, client=dynamodb())
        self.queues = Queues(name, visibility_s=visibility_s, receives_max=receives_max)
        self._stack = ExitStack()
        self._http = self._stack.enter_context(httpx.Client(timeout=PATIENCE_S, headers=SIGNED))
        self.url = self._stack.enter_context(FunctionUrl(needs_iam=needs_iam))
        self.log = folder / f"{name}.log"
        self.variables = {
            **environment(),
            "RESONATE_FAAS_TABLE": name,
            "RESONATE_FAAS_QUEUE_URL": self.queues.url,
            "RESONATE_FAAS_PUBLIC_URL": self.url.url,
            "RESONATE_FAAS_LINK_KEY": LINK_KEY,
            "TEST_MODULE": module,
            "TEST_WORKER": json.dumps({"in_place_ms": 500, **(worker or {})}),
            **(variables or {}),
        }
        self._code, self._timeout_s = code, timeout_s
        self.function = self.start(concurrency)
        self.url.serve(self.function)
        if is_polled:
            pollers = max(concurrency - 1, 1)
            mapping = self.mapping(self.function, batch_size=batch_size, pollers=pollers, mangle=mangle)
            self._stack.enter_context(mapping)

    def start(self, concurrency: int = 1, **variables: str) -> LambdaEmulator:
        """Deploy a function over the same queues, with other variables."""
        return self._stack.enter_context(
            LambdaEmulator(
                "lambda_function.handler",
                f"{HERE}:{self._code}",
                self.log,
                {**self.variables, **variables},
                timeout_s=self._timeout_s,
                concurrency=concurrency,
            )
        )

    def mapping(self, function: LambdaEmulator, **settings: Any) -> EventSourceMapping:
        """Return what delivers the queue's messages to a function while it is entered."""
        return EventSourceMapping(lambda: running().client("sqs"), self.queues.url, function, **settings)

    def request(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        """Send a request to the function's URL, signed; fields make a JSON body."""
        return self._http.request(
            method, f"{self.url.url}{path}", headers=headers, json=body if method == "POST" else None
        )

    def invoke(self, function: str, promise_id: str, *args: Any) -> None:
        """Start an execution over its HTTP trigger."""
        answer = self.request("POST", f"/invoke/{function}", id=promise_id, args=args)
        assert answer.status_code == 202, f"{answer.text}\n{self.told()}"

    def direct(self, function: str, promise_id: str, *args: Any) -> Any:
        """Start an execution by a direct invocation; return the answer."""
        return self.function.invoke(
            {"resonate": "invoke", "function": function, "id": promise_id, "args": args}
        )

    def result(self, promise_id: str) -> Any:
        """Wait for an execution over HTTP; return its result."""
        path = f"/promises/{quote(promise_id, safe='')}?wait=20"
        answer = until(
            lambda: _settled(self.request("GET", path)), lambda: f"{promise_id} does not end\n{self.told()}"
        )
        assert answer["state"] == "resolved", f"{answer}\n{self.told()}"
        return answer["value"]

    def tick(self) -> Any:
        """Do what the scheduler does each minute."""
        return self.function.invoke({"resonate": "tick"})

    def promises(self) -> dict[str, Promise]:
        """Return every promise in the table."""
        found = self.store.search("promise", limit=1_000)
        return {one.id: one.promise for one in found if isinstance(one, PromiseObject)}

    def stored(self, promise_id: str) -> PromiseObject:
        """Return a promise with its task and what is not on the wire."""
        found = self.store.read([promise_id])[promise_id].object
        assert isinstance(found, PromiseObject)
        return found

    def value(self, promise_id: str) -> Any:
        """Return what a promise was settled with, as it stands in the table."""
        return Codec().decode(self.stored(promise_id).promise.value, NO_HINT, promise_id)

    def told(self) -> str:
        """Return the end of the function's log."""
        return self.log.read_text(encoding="utf-8")[-4_000:] if self.log.exists() else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()


def _settled(answer: httpx.Response) -> dict[str, Any] | None:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found if found["state"] != "pending" else None
