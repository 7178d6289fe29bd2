"""Searches: by origin and branch from the partition and a sparse index, of schedules from theirs, others by scan."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from resonate_faas._machine.ids import id_error
from resonate_faas._machine.objects import BRANCH, ORIGIN, Object, PromiseObject, schedule_key
from resonate_faas._ports import Kind
from resonate_faas_aws._calls import Calls
from resonate_faas_aws._dynamodb_table import BRANCH_INDEX, ORIGIN_INDEX
from resonate_faas_aws._items import decode_item, index_digest, marks_of
from resonate_faas_aws._keys import OWN, SCHEDULES, Place, place_of
from resonate_faas_aws._reading import BATCH_MAX, Reader

_INDEXES: Final = {ORIGIN: (ORIGIN_INDEX, "o"), BRANCH: (BRANCH_INDEX, "b")}
_BEFORE_ALL: Final = "\x00"


class Search:
    """One search of the table; ids ascend across pages too.

    By origin or branch: the object of that id and those of its partition are read there, strongly consistent; what
    stands elsewhere comes from the index, and may lag. Other searches of promises and tasks read the whole table for each
    page: they are an operator's, not a workflow's.
    """

    def __init__(self, calls: Calls, table: str, reader: Reader) -> None:
        self._calls = calls
        self._table = table
        self._reader = reader

    def find(
        self, kind: Kind, state: str | None, tags: Mapping[str, str], limit: int, after: str | None
    ) -> list[Object]:
        """Return at most ``limit`` matching objects behind ``after``."""
        place = "" if after is None else schedule_key(after) if kind == "schedule" else after
        if kind == "schedule":
            found = self._schedules(place)
        elif ORIGIN in tags or BRANCH in tags:
            tag = BRANCH if BRANCH in tags else ORIGIN
            found = self._tagged(tag, tags[tag], place)
        else:
            return self._scanned(kind, state, tags, limit, place)
        matching = (one for one in found if matches(one, kind, state, tags))
        return list(islice(matching, limit))

    def _schedules(self, behind: str) -> Iterator[Object]:
        sort = place_of(behind)[1] if behind else OWN
        for page in self._reader.partition(SCHEDULES, sort):
            yield from (found.object for found in page if found.object is not None)

    def _tagged(self, tag: str, text: str, behind: str) -> Iterator[Object]:
        """Yield the objects with an origin or branch, ids ascending."""
        near = sorted((one for one in self._near(text) if one.id > behind), key=lambda found: found.id)
        return heapq.merge(near, self._indexed(tag, text, behind), key=lambda found: found.id)

    def _near(self, text: str) -> Iterator[Object]:
        """Yield what is in no index: the object of this id, and those of its partition."""
        if id_error(text) is not None:
            return
        own = place_of(text)
        if own[0] != text:
            yield from (found.object for found in self._reader.objects([own]) if found.object is not None)
        for page in self._reader.partition(text, _BEFORE_ALL):
            yield from (found.object for found in page if found.object is not None)

    def _indexed(self, tag: str, text: str, behind: str) -> Iterator[Object]:
        index, attribute = _INDEXES[tag]
        request: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": index,
            "KeyConditionExpression": f"{attribute} = :t AND i > :i",
            "ExpressionAttributeValues": {
                ":t": {"B": index_digest(text)},
                ":i": {"S": behind or _BEFORE_ALL},
            },
            "Limit": BATCH_MAX,
        }
        while True:
            answer = self._calls.read("query", **request)
            places: list[Place] = [(item["pk"]["S"], item["sk"]["S"]) for item in answer["Items"]]
            found = [one.object for one in self._reader.objects(places) if one.object is not None]
            elsewhere = (one for one in found if text not in {one.id, place_of(one.id)[0]})
            yield from sorted(elsewhere, key=lambda one: one.id)
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _scanned(
        self, kind: Kind, state: str | None, tags: Mapping[str, str], limit: int, behind: str
    ) -> list[Object]:
        """Return the first matches of the whole table; of them alone the payloads kept aside are read."""
        found = (
            candidate
            for candidate in self._all()
            if candidate[0] > behind and matches(candidate[2], kind, state, tags)
        )
        lowest = heapq.nsmallest(limit, found, key=lambda candidate: candidate[0])
        partial = [place for _, place, _, is_whole in lowest if not is_whole]
        whole = {one.object.id: one.object for one in self._reader.objects(partial) if one.object is not None}
        return [whole.get(key, found) for key, _, found, _ in lowest]

    def _all(self) -> Iterator[tuple[str, Place, Object, bool]]:
        """Yield id, place and object of everything stored, in no order; False: its payloads are left out."""
        request: dict[str, Any] = {
            "TableName": self._table,
            "ConsistentRead": True,
            "FilterExpression": "attribute_exists(v)",
            "ProjectionExpression": "pk,sk,r,z,v,p,q",
        }
        while True:
            answer = self._calls.read("scan", **request)
            for item in answer["Items"]:
                found = decode_item(item, {}).object
                if found is not None:
                    yield found.id, (item["pk"]["S"], item["sk"]["S"]), found, not marks_of(item)
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def matches(candidate: Object, kind: Kind, state: str | None, tags: Mapping[str, str]) -> bool:
    """Return whether the object is of the kind, and its stored state and tags are the ones asked for."""
    if isinstance(candidate, PromiseObject):
        held: str | None = candidate.promise.state
        if kind == "task":
            held = None if candidate.task is None else candidate.task.state
        if kind == "schedule" or held is None or state not in {None, held}:
            return False
        found = candidate.promise.tags
    else:
        if kind != "schedule" or state is not None:
            return False
        found = candidate.schedule.promise_tags
    return all(found.get(name) == text for name, text in tags.items())
