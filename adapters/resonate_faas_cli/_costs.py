"""What workflows of a few shapes use on AWS and on Google Cloud, and what that costs at list prices.

The counts stand here once; tests/adapters/test_dynamodb_prices.py and test_firestore_prices.py count them anew on the stores,
and fail where they differ.
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

PRICED_ON_GOOGLE: Final = "us-central1, 2025, no free quota"

PRICES_ON_GOOGLE: Final[Mapping[str, float]] = MappingProxyType(
    {
        "firestore-write": 0.90,
        "firestore-read": 0.30,
        "tasks": 0.40,
        "functions": 0.40,
        "scheduler-job": 0.10,
    }
)
"""Dollars per million documents, operations, invocations; of the scheduler's job, a month."""

SQS_REQUESTS: Final = 3
"""Of a message: sent, received, deleted. Batches take fewer."""

MINUTES: Final = 43_800
"""Of a month."""

SHARDS: Final = 16
"""Queries of a sweep."""

SWEEP_READS: Final = SHARDS / 2
"""Read units of a sweep that finds nothing: half a unit a shard."""

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
class GoogleUsage:
    """What one execution uses.

    Attributes:
        writes: documents of Firestore.
        reads: documents of Firestore; a query that finds none counts as one.
        messages: of Cloud Tasks; each is two operations, made and delivered.
        calls: HTTP requests from outside: the start, and settlements.
    """

    writes: int
    reads: int
    messages: int
    calls: int = 1

    @property
    def invocations(self) -> int:
        """Of the function: each message and each call is one."""
        return self.messages + self.calls

    def dollars(self, prices: Mapping[str, float]) -> float:
        """Return what one execution costs; the function's duration is left out."""
        millionths = (
            self.writes * prices["firestore-write"]
            + self.reads * prices["firestore-read"]
            + self.messages * 2 * prices["tasks"]
            + self.invocations * prices["functions"]
        )
        return millionths / 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A kind of workflow.

    Attributes:
        name: for people.
        usage: on AWS.
        on_google: on Google Cloud.
        transitions: the fewest state transitions that Step Functions could do it with, the start left out.
        operations: the fewest operations that AWS durable functions could do it with, the start among them.
    """

    name: str
    usage: Usage
    on_google: GoogleUsage
    transitions: int
    operations: int


SHAPES: Final = (
    Shape(
        name="10 steps",
        usage=Usage(writes=47, reads=3, messages=1),
        on_google=GoogleUsage(writes=23, reads=3, messages=1),
        transitions=10,
        operations=11,
    ),
    Shape(
        name="fan-out of 100 steps",
        usage=Usage(writes=211, reads=3, messages=1),
        on_google=GoogleUsage(writes=105, reads=3, messages=1),
        transitions=101,
        operations=102,
    ),
    Shape(
        name="fan-out of 100 tasks",
        usage=Usage(writes=828, reads=206, messages=102),
        on_google=GoogleUsage(writes=310, reads=305, messages=102),
        transitions=101,
        operations=102,
    ),
    Shape(
        name="a sleep",
        usage=Usage(writes=29, reads=7, messages=3),
        on_google=GoogleUsage(writes=11, reads=7, messages=3),
        transitions=1,
        operations=2,
    ),
    Shape(
        name="an approval",
        usage=Usage(writes=31, reads=7, messages=2, calls=2),
        on_google=GoogleUsage(writes=11, reads=7, messages=2, calls=2),
        transitions=1,
        operations=2,
    ),
)


def standing(prices: Mapping[str, float]) -> float:
    """Return the dollars that AWS takes a month before anything runs: the tick, and polling an empty queue."""
    tick = prices["scheduler"] + prices["lambda"] + SWEEP_READS * prices["dynamodb-read"]
    return MINUTES * (tick + POLLS_A_MINUTE * prices["sqs"]) / 1_000_000


def standing_on_google(prices: Mapping[str, float]) -> float:
    """Return the dollars that Google takes a month before anything runs: the tick, and the job that sends it."""
    tick = prices["functions"] + SHARDS * prices["firestore-read"]
    return MINUTES * tick / 1_000_000 + prices["scheduler-job"]
