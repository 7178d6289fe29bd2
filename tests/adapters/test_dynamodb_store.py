"""The DynamoDB store keeps the contract of stores, over a real server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count as counted
from typing import Any

import pytest
from tests.emulators.ministack import Emulator, found_or_skip, running

from resonate_faas._machine.objects import Value
from resonate_faas._retention import CHUNK
from resonate_faas.testing import StoreContract
from resonate_faas.testing._kit import done, drop, look_at, promise_object, put
from resonate_faas_aws import DynamoDBStore, create_table, dynamodb_client
from resonate_faas_aws._dynamodb_table import TTL_ATTRIBUTE

_names = counted(1)


@pytest.fixture(scope="module")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    found_or_skip()
    with running(tmp_path_factory.mktemp("ministack")) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def client(ministack: Emulator) -> Any:
    """The store's own; the other tests use a plain one."""
    return dynamodb_client(endpoint=ministack.url, session=ministack.session())


@pytest.fixture
def store(client: Any) -> Iterator[DynamoDBStore]:
    name = f"contract-{next(_names)}"
    create_table(client, name)
    yield DynamoDBStore(name, client=client)
    client.delete_table(TableName=name)


class TestDynamoDBStore(StoreContract):
    HISTORY_RECORDS = 2_500
    ROUNDS = 10

    @pytest.fixture
    def store(self, store: DynamoDBStore) -> DynamoDBStore:
        return store


def test_a_time_to_live_is_on_the_item_and_on_those_of_its_payloads(
    store: DynamoDBStore, client: Any
) -> None:
    """Without: DynamoDB would delete the record and keep its payloads for ever."""
    large, small = Value(data="x" * 10_000), Value(data="y")
    objects = [promise_object("root:1", param=large, value=large), promise_object("root:2", param=small)]
    put(store, *objects)
    assert times_to_live(client, store) == {None}
    put(store, *(replace(each, kept_until=1_795_348_678_284) for each in objects))
    assert times_to_live(client, store) == {"1795348679"}
    put(store, *objects)
    assert times_to_live(client, store) == {None}


def test_a_record_that_lives_again_takes_its_payloads_back_from_the_time_to_live(
    store: DynamoDBStore, client: Any
) -> None:
    """Written by a process that has only read it, with the same payload: else a live record would lose it in a week."""
    stored = promise_object("root:1", param=Value(data="x" * 10_000))
    put(store, replace(stored, kept_until=1_000))
    other = DynamoDBStore(store.table, client=client)
    other.transact(("root:1",), lambda _: done({"root:1": stored}))
    assert times_to_live(client, store) == {None}
    assert look_at(store, "root:1") == stored


def test_a_whole_chunk_of_retention_is_marked_and_deleted_with_its_payloads(
    store: DynamoDBStore, client: Any
) -> None:
    """Each with two payloads of its own: as many actions as a transaction takes."""
    large = Value(data="x" * 5_000)
    objects = [promise_object(f"root:{number}", param=large, value=large) for number in range(CHUNK)]
    for each in objects:
        put(store, each)
    put(store, *(replace(each, kept_until=1_000) for each in objects))
    assert times_to_live(client, store) == {"1"}
    drop(store, *(each.id for each in objects))
    assert client.scan(TableName=store.table)["Items"] == []


def times_to_live(client: Any, store: DynamoDBStore) -> set[str | None]:
    """Return the times to live of all items."""
    return {item.get(TTL_ATTRIBUTE, {}).get("N") for item in client.scan(TableName=store.table)["Items"]}
