"""Failures of DynamoDB, each told as what it means: refused, moved, unknown, throttled; and payloads that race."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import count as counted
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from tests.emulators.ministack import Emulator, found_or_skip, running

from resonate_faas import LimitExceededError, OutcomeUnknownError, StoreUnavailableError
from resonate_faas._machine.objects import EXTERNAL, Object, PromiseState, Value
from resonate_faas._optimistic import MovedError
from resonate_faas.testing._kit import (
    count,
    counting,
    done,
    drop,
    look,
    look_at,
    promise_object,
    put,
)
from resonate_faas_aws import DynamoDBStore, _calls, create_table, dynamodb_client

URL = "http://127.0.0.1:1"
_names = counted(1)


def refused(code: str, *reasons: str, status: int = 400) -> ClientError:
    """Return the error of an answer."""
    response: Any = {
        "Error": {"Code": code, "Message": "told by the test"},
        "ResponseMetadata": {"HTTPStatusCode": status},
        "CancellationReasons": [{"Code": reason} for reason in reasons],
    }
    return ClientError(response, "Operation")


class Failing:
    """A client whose every operation fails with the errors given, one after another, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.requests: list[dict[str, Any]] = []
        self.meta = SimpleNamespace(config=SimpleNamespace(retries={"total_max_attempts": 1}))

    def __getattr__(self, operation: str) -> Callable[..., dict[str, Any]]:
        def call(**request: Any) -> dict[str, Any]:
            self.requests.append(request)
            if self.errors:
                raise self.errors.pop(0)
            return {"Items": [], "Responses": []}

        return call


def store_of(client: Failing) -> tuple[DynamoDBStore, list[float]]:
    pauses: list[float] = []
    return DynamoDBStore("table", client=client, pause=pauses.append), pauses


WRITE_FAILURES: Mapping[str, tuple[Exception, type[Exception]]] = {
    "condition": (refused("ConditionalCheckFailedException"), MovedError),
    "another's transaction": (refused("TransactionConflictException"), MovedError),
    "cancelled for a condition": (
        refused("TransactionCanceledException", "None", "ConditionalCheckFailed"),
        MovedError,
    ),
    "cancelled for a conflict": (refused("TransactionCanceledException", "TransactionConflict"), MovedError),
    "cancelled for both": (
        refused("TransactionCanceledException", "ThrottlingError", "ConditionalCheckFailed"),
        MovedError,
    ),
    "cancelled for a value": (
        refused("TransactionCanceledException", "ValidationError"),
        StoreUnavailableError,
    ),
    "refused": (refused("AccessDeniedException"), StoreUnavailableError),
    "no table": (refused("ResourceNotFoundException"), StoreUnavailableError),
    "never sent": (EndpointConnectionError(endpoint_url=URL), StoreUnavailableError),
    "not signed": (NoCredentialsError(), StoreUnavailableError),
    "no answer": (ReadTimeoutError(endpoint_url=URL), OutcomeUnknownError),
    "cut off": (ConnectionClosedError(endpoint_url=URL), OutcomeUnknownError),
    "server error": (refused("InternalServerError", status=500), OutcomeUnknownError),
    "unavailable": (refused("ServiceUnavailable", status=503), OutcomeUnknownError),
    "still at work": (refused("TransactionInProgressException"), OutcomeUnknownError),
}


@pytest.mark.parametrize("name", WRITE_FAILURES)
@pytest.mark.parametrize("objects", [1, 2], ids=["single", "transaction"])
def test_a_failed_write_is_told_as_what_it_means_and_not_tried_again(name: str, objects: int) -> None:
    error, expected = WRITE_FAILURES[name]
    client = Failing(error)
    store, pauses = store_of(client)
    keys = [f"key-{number}" for number in range(objects)]
    with pytest.raises(expected):
        store.write(dict.fromkeys(keys, 0), {key: promise_object(key) for key in keys}, "nonce")
    assert len(client.requests) == 1
    assert pauses == []


@pytest.mark.parametrize(
    "error",
    [
        refused("ThrottlingException"),
        refused("ProvisionedThroughputExceededException"),
        refused("RequestLimitExceeded"),
        refused("TransactionCanceledException", "None", "ThrottlingError"),
        refused("TransactionCanceledException", "ProvisionedThroughputExceeded", "None"),
    ],
)
def test_a_throttled_write_is_sent_again_with_jitter_as_the_same_request(error: ClientError) -> None:
    client = Failing(*[error] * 3)
    store, pauses = store_of(client)
    store.write({"a": 0, "b": 5}, {"a": promise_object("a")}, "nonce")
    assert len(client.requests) == 4
    assert all(request == client.requests[0] for request in client.requests), "its token makes it one"
    assert len(pauses) == 3
    assert all(0 <= pause <= _calls.PAUSE_MS * 2**number / 1_000 for number, pause in enumerate(pauses))


