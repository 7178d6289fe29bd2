"""Document ids: where an object stands in the collection, so that a history is one range of them.

A document id is ``<digest of the owner>!<place in call order>``. The digest spreads roots over Firestore's
tablets, however alike their names are, and keeps the id clear of ``.``, ``..`` and ``__x__``. The key itself
stands in the document, so an id need not be reversed.

Source: firebase.google.com/docs/firestore/quotas (ids: UTF-8, at most 1,500 bytes, no slash).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from resonate_faas._machine.ids import owner, sort_key
from resonate_faas._machine.objects import is_schedule_key

DOCUMENT_ID_BYTES_MAX: Final = 1_500
_KEPT_BYTES: Final = 1_400
_DIGEST_BYTES: Final = 16
_FIRST: Final = "!"
_BEHIND: Final = '"'
"""The character behind ``!``: no document of the owner stands at or behind digest and this."""


def document_id(key: str) -> str:
    """Return the document id of a store key: one each, byte order is call order within an owner.

    A place over 1,400 bytes, which no id with numbered segments has, keeps its order as far as it is kept, and
    ends in a digest.
    """
    if is_schedule_key(key):
        return partition_start(key)
    holder = owner(key)
    place = sort_key(key).replace("%", "%25").replace("/", "%2F")
    whole = partition_start(holder) + place
    encoded = whole.encode()
    if len(encoded) <= DOCUMENT_ID_BYTES_MAX:
        return whole
    # "%!" stands in no escaped place: a cut id meets no whole one.
    return f"{encoded[:_KEPT_BYTES].decode(errors='ignore')}%!{_digest(key)}"


def partition_start(holder: str) -> str:
    """Return the document id of the owner; its records stand behind."""
    return _digest(holder) + _FIRST


def partition_end(holder: str) -> str:
    """Return a document id behind all of the owner's records."""
    return _digest(holder) + _BEHIND


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()
