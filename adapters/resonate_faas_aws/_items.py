"""Objects as items of the table and back; payloads over 4 KB as items of their own beside them.

Attributes of an object's item, one letter each since DynamoDB bills names too::

    r  the record, JSON (z: the same, compressed, where it is long)
    v  the revision          n  the nonce of the transaction that wrote it
    p  q                     the marks of the payloads kept aside (param, value)
    s  d                     shard and instant of the due index, while something is due
    o  b                     digests of the origin and branch tags, where they name another id than the
                             object's own or its partition's
    i  the key, in items that an index holds
    t  the time to live, epoch seconds, where retention has set one; on payloads too

A payload's item holds ``m``, the mark that the object must name, ``c``, the data as it is, and ``h``, the headers
as JSON. It is written in the transaction that changes it and not again; most writes of a task therefore move a
small item.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from resonate_faas._errors import LimitExceededError
from resonate_faas._machine.objects import BRANCH, EMPTY, ORIGIN, Object, PromiseObject, Rules, Value, due
from resonate_faas._optimistic import Stored
from resonate_faas._records import decode_object, due_shard, encode_object
from resonate_faas_aws._dynamodb_table import TTL_ATTRIBUTE
from resonate_faas_aws._keys import PARAM, VALUE, Place, place_of

Item = dict[str, Any]
"""An item as the low-level client takes and gives it: attribute names to typed values."""

ASIDE_BYTES: Final = 4_096
"""Payloads longer than this are kept aside: DynamoDB bills the whole item on each check and heartbeat."""

ITEM_BYTES_MAX: Final = 390_000
"""DynamoDB's 400 KB (409,600 bytes), less headroom for keys and names."""

COMPRESS_BYTES: Final = 64_000
"""Records longer than this (a thousand waiters) are compressed."""

HAS_PARAM: Final = 1
HAS_VALUE: Final = 2
_FLAGS: Final = {PARAM: HAS_PARAM, VALUE: HAS_VALUE}
MARKS: Final = {PARAM: "p", VALUE: "q"}
SLOTS: Final = (PARAM, VALUE)


@dataclass(frozen=True, slots=True)
class Payload:
    """A payload kept aside: the mark that leads to it, and a digest of what it holds."""

    mark: str
    digest: bytes


Payloads = Mapping[str, Payload]
"""The payloads of one object that are kept aside, by slot."""


def flags_of(slots: Mapping[str, object]) -> int:
    """Return the slots as the lowest two bits of a revision: a deletion must know them without reading."""
    return sum(_FLAGS[slot] for slot in slots)


def slots_of(revision: int) -> list[str]:
    """Return the slots that a revision says are kept aside."""
    return [slot for slot in SLOTS if revision & _FLAGS[slot]]


def values_of(stored: Object) -> dict[str, Value]:
    """Return the payloads of an object by slot; a schedule's param stays inside."""
    if not isinstance(stored, PromiseObject):
        return {}
    return {PARAM: stored.promise.param, VALUE: stored.promise.value}


def encode_payload(value: Value) -> Item:
    """Return the attributes of a payload's item; text that is not valid Unicode travels as bytes."""
    item: Item = {}
    if value.headers:
        item["h"] = {"S": json.dumps(dict(value.headers), separators=(",", ":"))}
    if value.data is not None:
        try:
            value.data.encode()
        except UnicodeEncodeError:
            item["c"] = {"B": value.data.encode("utf-8", "surrogatepass")}
        else:
            item["c"] = {"S": value.data}
    return item


def decode_payload(item: Item) -> Value:
    """Return the payload of an item."""
    headers, data = item.get("h"), item.get("c")
    text: str | None = None
    if data is not None:
        text = data["S"] if "S" in data else _binary(data).decode("utf-8", "surrogatepass")
    return Value(headers=EMPTY.headers if headers is None else json.loads(headers["S"]), data=text)


def size_of(value: Value) -> int:
    """Return the bytes of a payload, names and marks left out."""
    data = value.data or ""
    size = len(data) if data.isascii() else len(data.encode("utf-8", "surrogatepass"))
    return size + sum(len(name) + len(text) for name, text in value.headers.items())


def digest_of(value: Value) -> bytes:
    """Return what tells two payloads apart."""
    told = hashlib.blake2b(digest_size=16)
    told.update(json.dumps([sorted(value.headers.items()), value.data is None]).encode())
    told.update((value.data or "").encode("utf-8", "surrogatepass"))
    return told.digest()