def test_throttling_without_end_is_told_as_not_written() -> None:
    client = Failing(*[refused("ThrottlingException")] * 100)
    store, pauses = store_of(client)
    with pytest.raises(StoreUnavailableError, match="nothing was written"):
        store.write({"a": 0}, {"a": promise_object("a")}, "nonce")
    assert len(client.requests) == _calls.TRIES_MAX
    assert sum(pauses) < 12


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (refused("ThrottlingException"), 4),
        (refused("InternalServerError", status=500), 4),
        (refused("TransactionCanceledException", "TransactionConflict"), 4),
        (ReadTimeoutError(endpoint_url=URL), 4),
        (EndpointConnectionError(endpoint_url=URL), 4),
        (refused("AccessDeniedException"), 1),
        (refused("ResourceNotFoundException"), 1),
    ],
)
def test_a_failed_read_is_tried_again_where_that_helps(error: Exception, tries: int) -> None:
    client = Failing(*[error] * 3)
    store, _ = store_of(client)
    if tries == 1:
        with pytest.raises(StoreUnavailableError):
            store.read(("a",))
    else:
        assert store.read(("a",))["a"].object is None
    assert len(client.requests) == tries


def test_a_client_that_retries_by_itself_is_refused() -> None:
    client = Failing()
    client.meta.config.retries = {"mode": "standard", "total_max_attempts": 3}
    with pytest.raises(ValueError, match="retries by itself"):
        DynamoDBStore("table", client=client)
    client.meta.config.retries = None
    with pytest.raises(ValueError, match="total_max_attempts"):
        DynamoDBStore("table", client=client)
    DynamoDBStore("table", client=dynamodb_client(region="eu-central-1", endpoint=URL))


def test_more_objects_than_a_transaction_holds_are_refused_by_name() -> None:
    client = Failing()
    store, _ = store_of(client)
    with pytest.raises(LimitExceededError, match="100"):
        store.write({f"key-{number}": 0 for number in range(101)}, {"key-0": promise_object("key-0")}, "n")
    assert client.requests == []


def test_waiters_with_long_ids_are_bounded_in_bytes_and_refused_by_name() -> None:
    """A thousand ids of 900 bytes that have nothing in common do not fit; of one family they do."""
    client = Failing()
    store, _ = store_of(client)
    family = tuple(f"{'r' * 250}:{number:0600}" for number in range(1_000))
    strangers = tuple(
        "".join(chr(0x4E00 + (number * 7919 + place * 104_729) % 20_000) for place in range(300))
        for number in range(1_000)
    )
    for waiters in (family, strangers):
        stored = promise_object("a", state=PromiseState.PENDING, tags={EXTERNAL: "true"}, callbacks=waiters)
        if waiters is family:
            store.write({"a": 0}, {"a": stored}, "nonce")
        else:
            with pytest.raises(LimitExceededError, match="390000"):
                store.write({"a": 0}, {"a": stored}, "nonce")
    assert len(client.requests) == 1


@pytest.fixture(scope="module")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    found_or_skip()
    with running(tmp_path_factory.mktemp("ministack")) as emulator:
        yield emulator


@pytest.fixture
def client(ministack: Emulator) -> Any:
    return ministack.client("dynamodb")


@pytest.fixture
def store(client: Any) -> DynamoDBStore:
    name = f"calls-{next(_names)}"
    create_table(client, name)
    return DynamoDBStore(name, client=client)


def lose_answers(client: Any, operation: str) -> list[int]:
    """Let the server do what it is asked once, and the answer never come."""
    lost: list[int] = []

    def lose(**_: Any) -> None:
        if not lost:
            lost.append(1)
            raise ReadTimeoutError(endpoint_url=URL)

    client.meta.events.register(f"after-call.dynamodb.{operation}", lose)
    return lost


def test_a_real_lost_answer_of_one_object_counts_once(client: Any, store: DynamoDBStore) -> None:
    put(store, promise_object("a", count=1))
    lost = lose_answers(client, "PutItem")
    assert count(store.transact(("a",), counting("a")).objects["a"].object) == 2
    assert lost
    assert count(look_at(store, "a")) == 2


def test_a_real_lost_answer_of_a_transaction_counts_once(client: Any, store: DynamoDBStore) -> None:
    lost = lose_answers(client, "TransactWriteItems")
    store.transact(("a", "b"), counting("a"))
    assert lost
    assert count(look_at(store, "a")) == 1


