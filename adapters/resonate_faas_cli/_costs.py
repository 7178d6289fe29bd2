"""What workflows of a few shapes use on AWS, and what that costs at list prices.

The counts stand here once; tests/adapters/test_dynamodb_prices.py counts them anew on a store, and fails where they differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

PRICED: Final = "us-east-1, 2025, no free tier"

PRICES: Final[Mapping[str, float]] = MappingProxyType(
    {
        "dynamodb-write": 0.625,
        "dynamodb-read": 0.125,
        "sqs": 0.40,
        "lambda": 0.20,
        "scheduler": 1.00,
        "step-functions": 25.00,
        "durable-functions": 8.00,
    }
)
"""Dollars per million: write and read units on demand, requests, invocations, state transitions, durable operations."""

SQS_REQUESTS: Final = 3
"""Of a message: sent, received, deleted. Batches take fewer."""

MINUTES: Final = 43_800
"""Of a month."""

SWEEP_READS: Final = 8.0
"""Read units of a sweep that finds nothing: 16 shards of an index, half a unit each."""

POLLS_A_MINUTE: Final = 15
"""Of an idle event source mapping: five pollers, each waiting 20 seconds for a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one execution uses.

    Attributes:
        writes: DynamoDB write request units.
        reads: DynamoDB read request units.
        messages: of SQS.
        calls: HTTP requests from outside: the start, and settlements.
    """

    writes: float
    reads: float
    messages: int
    calls: int = 1

    @property
    def invocations(self) -> int:
        """Of the function: each message and each call is one."""
        return self.messages + self.calls

    def dollars(self, prices: Mapping[str, float]) -> float:
        """Return what one execution costs; the function's duration is left out."""
        millionths = (
            self.writes * prices["dynamodb-write"]
            + self.reads * prices["dynamodb-read"]
            + self.messages * SQS_REQUESTS * prices["sqs"]
            + self.invocations * prices["lambda"]
        )
        return millionths / 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A kind of workflow.

    Attributes:
        name: for people.
        usage: here.
        transitions: the fewest state transitions that Step Functions could do it with, the start left out.
        operations: the fewest operations that AWS durable functions could do it with, the start among them.
    """

    name: str
    usage: Usage
    transitions: int
    operations: int


SHAPES: Final = (
    Shape(
        name="10 steps",
        usage=Usage(writes=47, reads=3, messages=1),
        transitions=10,
        operations=11,
    ),
    Shape(
        name="fan-out of 100 steps",
        usage=Usage(writes=211, reads=3, messages=1),
        transitions=101,
        operations=102,
    ),
    Shape(
        name="fan-out of 100 tasks",
        usage=Usage(writes=828, reads=206, messages=102),
        transitions=101,
        operations=102,
    ),
    Shape(name="a sleep", usage=Usage(writes=29, reads=7, messages=3), transitions=1, operations=2),
    Shape(
        name="an approval",
        usage=Usage(writes=31, reads=7, messages=2, calls=2),
        transitions=1,
        operations=2,
    ),
)


def standing(prices: Mapping[str, float]) -> float:
    """Return the dollars that a deployment costs a month before anything runs: the tick, and polling an empty queue."""
    tick = prices["scheduler"] + prices["lambda"] + SWEEP_READS * prices["dynamodb-read"]
    return MINUTES * (tick + POLLS_A_MINUTE * prices["sqs"]) / 1_000_000