def object_item(stored: Object, *, revision: int, nonce: str, payloads: Payloads, rules: Rules) -> Item:
    """Return the item of an object without the payloads kept aside.

    Raises:
        LimitExceededError: it is over 400 KB even so: too many waiters with long ids.
    """
    partition, sort = place_of(stored.id)
    item: Item = {
        "pk": {"S": partition},
        "sk": {"S": sort},
        "v": {"N": str(revision)},
        "n": {"S": nonce},
    }
    record = encode_object(_without(stored, payloads))
    if len(record) > COMPRESS_BYTES:
        packed = zlib.compress(record, 1)
        item["z"] = {"B": packed}
        record_size = len(packed)
    else:
        item["r"] = {"S": record.decode()}
        record_size = len(record)
    item |= {MARKS[slot]: {"S": payload.mark} for slot, payload in payloads.items()}
    item |= _index(stored, partition, rules) | time_to_live(stored)
    size = record_size + sum(map(_attribute_size, item.items()))
    if size > ITEM_BYTES_MAX:
        raise LimitExceededError(
            f"the record of {stored.id!r}", ITEM_BYTES_MAX, "fewer waiters of one promise, or shorter ids"
        )
    return item


def time_to_live(stored: Object) -> Item:
    """Return the attribute by which DynamoDB deletes the item, and those of its payloads; empty: it never does."""
    if not isinstance(stored, PromiseObject) or stored.kept_until is None:
        return {}
    return {TTL_ATTRIBUTE: {"N": str(-(-stored.kept_until // 1_000))}}


def payload_item(place: Place, slot: str, mark: str, value: Value) -> Item:
    """Return the item of a payload kept aside.

    Raises:
        LimitExceededError: it is over 400 KB.
    """
    size = size_of(value)
    if size > ITEM_BYTES_MAX:
        raise LimitExceededError(f"a payload of {place}", ITEM_BYTES_MAX, "keep large values outside")
    return {**payload_key(place, slot), "m": {"S": mark}, **encode_payload(value)}


def payload_key(place: Place, slot: str) -> Item:
    """Return the primary key of a payload's item."""
    return key_item((place[0], place[1] + slot))


def key_item(place: Place) -> Item:
    """Return a primary key."""
    return {"pk": {"S": place[0]}, "sk": {"S": place[1]}}


def index_digest(tag: str) -> bytes:
    """Return an origin or branch as its index holds it: of one length, whatever the text."""
    return hashlib.blake2b(tag.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def marks_of(item: Item) -> dict[str, str]:
    """Return the marks of the payloads that an object's item keeps aside."""
    return {slot: item[name]["S"] for slot, name in MARKS.items() if name in item}


def decode_item(item: Item, values: Mapping[str, Value]) -> Stored:
    """Return the object of an item, with its payloads kept aside by slot."""
    record = zlib.decompress(_binary(item["z"])) if "z" in item else item["r"]["S"].encode()
    found = decode_object(record)
    if values and isinstance(found, PromiseObject):
        param, value = values.get(PARAM, found.promise.param), values.get(VALUE, found.promise.value)
        found = replace(found, promise=replace(found.promise, param=param, value=value))
    return Stored(found, int(item["v"]["N"]), item["n"]["S"] if "n" in item else "")


def _binary(typed: Mapping[str, Any]) -> bytes:
    """Return a binary value, whether the client has decoded it or not."""
    held = typed["B"]
    return held if isinstance(held, bytes) else base64.b64decode(held)


def _without(stored: Object, payloads: Payloads) -> Object:
    if not payloads or not isinstance(stored, PromiseObject):
        return stored
    promise = replace(
        stored.promise,
        param=EMPTY if PARAM in payloads else stored.promise.param,
        value=EMPTY if VALUE in payloads else stored.promise.value,
    )
    return replace(stored, promise=promise)


def _index(stored: Object, partition: str, rules: Rules) -> Item:
    """Return the attributes that put the object into the sparse indexes, and its key with them."""
    found: Item = {}
    instant = due(stored, rules)
    if instant is not None:
        found["s"] = {"N": str(due_shard(stored.id))}
        found["d"] = {"N": str(instant)}
    if isinstance(stored, PromiseObject):
        for name, tag in (("o", ORIGIN), ("b", BRANCH)):
            text = stored.promise.tags.get(tag)
            if text is not None and text not in {partition, stored.id}:
                found[name] = {"B": index_digest(text)}
    return {**found, "i": {"S": stored.id}} if found else found


def _attribute_size(attribute: tuple[str, Mapping[str, Any]]) -> int:
    """Return the bytes of an attribute besides the record, rounded up."""
    name, typed = attribute
    if name in {"r", "z"}:
        return len(name)
    (held,) = typed.values()
    return len(name) + (len(held.encode()) if isinstance(held, str) else len(held))
