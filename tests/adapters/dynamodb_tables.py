"""One ministack for the tests of a module, and stores over fresh tables of it."""

from __future__ import annotations

import atexit
import tempfile
from contextlib import ExitStack
from functools import cache
from itertools import count as counted
from pathlib import Path
from typing import Any

from tests.emulators.ministack import Emulator, found_or_skip
from tests.emulators.ministack import running as running_for_a_while

from resonate_faas._machine.objects import DEFAULT_RULES, Rules
from resonate_faas_aws import DynamoDBStore, create_table, dynamodb_client

_names = counted(1)


class ExactDue(DynamoDBStore):
    """Tells the next due instant, as a test that skips time must know: the emulator's index never lags."""

    def next_due(self) -> int | None:
        answer = self._calls.read("scan", TableName=self.table, IndexName="due")
        assert "LastEvaluatedKey" not in answer
        return min((int(item["d"]["N"]) for item in answer["Items"]), default=None)


def running() -> Emulator:
    """Return the emulator of this process, started when first asked for, ended with the process; or skip."""
    found_or_skip()
    return _started()


@cache
def _started() -> Emulator:
    stack = ExitStack()
    atexit.register(stack.close)
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    return stack.enter_context(running_for_a_while(Path(folder)))


@cache
def _client() -> Any:
    emulator = running()
    return dynamodb_client(endpoint=emulator.url, session=emulator.session())


def same_store(table: str) -> ExactDue:
    """Return another store over a table."""
    return ExactDue(table, client=_client())


def fresh_store(*, rules: Rules = DEFAULT_RULES) -> ExactDue:
    """Return a store over a table of its own."""
    name = f"table-{next(_names)}"
    create_table(running().client("dynamodb"), name)  # one with patience
    return ExactDue(name, client=_client(), rules=rules)
