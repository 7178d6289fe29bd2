"""A second opinion: the contract without its concurrent parts, over moto's DynamoDB, one request at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count as counted
from typing import Any

import pytest
from tests.emulators.moto_server import found_or_skip, running

from resonate_faas.testing import StoreContract
from resonate_faas.testing._contract_concurrency import ConcurrencyContract
from resonate_faas_aws import DynamoDBStore, create_table

TOO_LARGE = {
    "test_a_task_suspends_on_any_number_and_wakes_once",
    "test_a_large_suspension_survives_each_lost_answer",
    "test_a_long_history_comes_complete_in_call_order_in_bounded_pages",
    "test_a_rare_tag_is_found_among_many",
    "test_a_task_with_a_long_history_is_opened_page_by_page",
}

_names = counted(1)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    found_or_skip()
    with running(tmp_path_factory.mktemp("moto")) as emulator:
        yield emulator.client("dynamodb")


class TestDynamoDBStoreOnMoto(StoreContract):
    HISTORY_RECORDS = 2_500

    @pytest.fixture
    def store(self, client: Any, request: pytest.FixtureRequest) -> Iterator[DynamoDBStore]:
        if hasattr(ConcurrencyContract, request.function.__name__):
            pytest.skip("moto answers one request at a time: concurrency is tested on ministack")
        if request.function.__name__ in TOO_LARGE:
            pytest.skip("moto takes minutes for it: tested on ministack")
        name = f"contract-{next(_names)}"
        create_table(client, name)
        yield DynamoDBStore(name, client=client)
        client.delete_table(TableName=name)