def items_of(client: Any, store: DynamoDBStore) -> int:
    pages = client.get_paginator("scan").paginate(TableName=store.table, ConsistentRead=True)
    return sum(int(page["Count"]) for page in pages)


LARGE = Value(data="x" * 6_000)


def test_a_payload_goes_with_its_object(client: Any, store: DynamoDBStore) -> None:
    put(store, promise_object("a", param=LARGE, value=LARGE), promise_object("a:1", value=LARGE))
    assert items_of(client, store) == 5
    put(store, promise_object("a", param=LARGE))
    assert items_of(client, store) == 4
    drop(store, "a", "a:1")
    assert items_of(client, store) == 0


def test_a_hundred_objects_with_payloads_fit_a_transaction_and_leave_nothing_behind(
    client: Any, store: DynamoDBStore
) -> None:
    """There is room for a hundred actions: payloads stay inside, and are deleted after the commit."""
    objects = [promise_object(f"root:{number}", param=LARGE, value=LARGE) for number in range(1, 101)]
    put(store, *objects)
    assert items_of(client, store) == 100
    assert {key: found.object for key, found in look(store, *(one.id for one in objects)).items()} == {
        one.id: one for one in objects
    }
    for one in objects:
        put(store, one)
    assert items_of(client, store) == 300
    drop(store, *(one.id for one in objects))
    assert items_of(client, store) == 0


def test_a_payload_replaced_between_two_reads_is_never_mixed(client: Any, store: DynamoDBStore) -> None:
    """The object is read, then its payloads: a write in between must not give old and new together."""
    other = DynamoDBStore(store.table, client=store._calls.client)
    put(store, promise_object("a", value=Value(data="1" * 5_000), count=1), promise_object("b"))
    raced: list[int] = []

    def race(**_: Any) -> None:
        if not raced:
            raced.append(1)
            put(other, promise_object("a", value=Value(data="2" * 5_000), count=2))

    client.meta.events.register("provide-client-params.dynamodb.BatchGetItem", race)
    found = look_at_two(store)
    assert raced
    assert found == promise_object("a", value=Value(data="2" * 5_000), count=2)


def look_at_two(store: DynamoDBStore) -> Object | None:
    return store.transact(("a", "b"), lambda _: done()).objects["a"].object


def test_importing_the_adapter_imports_no_sdk() -> None:
    """A cold start that needs another part of the package must not pay 300 ms for boto3."""
    script = "import sys, resonate_faas_aws; sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", script], check=False).returncode == 0


def partly(client: Any, monkeypatch: pytest.MonkeyPatch, *, taken: int) -> list[int]:
    """Let the real server answer so many keys of each BatchGetItem, and tell the rest as unprocessed; return the sizes."""
    whole, sizes = client.batch_get_item, list[int]()

    def answer(**request: Any) -> dict[str, Any]:
        ((table, asked),) = request["RequestItems"].items()
        sizes.append(len(asked["Keys"]))
        now, later = asked["Keys"][:taken], asked["Keys"][taken:]
        found: dict[str, Any] = {"Responses": {table: []}}
        if now:
            found = whole(RequestItems={table: {**asked, "Keys": now}})
        return {**found, "UnprocessedKeys": {table: {**asked, "Keys": later}} if later else {}}

    monkeypatch.setattr(client, "batch_get_item", answer)
    return sizes


def test_a_partial_answer_is_asked_for_the_rest(
    client: Any, store: DynamoDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A throttled BatchGetItem gives what it could read: an object without its payload would be a wrong one."""
    stored = [
        promise_object(f"root:{number}", param=Value(data="x" * 9_000), count=number) for number in range(5)
    ]
    put(store, *stored)
    sizes = partly(client, monkeypatch, taken=2)
    found = look(DynamoDBStore(store.table, client=client), *(each.id for each in stored))
    assert [held.object for held in found.values()] == stored
    assert sizes == [5, 3, 1]


def test_an_answer_that_stays_empty_is_told_as_an_outage(
    client: Any, store: DynamoDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After pauses, not for ever."""
    put(store, *(promise_object(f"root:{number}", param=Value(data="x" * 9_000)) for number in range(2)))
    partly(client, monkeypatch, taken=0)
    pauses: list[float] = []
    with pytest.raises(StoreUnavailableError, match="throttled"):
        look(DynamoDBStore(store.table, client=client, pause=pauses.append), "root:0", "root:1")
    assert len(pauses) == 11
