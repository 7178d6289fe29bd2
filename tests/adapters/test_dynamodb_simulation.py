"""The simulation over DynamoDB: workloads of every kind under every fault, with a real server's conditions and queries."""

from __future__ import annotations

import pytest
from tests.adapters.dynamodb_tables import fresh_store
from tests.simulation.simulation import simulate

from resonate_faas._machine.objects import Rules
from resonate_faas_aws import DynamoDBStore

SEEDS = range(21, 24)


def dynamodb(rules: Rules) -> DynamoDBStore:
    return fresh_store(rules=rules)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_workloads_keep_their_promises_under_faults_and_end_without(seed: int) -> None:
    simulate(seed, store=dynamodb)
