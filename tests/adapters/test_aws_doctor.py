"""What the doctor says of a table that somebody made in another way."""

from __future__ import annotations

from typing import Any

from resonate_faas_aws import table_definition
from resonate_faas_aws._doctor import differences


def described() -> dict[str, Any]:
    """Return the table as AWS describes it when it is right."""
    return table_definition("promises")


def test_the_right_table_differs_in_nothing() -> None:
    assert list(differences(described())) == []


def test_other_keys_are_told() -> None:
    found = described()
    found["KeySchema"][1]["AttributeName"] = "id"
    assert list(differences(found)) == ["its keys are ['pk', 'id'], not ['pk', 'sk']"]


def test_an_index_that_is_missing_other_or_not_ready_is_told() -> None:
    found = described()
    due, origin, branch = found["GlobalSecondaryIndexes"]
    due["Projection"] = {"ProjectionType": "KEYS_ONLY"}
    branch["IndexStatus"] = "CREATING"
    found["GlobalSecondaryIndexes"].remove(origin)
    assert list(differences(found)) == [
        "the index due has other keys or attributes",
        "the index origin is missing",
        "the index branch is CREATING",
    ]
