"""The raw protobuf messages of the Firestore API, loaded when a store is made.

google-cloud-firestore wraps each message in proto-plus, whose wrappers cost 17 microseconds a document where the
raw ones cost 1.8; it declares the raw ones all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True, slots=True)
class Messages:
    """Raw message classes and values of enums."""

    batch_get_request: Any
    batch_get_response: Any
    commit_request: Any
    commit_response: Any
    run_query_request: Any
    run_query_response: Any
    equal: int
    less: int
    less_or_equal: int
    greater: int
    array_contains: int
    one_of: int
    ascending: int
    conjunction: int


@cache
def messages() -> Messages:
    """Import the library (0.4 s of CPU) and return its messages."""
    from google.cloud.firestore_v1.types import firestore, query  # noqa: PLC0415 - only where a store is made

    operator = query.StructuredQuery.FieldFilter.Operator
    return Messages(
        batch_get_request=firestore.BatchGetDocumentsRequest.pb(),
        batch_get_response=firestore.BatchGetDocumentsResponse.pb(),
        commit_request=firestore.CommitRequest.pb(),
        commit_response=firestore.CommitResponse.pb(),
        run_query_request=firestore.RunQueryRequest.pb(),
        run_query_response=firestore.RunQueryResponse.pb(),
        equal=int(operator.EQUAL),
        less=int(operator.LESS_THAN),
        less_or_equal=int(operator.LESS_THAN_OR_EQUAL),
        greater=int(operator.GREATER_THAN),
        array_contains=int(operator.ARRAY_CONTAINS),
        one_of=int(operator.IN),
        ascending=int(query.StructuredQuery.Direction.ASCENDING),
        conjunction=int(query.StructuredQuery.CompositeFilter.Operator.AND),
    )
