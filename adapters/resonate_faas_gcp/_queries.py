"""The queries of the store, as Firestore's requests. Each shape that stands here is in :mod:`._indexes`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from resonate_faas._ports import DUE_SHARDS
from resonate_faas_gcp._document_ids import partition_end
from resonate_faas_gcp._firestore_messages import messages
from resonate_faas_gcp._indexes import DUE, KEY, RECORD, SHARD, STATES

DOCUMENT_ID: Final = "__name__"


class Queries:
    """Builds requests for one collection.

    Args:
        root: ``projects/{project}/databases/{database}/documents``.
        collection: its name.
    """

    def __init__(self, root: str, collection: str) -> None:
        self._root = root
        self._collection = collection
        self._path = f"{root}/{collection}/"
        self._messages = messages()

    def name(self, document_id: str) -> str:
        """Return a document's whole name."""
        return self._path + document_id

    def history(self, task_id: str, behind: str, limit: int) -> Any:
        """Return the query for the records of an owner behind a document id, in call order."""
        request, query = self._request((RECORD,), DOCUMENT_ID, limit)
        self._where(query, DOCUMENT_ID, self._messages.greater).reference_value = self.name(behind)
        end = self.name(partition_end(task_id))
        self._where(query, DOCUMENT_ID, self._messages.less).reference_value = end
        return request

    def due(self, before_ms: int, shard: int, limit: int) -> Any:
        """Return the query for what a shard has due, earliest first."""
        request, query = self._request((KEY, DUE), DUE, limit)
        self._where(query, SHARD, self._messages.equal).integer_value = shard
        self._where(query, DUE, self._messages.less_or_equal).integer_value = before_ms
        return request

    def next_due(self) -> Any:
        """Return the query for the earliest due instant of all shards."""
        request, query = self._request((DUE,), DUE, 1)
        self._any_shard(query)
        return request

    def tagged(self, field: str, digest: bytes, behind: str, limit: int) -> Any:
        """Return the query for what has an origin or branch, keys ascending."""
        request, query = self._request((RECORD,), KEY, limit)
        self._where(query, field, self._messages.equal).bytes_value = digest
        self._where(query, KEY, self._messages.greater).string_value = behind
        return request

    def marked(self, mark: str, behind: str, limit: int) -> Any:
        """Return the query for what is of a kind and state, keys ascending across the shards."""
        request, query = self._request((RECORD,), KEY, limit)
        self._any_shard(query)
        self._where(query, STATES, self._messages.array_contains).string_value = mark
        self._where(query, KEY, self._messages.greater).string_value = behind
        return request

    def _request(self, fields: Sequence[str], order: str, limit: int) -> tuple[Any, Any]:
        request = self._messages.run_query_request(parent=self._root)
        query = request.structured_query
        query.from_.add(collection_id=self._collection)
        for field in fields:
            query.select.fields.add(field_path=field)
        query.where.composite_filter.op = self._messages.conjunction
        query.order_by.add(direction=self._messages.ascending).field.field_path = order
        query.limit.value = limit
        return request, query

    def _any_shard(self, query: Any) -> None:
        shards = self._where(query, SHARD, self._messages.one_of).array_value.values
        for shard in range(DUE_SHARDS):
            shards.add().integer_value = shard

    def _where(self, query: Any, field: str, operator: int) -> Any:
        """Add a condition; return its value, to be filled."""
        condition = query.where.composite_filter.filters.add().field_filter
        condition.field.field_path = field
        condition.op = operator
        return condition.value
