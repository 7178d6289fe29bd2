"""Every query that the store makes has its index, and every index a query: the emulator would not notice."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

from resonate_faas._machine.objects import BRANCH, DEFAULT_RULES, ORIGIN
from resonate_faas.testing._kit import task_object
from resonate_faas_gcp import FirestoreStore
from resonate_faas_gcp._document_ids import document_id, partition_start
from resonate_faas_gcp._documents import fill_document
from resonate_faas_gcp._firestore_messages import messages
from resonate_faas_gcp._indexes import (
    COMPOSITE_INDEXES,
    FIELDS,
    SINGLE_FIELD_EXEMPTIONS,
    CompositeIndex,
    Mode,
)

DOCUMENT_ID = "__name__"


class Recorder:
    """A channel that keeps what is asked, and finds nothing."""

    def __init__(self) -> None:
        self.queries: list[Any] = []

    def unary_unary(self, method: str, **_: Any) -> Any:
        del method
        return lambda request, **_: request

    def unary_stream(self, method: str, **_: Any) -> Any:
        del method

        def asked(request: Any, **_: Any) -> Any:
            self.queries.append(request.structured_query)
            return iter(())

        return asked


def every_query() -> list[Any]:
    """Return each query that the store's methods make, over all that changes their shape."""
    recorder = Recorder()
    store = FirestoreStore("project", channel=recorder)
    list(store.history("root"))
    list(store.history("root", "root:3"))
    store.due(5, 3, 10)
    store.next_due()
    tags: tuple[dict[str, str], ...] = (
        {},
        {ORIGIN: "o"},
        {BRANCH: "b"},
        {ORIGIN: "o", BRANCH: "b"},
        {"team": "x"},
        {"team": "x", ORIGIN: "o"},
    )
    for state, wanted, after in product((None, "pending"), tags, (None, "root:1")):
        store.search("promise", state=state, tags=wanted, after=after)
        store.search("task", state=state, tags=wanted, after=after)
        store.search("schedule", state=state, tags=wanted, after=after)
    return recorder.queries


def index_of(query: Any) -> CompositeIndex | None:
    """Return the index that Firestore asks for: what must be equal, then the order; None: the built-in one of ids.

    Written from Firestore's rules: an equality (``in`` counts as several) may stand anywhere before the order; a
    range must be on the first field of the order.
    """
    kinds = messages()
    fields: list[tuple[str, Mode]] = []
    ranges = set()
    for one in query.where.composite_filter.filters:
        field, operator = one.field_filter.field.field_path, one.field_filter.op
        if operator in {kinds.equal, kinds.one_of}:
            fields.append((field, "ASCENDING"))
        elif operator == kinds.array_contains:
            fields.append((field, "CONTAINS"))
        else:
            ranges.add(field)
    (order,) = query.order_by
    assert order.direction == kinds.ascending
    assert ranges <= {order.field.field_path}
    if order.field.field_path == DOCUMENT_ID:
        assert not fields
        return None
    return CompositeIndex((*fields, (order.field.field_path, "ASCENDING")))


def test_the_queries_and_the_indexes_are_the_same_set() -> None:
    needed = {index_of(query) for query in every_query()} - {None}
    assert needed == set(COMPOSITE_INDEXES)


def test_every_query_has_a_limit_and_stays_in_the_collection() -> None:
    for query in every_query():
        assert 0 < query.limit.value <= 1_000
        (selector,) = query.from_
        assert (selector.collection_id, selector.all_descendants) == ("resonate", False)


def test_no_query_reads_a_whole_index() -> None:
    """Each has an equality, or both ends of a range."""
    for query in every_query():
        fields = [one.field_filter.field.field_path for one in query.where.composite_filter.filters]
        assert fields in (
            [DOCUMENT_ID, DOCUMENT_ID],
            ["shard", "due"],
            ["shard"],
            ["origin", "key"],
            ["branch", "key"],
            ["shard", "states", "key"],
        )


def test_every_field_of_a_document_is_exempt_from_automatic_indexes() -> None:
    kinds = messages()
    request = kinds.commit_request()
    document = request.writes.add().update
    whole = task_object("root", retry_at=5, tags={ORIGIN: "o", BRANCH: "b"})
    fill_document(document, replace(whole, kept_until=1), "nonce", DEFAULT_RULES)
    assert set(document.fields) == set(FIELDS) == set(SINGLE_FIELD_EXEMPTIONS)


def test_a_history_is_the_range_behind_its_owner() -> None:
    """Both ends as they must be, whatever the records are called."""
    keys = ["root:1", "root:2", "root:10", "root:10.1", "root:~", "root:\U0001f600"]
    ids = [document_id(key) for key in keys]
    assert ids == sorted(ids, key=str.encode)
    assert all(one > partition_start("root") == document_id("root") for one in ids)
