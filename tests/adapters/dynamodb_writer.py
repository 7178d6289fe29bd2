"""A process that writes to a DynamoDB store until it has done its share or is killed. Started by the tests.

Usage: dynamodb_writer.py MODE URL TABLE NAME [COUNT]. It begins when a line comes on its standard input.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from itertools import count as counted

from resonate_faas import ConflictError
from resonate_faas._machine.objects import Object, Value
from resonate_faas._machine.requests import Outcome
from resonate_faas._ports import Step
from resonate_faas.testing._kit import count, counting, done, promise_object
from resonate_faas_aws import DynamoDBStore, dynamodb_client


def tell(text: object) -> None:
    """Write a line at once: what is told must have happened before."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def increment(store: DynamoDBStore, name: str, times: int) -> None:
    """Add to one counter alone, and to another together with a record; tell how many were acknowledged."""
    alone = together = 0
    for _ in range(times):
        try:
            store.transact((name,), counting(name))
            alone += 1
            store.transact((f"{name}-2", f"{name}-3"), moving(f"{name}-2", f"{name}-3"))
            together += 1
        except ConflictError:  # nothing was written: it does not count
            pass
    tell(f"{alone} {together}")


def moving(source: str, target: str) -> Step:
    """Return a step that takes from one counter and gives to another."""

    def step(given: Mapping[str, Object | None]) -> Outcome:
        return done(
            {
                source: promise_object(source, count=count(given[source]) - 1),
                target: promise_object(target, count=count(given[target]) + 1),
            }
        )

    return step


def recording(name: str, number: int) -> Step:
    """Return a step that raises a counter and writes the record of that number with it."""

    def step(given: Mapping[str, Object | None]) -> Outcome:
        assert count(given[name]) == number - 1
        record = promise_object(
            f"{name}:{number}", param=Value(data="x" * (number * 379 % 9_000)), count=number
        )
        return done({name: promise_object(name, count=number), record.id: record})

    return step


def write_for_ever(store: DynamoDBStore, name: str) -> None:
    """Tell each number once its transaction is acknowledged."""
    first = count(store.read((name,))[name].object) + 1
    for number in counted(first):
        store.transact((name, f"{name}:{number}"), recording(name, number))
        tell(number)


def main(mode: str, url: str, table: str, name: str, times: str = "0") -> None:
    """Do the mode's work."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    store = DynamoDBStore(table, client=dynamodb_client(region="eu-central-1", endpoint=url))
    tell("ready")
    sys.stdin.readline()
    match mode:
        case "increment":
            increment(store, name, int(times))
        case "write":
            write_for_ever(store, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
