"""The Store port over one Firestore collection: single commits with preconditions, a history is one range of ids."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from resonate_faas._errors import LimitExceededError
from resonate_faas._machine.objects import (
    BRANCH,
    DEFAULT_RULES,
    ORIGIN,
    Object,
    PromiseObject,
    Rules,
    schedule_key,
)
from resonate_faas._optimistic import OptimisticStore, Stored
from resonate_faas._ports import SEARCH_LIMIT_MAX, Kind, Versioned
from resonate_faas_gcp._document_ids import document_id, partition_start
from resonate_faas_gcp._documents import (
    INSTANT_MAX,
    fill_document,
    object_of,
    revision_of,
    set_update_time,
    state_mark,
    stored_of,
    tag_digest,
)
from resonate_faas_gcp._firestore_messages import messages
from resonate_faas_gcp._firestore_rpc import FirestoreRpc, firestore_channel
from resonate_faas_gcp._indexes import BRANCH_DIGEST, DUE, KEY, NONCE, ORIGIN_DIGEST, RECORD
from resonate_faas_gcp._queries import Queries

COLLECTION: Final = "resonate"
WRITES_MAX: Final = 500
"""Documents of one commit, those only guarded included."""

COMMIT_BYTES_MAX: Final = 4_000_000
"""Below the 4 MiB at which a commit fails as RESOURCE_EXHAUSTED; the session packs its effects up to 3.5 MB."""

HISTORY_PAGE: Final = 1_000
PAGE_BYTES: Final = 4_000_000
"""A page ends behind the document that reaches this."""

SEARCH_BATCH: Final = 300
_ABSENT: Final = Stored(None, 0)
_TAGS: Final = ((ORIGIN, ORIGIN_DIGEST), (BRANCH, BRANCH_DIGEST))


class FirestoreStore(OptimisticStore):
    """The Store port over one collection. Thread-safe, and safe among any number of processes.

    A revision is the document's ``update_time`` in microseconds: the server assigns it, and it grows through
    deletions too. A write is one commit; objects only read are guarded in it by updates that change nothing.
    Param and value stay in the document: Firestore bills documents, not bytes, so a small lease document would
    save nothing.

    Args:
        project: the Google Cloud project.
        database: Firestore's, in native mode.
        collection: where the objects stand; others may share the database.
        channel: to Firestore, without retries of its own; by default :func:`firestore_channel`, closed with
            the store.
        rules: decide when an object is due.
        pause: waits between tries; takes seconds.
    """

    reads_at_once = True

    def __init__(
        self,
        project: str,
        *,
        database: str = "(default)",
        collection: str = COLLECTION,
        channel: Any = None,
        rules: Rules = DEFAULT_RULES,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(pause=pause)
        self._rules = rules
        self._own_channel = firestore_channel() if channel is None else None
        self._database = f"projects/{project}/databases/{database}"
        self._messages = messages()
        self._queries = Queries(f"{self._database}/documents", collection)
        self._rpc = FirestoreRpc(channel or self._own_channel, self._database, pause)

    def close(self) -> None:
        """Close the channel, if the store made it; the store is of no use then."""
        if self._own_channel is not None:
            self._own_channel.close()

    def read(self, keys: Sequence[str]) -> Mapping[str, Stored]:
        """See :meth:`OptimisticStore.read`; one request, whose documents are of one snapshot.

        Raises:
            StoreUnavailableError: they can't be read.
        """
        names = {self._name(key): key for key in keys}
        request = self._messages.batch_get_request(database=self._database)
        request.documents.extend(names)
        request.mask.field_paths.extend((RECORD, NONCE))
        if len(names) > 1:
            # Reads of one instant, without locks; a transaction that has only read needs no end.
            request.new_transaction.read_only.SetInParent()
        found = dict.fromkeys(keys, _ABSENT)
        for answer in self._rpc.batch_get(request) if names else ():
            if answer.HasField("found"):
                found[names[answer.found.name]] = stored_of(answer.found)
        return found

    def write(
        self, expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
    ) -> Mapping[str, int]:
        """See :meth:`OptimisticStore.write`; one commit.

        Raises:
            LimitExceededError: too many objects, or too many bytes; nothing was written.
            StoreUnavailableError: nothing was written.
        """
        request = self._messages.commit_request(database=self._database)
        for key, changed in writes.items():
            self._add_write(request, key, changed, expected[key], nonce)
        for key, revision in expected.items():
            if key not in writes:
                self._add_guard(request, key, revision)
        _check_bounds(request)
        results = self._rpc.commit(request, tuple(writes)).write_results
        return {
            key: 0 if changed is None else revision_of(result.update_time)
            for (key, changed), result in zip(writes.items(), results, strict=False)
        }

    def history(self, task_id: str, after: str | None = None) -> Iterator[list[Versioned]]:
        """See :meth:`resonate_faas.Store.history`; each page is one query, made when it is asked for."""
        behind = partition_start(task_id) if after is None else document_id(after)
        while True:
            query = self._queries.history(task_id, behind, HISTORY_PAGE)
            documents, whole = self._rpc.run_query(query, PAGE_BYTES)
            if documents:
                yield [Versioned(object_of(each), revision_of(each.update_time)) for each in documents]
            if whole and len(documents) < HISTORY_PAGE:
                return
            behind = documents[-1].name.rpartition("/")[2]

    def due(self, before_ms: int, shard: int, limit: int) -> list[tuple[str, int]]:
        """See :meth:`resonate_faas.Store.due`; never behind the objects."""
        query = self._queries.due(min(before_ms, INSTANT_MAX), shard, limit)
        documents, _ = self._rpc.run_query(query)
        return [(each.fields[KEY].string_value, each.fields[DUE].integer_value) for each in documents]

    def next_due(self) -> int | None:
        """See :meth:`resonate_faas.Store.next_due`; exact, by one query over all shards."""
        documents, _ = self._rpc.run_query(self._queries.next_due())
        return int(documents[0].fields[DUE].integer_value) if documents else None

    def search(
        self,
        kind: Kind,
        *,
        state: str | None = None,
        tags: Mapping[str, str] = MappingProxyType({}),
        limit: int = 100,
        after: str | None = None,
    ) -> list[Object]:
        """See :meth:`resonate_faas.Store.search`; ids ascend across pages too.

        Origin, branch, kind and state are found by an index; what else is asked for is looked up in what it gives.
        """
        if not 1 <= limit <= SEARCH_LIMIT_MAX:
            raise ValueError(f"limit must be from 1 to {SEARCH_LIMIT_MAX}, not {limit}")
        behind = "" if after is None else schedule_key(after) if kind == "schedule" else after
        batch = limit if _is_indexed(kind, state, tags) else max(limit, SEARCH_BATCH)
        found: list[Object] = []
        while len(found) < limit:
            query = self._search_query(kind, state, tags, behind, batch)
            documents, whole = self._rpc.run_query(query, PAGE_BYTES)
            candidates = [object_of(each) for each in documents]
            found += [each for each in candidates if _matches(each, kind, state, tags)]
            if whole and len(documents) < batch:
                break
            behind = candidates[-1].id
        return found[:limit]

    def _search_query(
        self, kind: Kind, state: str | None, tags: Mapping[str, str], behind: str, limit: int
    ) -> Any:
        if kind != "schedule":
            for tag, field in _TAGS:
                if tag in tags:
                    return self._queries.tagged(field, tag_digest(tags[tag]), behind, limit)
        return self._queries.marked(state_mark(kind, state), behind, limit)

    def _name(self, key: str) -> str:
        return self._queries.name(document_id(key))

    def _add_write(self, request: Any, key: str, changed: Object | None, revision: int, nonce: str) -> None:
        write = request.writes.add()
        if changed is None:
            write.delete = self._name(key)
        else:
            write.update.name = self._name(key)
            fill_document(write.update, changed, nonce, self._rules)
        _expect(write, revision)

    def _add_guard(self, request: Any, key: str, revision: int) -> None:
        """Add a write that changes nothing, for its precondition: an empty mask, or deleting what is absent."""
        write = request.writes.add()
        if revision:
            write.update.name = self._name(key)
            write.update_mask.SetInParent()
        else:
            write.delete = self._name(key)
        _expect(write, revision)


def _expect(write: Any, revision: int) -> None:
    if revision:
        set_update_time(write.current_document.update_time, revision)
    else:
        write.current_document.exists = False


def _check_bounds(request: Any) -> None:
    """Refuse before sending: Firestore's refusal of a large commit looks like one that could pass later."""
    if len(request.writes) > WRITES_MAX:
        raise LimitExceededError(
            "the number of objects in one transaction", WRITES_MAX, "split the request into several"
        )
    if request.ByteSize() > COMMIT_BYTES_MAX:
        raise LimitExceededError(
            "the bytes of one transaction", COMMIT_BYTES_MAX, "fewer large payloads in one request"
        )


def _is_indexed(kind: Kind, state: str | None, tags: Mapping[str, str]) -> bool:
    """True if all that an index gives is asked for: then no more documents are read, and billed, than are told."""
    if not tags:
        return True
    return kind == "promise" and state is None and len(tags) == 1 and tags.keys() <= {ORIGIN, BRANCH}


def _matches(candidate: Object, kind: Kind, state: str | None, tags: Mapping[str, str]) -> bool:
    if isinstance(candidate, PromiseObject):
        held: str | None = candidate.promise.state
        if kind == "task":
            held = None if candidate.task is None else candidate.task.state
        fits = held is not None and state in {None, held}
        found = candidate.promise.tags
    else:
        fits, found = state is None, candidate.schedule.promise_tags
    return fits and all(found.get(name) == text for name, text in tags.items())
