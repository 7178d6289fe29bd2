"""The DynamoDB store keeps the contract of stores, over a real server."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count as counted
from typing import Any

import pytest
from tests.emulators.ministack import Emulator, found_or_skip, running

from resonate_faas.testing import StoreContract
from resonate_faas_aws import DynamoDBStore, create_table, dynamodb_client

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


class TestDynamoDBStore(StoreContract):
    HISTORY_RECORDS = 2_500
    ROUNDS = 10

    @pytest.fixture
    def store(self, client: Any) -> Iterator[DynamoDBStore]:
        name = f"contract-{next(_names)}"
        create_table(client, name)
        yield DynamoDBStore(name, client=client)
        client.delete_table(TableName=name)
