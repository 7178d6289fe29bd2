r"""Where an object stands in the table: its partition, and a sort key whose byte order is call order.

Layout of one partition (design section 4), in this order::

    0                  the root that owns the partition; of another partition's head only its records stand here
    a1                 the first call            b10A2   the second call below the tenth
    a1\0p  a1\0v     the large param and value of the record before them

A query above :data:`RECORDS` and in order is therefore a whole history, each record followed by its payloads.
Schedules share one small partition of their own, in the order of their ids.
"""

from __future__ import annotations

import hashlib
from typing import Final

from resonate_faas._machine.ids import owner, sort_key
from resonate_faas._machine.objects import is_schedule_key, schedule_key

Place = tuple[str, str]
"""Partition key and sort key."""

OWN: Final = "0"
"""The sort key of the root in its own partition."""

RECORDS: Final = "1"
"""Every record of an activation sorts above this; the root and its payloads sort below."""

SCHEDULES: Final = "\x1f"
"""The partition of the schedules: an id holds no control characters, so no promise is ever stored there."""

PARAM: Final = "\x00p"
VALUE: Final = "\x00v"

SORT_BYTES_MAX: Final = 960
"""DynamoDB allows 1,024; the mark of a payload is appended."""

_SCHEDULE_PREFIX: Final = schedule_key("")
_BEHIND: Final = "\x01"


def place_of(key: str) -> Place:
    """Return where the object of a store key is stored."""
    if is_schedule_key(key):
        return SCHEDULES, OWN + key.removeprefix(_SCHEDULE_PREFIX)
    return owner(key), record_sort(key)


def place_behind(promise_id: str) -> str:
    """Return the place just behind a record and its payloads, before the calls below it."""
    return record_sort(promise_id) + _BEHIND


def record_sort(promise_id: str) -> str:
    """Return the sort key of a promise: the core's, in fewer bytes.

    A numbered segment behind another says its length in upper case and needs no dot (``a1.b10`` becomes
    ``a1B10``), so that a path of numbers takes one byte more than in the id, however deep: an id of 900 bytes
    fits. Paths of words that don't fit keep their first bytes and end in a hash: they are found by id, in no
    order among themselves.
    """
    plain = sort_key(promise_id)
    if not plain:
        return OWN
    parts: list[str] = []
    after_number = False
    for segment in plain.split("."):
        is_number = segment[0] != "~"
        if not parts:
            parts.append(segment)
        elif is_number and after_number:
            parts.append(segment[0].upper() + segment[1:])
        else:
            parts.append("." + segment)
        after_number = is_number
    short = "".join(parts)
    encoded = short.encode()
    if len(encoded) <= SORT_BYTES_MAX:
        return short
    digest = hashlib.blake2b(encoded, digest_size=16).hexdigest()
    head = encoded[: SORT_BYTES_MAX - len(digest) - 1].decode(errors="ignore")
    return f"{head}~{digest}"
