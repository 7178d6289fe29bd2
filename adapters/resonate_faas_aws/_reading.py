"""Reads of the table: snapshots of objects, a history as one ordered query, payloads put back where they belong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from resonate_faas._errors import StoreUnavailableError
from resonate_faas._machine.objects import Value
from resonate_faas._optimistic import Stored
from resonate_faas._ports import Versioned
from resonate_faas_aws._calls import Calls
from resonate_faas_aws._items import (
    Item,
    Payload,
    decode_item,
    decode_payload,
    digest_of,
    key_item,
    marks_of,
    time_to_live,
)
from resonate_faas_aws._keys import RECORDS, VALUE, Place, place_behind, place_of
from resonate_faas_aws._writing import Kept

BATCH_MAX: Final = 100
"""Items of one BatchGetItem."""

HISTORY_PAGE: Final = 1_000
SNAPSHOT_TRIES: Final = 12

_ABSENT: Final = Stored(None, 0)
_HISTORY: Final = "sk,r,z,v,p,q,m,c,h"


class Reader:
    """Strongly consistent reads of one table.

    Args:
        calls: the table's client.
        table: its name.
        kept: learns which payloads are kept aside.
    """

    def __init__(self, calls: Calls, table: str, kept: Kept) -> None:
        self._calls = calls
        self._table = table
        self._kept = kept

    def snapshot(self, keys: Sequence[str]) -> dict[str, Stored]:
        """Return every key's object, all of one instant.

        Raises:
            StoreUnavailableError: the objects kept moving, or the table can't be read.
        """
        if not keys:
            return {}
        places = {key: place_of(key) for key in keys}
        for attempt in range(SNAPSHOT_TRIES):
            found = self._found(places)
            if found is not None:
                return found
            self._calls.pause(attempt)
        raise StoreUnavailableError("read", f"{SNAPSHOT_TRIES} reads met writers")

    def _found(self, places: Mapping[str, Place]) -> dict[str, Stored] | None:
        """Read the objects once; None: they moved meanwhile."""
        if len(places) == 1:
            (place,) = places.values()
            single, beside = self._one(place)
            return self._put_together(places, single, beside)
        items = self._several(tuple(places.values()))
        return self._put_together(places, items, self._beside(items))

    def objects(self, places: Sequence[Place]) -> list[Stored]:
        """Return the objects that exist at these places, each as it is now, not of one instant."""
        found: list[Stored] = []
        for start in range(0, len(places), BATCH_MAX):
            items = self._batch(places[start : start + BATCH_MAX])
            beside = self._beside(items)
            for place, item in items.items():
                values = _values(place, item, beside)
                whole = decode_item(item, {} if values is None else values)
                if values is None and whole.object is not None:
                    whole = self.snapshot((whole.object.id,))[whole.object.id]
                if whole.object is not None:
                    found.append(whole)
        return found

    def history(self, task_id: str, after: str | None) -> Iterator[list[Versioned]]:
        """Yield the records of a partition behind a place, a megabyte a request, at most 1,000 a page."""
        place = RECORDS if after is None else place_behind(after)
        for found in self.partition(task_id, place, _HISTORY):
            page = [Versioned(stored.object, stored.revision) for stored in found]
            for start in range(0, len(page), HISTORY_PAGE):
                yield page[start : start + HISTORY_PAGE]

    def partition(self, partition: str, behind: str, attributes: str | None = None) -> Iterator[list[Stored]]:
        """Yield the objects of a partition behind a sort key, in order, a list for each request."""
        request: dict[str, Any] = {
            "TableName": self._table,
            "ConsistentRead": True,
            "KeyConditionExpression": "pk = :p AND sk > :s",
            "ExpressionAttributeValues": {":p": {"S": partition}, ":s": {"S": behind}},
        }
        if attributes is not None:
            request["ProjectionExpression"] = attributes
        open_item: Item | None = None
        payloads: list[Item] = []
        while True:
            answer = self._calls.read("query", **request)
            found: list[Stored] = []
            for item in answer["Items"]:
                if "m" in item:
                    payloads.append(item)
                    continue
                if open_item is not None:
                    found += self._record(partition, open_item, payloads)
                open_item = item
                payloads.clear()
            more = answer.get("LastEvaluatedKey")
            if not more and open_item is not None:
                found += self._record(partition, open_item, payloads)
            yield found
            if not more:
                return
            request["ExclusiveStartKey"] = more

    def _record(self, partition: str, item: Item, payloads: Sequence[Item]) -> list[Stored]:
        """Return the object of an item that its payloads follow; read anew if a write came between the two."""
        if not payloads and "p" not in item and "q" not in item:
            return [decode_item(item, {})]
        place = (partition, item["sk"]["S"])
        values = _values(place, item, {(partition, beside["sk"]["S"]): beside for beside in payloads})
        whole = decode_item(item, values or {})
        if values is not None and whole.object is not None:
            self._learn(whole.object.id, whole, item, values)
        elif whole.object is not None:
            whole = self.snapshot((whole.object.id,))[whole.object.id]
        return [] if whole.object is None else [whole]

    def _one(self, place: Place) -> tuple[dict[Place, Item], dict[Place, Item]]:
        """Read an object and its payloads with one query: they stand side by side."""
        answer = self._calls.read(
            "query",
            TableName=self._table,
            ConsistentRead=True,
            KeyConditionExpression="pk = :p AND sk BETWEEN :s AND :e",
            ExpressionAttributeValues={
                ":p": {"S": place[0]},
                ":s": {"S": place[1]},
                ":e": {"S": place[1] + VALUE},
            },
        )
        found = {_place(item): item for item in answer["Items"]}
        return {place: found[place]} if place in found else {}, found

    def _several(self, places: Sequence[Place]) -> dict[Place, Item]:
        """Read the items of one instant."""
        answer = self._calls.read(
            "transact_get_items",
            TransactItems=[{"Get": {"TableName": self._table, "Key": key_item(place)}} for place in places],
        )
        items = (response.get("Item") for response in answer["Responses"])
        return {_place(item): item for item in items if item}

    def _beside(self, items: Mapping[Place, Item]) -> dict[Place, Item]:
        """Read the payloads that items keep aside."""
        wanted = [(place[0], place[1] + slot) for place, item in items.items() for slot in marks_of(item)]
        found: dict[Place, Item] = {}
        for start in range(0, len(wanted), BATCH_MAX):
            found.update(self._batch(wanted[start : start + BATCH_MAX]))
        return found

    def _batch(self, places: Iterable[Place]) -> dict[Place, Item]:
        """Read items, each strongly consistent; a partial answer is asked for the rest."""
        found: dict[Place, Item] = {}
        asked: dict[str, Any] = {"Keys": [key_item(place) for place in places], "ConsistentRead": True}
        fruitless = 0
        while asked.get("Keys"):
            answer = self._calls.read("batch_get_item", RequestItems={self._table: asked})
            items = answer["Responses"].get(self._table, [])
            found |= {_place(item): item for item in items}
            asked = answer.get("UnprocessedKeys", {}).get(self._table, {})
            fruitless = 0 if items else fruitless + 1
            if fruitless == SNAPSHOT_TRIES:
                raise StoreUnavailableError("batch_get_item", "throttled: it keeps answering nothing")
            if fruitless:
                self._calls.pause(fruitless)
        return found

    def _put_together(
        self, places: Mapping[str, Place], items: Mapping[Place, Item], beside: Mapping[Place, Item]
    ) -> dict[str, Stored] | None:
        """Return the objects; None: a payload has moved on, so they are not of one instant."""
        found: dict[str, Stored] = {}
        for key, place in places.items():
            item = items.get(place)
            if item is None:
                found[key] = _ABSENT
                continue
            values = _values(place, item, beside)
            if values is None:
                return None
            found[key] = decode_item(item, values)
            self._learn(key, found[key], item, values)
        return found

    def _learn(self, key: str, found: Stored, item: Item, values: Mapping[str, Value]) -> None:
        """Remember what is kept aside, unless it has a time to live: what is written without must be written anew."""
        if values and found.object is not None and not time_to_live(found.object):
            marks = marks_of(item)
            self._kept.put(
                key, found.revision, {slot: Payload(marks[slot], digest_of(values[slot])) for slot in marks}
            )


def _values(place: Place, item: Item, beside: Mapping[Place, Item]) -> dict[str, Value] | None:
    """Return the payloads that an item keeps aside; None: one of them is gone, or another's."""
    found: dict[str, Value] = {}
    for slot, mark in marks_of(item).items():
        payload = beside.get((place[0], place[1] + slot))
        if payload is None or payload["m"]["S"] != mark:
            return None
        found[slot] = decode_payload(payload)
    return found


def _place(item: Item) -> Place:
    return item["pk"]["S"], item["sk"]["S"]
