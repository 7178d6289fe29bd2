"""Stored objects as Firestore documents and back: one unindexed blob, and the few fields that queries need."""

from __future__ import annotations

import zlib
from hashlib import blake2b
from typing import Any, Final

from resonate_faas._errors import LimitExceededError
from resonate_faas._machine.objects import BRANCH, ORIGIN, Object, PromiseObject, Rules, due
from resonate_faas._optimistic import Stored
from resonate_faas._records import decode_object, due_shard, encode_object
from resonate_faas_gcp._indexes import (
    BRANCH_DIGEST,
    DUE,
    EXPIRES,
    KEY,
    NONCE,
    ORIGIN_DIGEST,
    RECORD,
    SHARD,
    STATES,
)

DOCUMENT_BYTES_MAX: Final = 1_040_000
"""Firestore's 1 MiB, less headroom for how it counts names and values."""

PLAIN_BYTES_MAX: Final = 8_192
"""A longer record is compressed: a commit then has room for the session's 3.5 MB of payloads beside a large task,
and two payloads of 300,000 bytes fit a document however JSON must escape them."""

INSTANT_MAX: Final = 2**63 - 1
_DIGEST_BYTES: Final = 16
_MICROS: Final = 1_000_000


def revision_of(timestamp: Any) -> int:
    """Return a document's ``update_time`` as a revision: microseconds, which Firestore's clock never repeats."""
    return int(timestamp.seconds) * _MICROS + int(timestamp.nanos) // 1_000


def set_update_time(timestamp: Any, revision: int) -> None:
    """Write a revision into a precondition's ``update_time``."""
    timestamp.seconds = revision // _MICROS
    timestamp.nanos = revision % _MICROS * 1_000


def fill_document(document: Any, stored: Object, nonce: str, rules: Rules) -> None:
    """Write the fields of an object into a document.

    Raises:
        LimitExceededError: it is larger than a document may be.
    """
    key, due_at = stored.id, due(stored, rules)
    fields = document.fields
    fields[RECORD].bytes_value = _packed(encode_object(stored))
    fields[NONCE].string_value = nonce
    fields[KEY].string_value = key
    fields[SHARD].integer_value = due_shard(key)
    if due_at is not None:
        fields[DUE].integer_value = min(due_at, INSTANT_MAX)
    states = fields[STATES].array_value.values
    for mark in _marks(stored):
        states.add().string_value = mark
    if isinstance(stored, PromiseObject):
        for name, tag in ((ORIGIN_DIGEST, ORIGIN), (BRANCH_DIGEST, BRANCH)):
            text = stored.promise.tags.get(tag)
            if text is not None:
                fields[name].bytes_value = tag_digest(text)
        if stored.kept_until is not None:
            fields[EXPIRES].timestamp_value.FromMilliseconds(stored.kept_until)
    if document.ByteSize() > DOCUMENT_BYTES_MAX:
        raise LimitExceededError(
            f"the size of {key!r} in Firestore", DOCUMENT_BYTES_MAX, "record less, or fewer waiters"
        )


def stored_of(document: Any) -> Stored:
    """Return the object of a document, with its revision and nonce."""
    fields = document.fields
    return Stored(object_of(document), revision_of(document.update_time), fields[NONCE].string_value)


def object_of(document: Any) -> Object:
    """Return the object of a document."""
    record = document.fields[RECORD].bytes_value
    return decode_object(record if record[:1] == b"{" else zlib.decompress(record))


def tag_digest(text: str) -> bytes:
    """Return a tag as its index holds it: of one length, and whatever text it is."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()


def state_mark(kind: str, state: str | None) -> str:
    """Return what the array of states holds for a kind, and for a state of it."""
    return kind if state is None else f"{kind}.{state}"


def _marks(stored: Object) -> list[str]:
    if not isinstance(stored, PromiseObject):
        return [state_mark("schedule", None)]
    marks = [state_mark("promise", None), state_mark("promise", stored.promise.state.value)]
    if stored.task is not None:
        marks += [state_mark("task", None), state_mark("task", stored.task.state.value)]
    return marks


def _packed(record: bytes) -> bytes:
    """Return the record; compressed if it is long. A record begins with a brace, a compressed one never does."""
    return record if len(record) <= PLAIN_BYTES_MAX else zlib.compress(record, 1)
