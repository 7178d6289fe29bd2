"""The table: its keys and sparse indexes, and how to make one where terraform does not."""

from __future__ import annotations

from typing import Any, Final

DUE_INDEX: Final = "due"
ORIGIN_INDEX: Final = "origin"
BRANCH_INDEX: Final = "branch"

TTL_ATTRIBUTE: Final = "t"
"""The instant, epoch seconds, from which DynamoDB itself may delete an item: a late backstop that retention sets."""

_ATTRIBUTES: Final = {"pk": "S", "sk": "S", "s": "N", "d": "N", "o": "B", "b": "B", "i": "S"}


def table_definition(name: str) -> dict[str, Any]:
    """Return the arguments of CreateTable: on demand, one sort key, three sparse global indexes, no local one.

    A local index would bound a partition to 10 GB; a global one is eventually consistent, which is harmless
    here: whoever acts on what it tells reads the object again.
    """
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": attribute, "AttributeType": kind} for attribute, kind in _ATTRIBUTES.items()
        ],
        "KeySchema": _keys("pk", "sk"),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": DUE_INDEX,
                "KeySchema": _keys("s", "d"),
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["i"]},
            },
            {
                "IndexName": ORIGIN_INDEX,
                "KeySchema": _keys("o", "i"),
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            },
            {
                "IndexName": BRANCH_INDEX,
                "KeySchema": _keys("b", "i"),
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            },
        ],
    }


def create_table(client: Any, name: str) -> None:
    """Create the table and wait until it can be used; one that exists is left as it is.

    Args:
        client: a low-level DynamoDB client.
        name: of the table.
    """
    try:
        client.create_table(**table_definition(name))
    except client.exceptions.ResourceInUseException:
        return
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})


def _keys(partition: str, sort: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": sort, "KeyType": "RANGE"},
    ]
