"""The Store port over one DynamoDB table: optimistic writes, one query a history, a sharded due index."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from resonate_faas._errors import StoreError
from resonate_faas._machine.objects import DEFAULT_RULES, Object, Rules
from resonate_faas._optimistic import MovedError, OptimisticStore, Stored
from resonate_faas._ports import SEARCH_LIMIT_MAX, Kind, Versioned
from resonate_faas_aws._calls import Calls, dynamodb_client
from resonate_faas_aws._dynamodb_search import Search
from resonate_faas_aws._dynamodb_table import DUE_INDEX
from resonate_faas_aws._reading import Reader
from resonate_faas_aws._writing import Action, Kept, Plan, plan

log = logging.getLogger("resonate_faas_aws.store")

_INSTANT_MAX: Final = 2**63 - 1
_SINGLE: Final = {"Put": "put_item", "Delete": "delete_item"}


class DynamoDBStore(OptimisticStore):
    """The Store port over one table. Thread-safe, and safe among any number of processes.

    A write of one object is one conditional PutItem; of several, or with objects only read, one transaction of at
    most 100 items. Reads are strongly consistent; several objects are read by one transaction. Payloads over 4 KB stand in items of their own, written in the same transaction.

    Args:
        table: its name; made by terraform, or by :func:`create_table`.
        client: a low-level DynamoDB client whose own retries are off; by default :func:`dynamodb_client`.
        rules: decide when an object is due.
        pause: waits between tries; takes seconds.

    Raises:
        ValueError: the client retries by itself.
    """

    reads_at_once = True

    def __init__(
        self,
        table: str,
        *,
        client: Any = None,
        rules: Rules = DEFAULT_RULES,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(pause=pause)
        self.table = table
        self._rules = rules
        self._kept = Kept()
        self._calls = Calls(dynamodb_client() if client is None else client, pause)
        self._reader = Reader(self._calls, table, self._kept)
        self._search = Search(self._calls, table, self._reader)

    def read(self, keys: Sequence[str]) -> Mapping[str, Stored]:
        """See :meth:`OptimisticStore.read`.

        Raises:
            StoreUnavailableError: the table can't be read, or the objects kept moving.
        """
        return self._reader.snapshot(tuple(keys))

    def write(
        self, expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
    ) -> Mapping[str, int]:
        """See :meth:`OptimisticStore.write`.

        Raises:
            LimitExceededError: more than 100 items, or one over 400 KB.
            StoreUnavailableError: nothing was written.
        """
        planned = plan(self.table, expected, writes, nonce=nonce, kept=self._kept, rules=self._rules)
        if planned.actions:
            self._send(planned.actions, tuple(writes))
        for key, payloads in planned.payloads.items():
            self._kept.put(key, planned.revisions[key], payloads)
        if planned.leftovers:
            self._delete_leftovers(planned)
        return planned.revisions

    def history(self, task_id: str, after: str | None = None) -> Iterator[list[Versioned]]:
        """See :meth:`resonate_faas.Store.history`; a request is made when its page is asked for."""
        for page in self._reader.history(task_id, after):
            if page:
                yield page

    def due(self, before_ms: int, shard: int, limit: int) -> list[tuple[str, int]]:
        """See :meth:`resonate_faas.Store.due`; behind the objects by what the index lags."""
        request: dict[str, Any] = {
            "TableName": self.table,
            "IndexName": DUE_INDEX,
            "KeyConditionExpression": "s = :s AND d <= :d",
            "ExpressionAttributeValues": {
                ":s": {"N": str(shard)},
                ":d": {"N": str(min(before_ms, _INSTANT_MAX))},
            },
            "Limit": limit,
        }
        found: list[tuple[str, int]] = []
        while True:
            answer = self._calls.read("query", **request)
            found += [(item["i"]["S"], int(item["d"]["N"])) for item in answer["Items"]]
            if "LastEvaluatedKey" not in answer or len(found) >= limit:
                return found[:limit]
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
            request["Limit"] = limit - len(found)

    def next_due(self) -> int | None:
        """See :meth:`resonate_faas.Store.next_due`: always 0, since the index may lag behind the truth."""
        return 0

    def search(
        self,
        kind: Kind,
        *,
        state: str | None = None,
        tags: Mapping[str, str] = MappingProxyType({}),
        limit: int = 100,
        after: str | None = None,
    ) -> list[Object]:
        """See :meth:`resonate_faas.Store.search`; without an origin or branch each page reads the whole table."""
        if not 1 <= limit <= SEARCH_LIMIT_MAX:
            raise ValueError(f"limit must be from 1 to {SEARCH_LIMIT_MAX}, not {limit}")
        return self._search.find(kind, state, tags, limit, after)

    def _send(self, actions: list[Action], keys: tuple[str, ...]) -> None:
        """Do one action by itself, for half of a transaction's price; several as a transaction."""
        if len(actions) == 1:
            ((kind, action),) = actions[0].items()
            if kind in _SINGLE:
                self._calls.write(_SINGLE[kind], keys, **action)
                return
        self._calls.write(
            "transact_write_items", keys, TransactItems=actions, ClientRequestToken=secrets.token_hex(16)
        )

    def _delete_leftovers(self, planned: Plan) -> None:
        """Delete payloads that nothing names any more; one that is written again meanwhile is spared."""
        for key, mark in planned.leftovers:
            try:
                self._calls.write(
                    "delete_item",
                    (),
                    TableName=self.table,
                    Key=key,
                    ConditionExpression="m = :m",
                    ExpressionAttributeValues={":m": {"S": mark}},
                )
            except (MovedError, StoreError) as error:
                log.info("payload left behind", extra={"cause": str(error)})
