"""The indexes that the store's queries need, as data: for terraform, and for the test that compares them with the queries.

A history needs none: it is a range of document ids. Every field is exempt from Firestore's automatic
single-field indexes: none is asked for alone, the record and the nonce change at each write, and an index over
rising instants would be one hot tablet. The emulator does not notice a missing index; a test does.

Source: firebase.google.com/docs/firestore/query-data/index-overview.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Mode = Literal["ASCENDING", "CONTAINS"]


@dataclass(frozen=True, slots=True)
class CompositeIndex:
    """A composite index of the collection, scope COLLECTION.

    Attributes:
        fields: name and mode, in order; Firestore adds the document id.
    """

    fields: tuple[tuple[str, Mode], ...]


RECORD: Final = "record"
NONCE: Final = "nonce"
KEY: Final = "key"
SHARD: Final = "shard"
DUE: Final = "due"
STATES: Final = "states"
EXPIRES: Final = "expires"
ORIGIN_DIGEST: Final = "origin"
BRANCH_DIGEST: Final = "branch"

FIELDS: Final = (RECORD, NONCE, KEY, SHARD, DUE, STATES, ORIGIN_DIGEST, BRANCH_DIGEST, EXPIRES)
"""All fields of a document."""

TTL_FIELD: Final = EXPIRES
"""The timestamp from which Firestore itself may delete a document, by a TTL policy: a late backstop that retention sets."""

COMPOSITE_INDEXES: Final = (
    CompositeIndex(((SHARD, "ASCENDING"), (DUE, "ASCENDING"))),
    CompositeIndex(((SHARD, "ASCENDING"), (STATES, "CONTAINS"), (KEY, "ASCENDING"))),
    CompositeIndex(((ORIGIN_DIGEST, "ASCENDING"), (KEY, "ASCENDING"))),
    CompositeIndex(((BRANCH_DIGEST, "ASCENDING"), (KEY, "ASCENDING"))),
)
"""Sparse by nature: a document without one of the fields, as one that is never due, has no entry."""

SINGLE_FIELD_EXEMPTIONS: Final = FIELDS
"""Fields whose automatic single-field indexes are switched off."""
