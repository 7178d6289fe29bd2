"""What an id tells: the partition it is stored in and its place there (design section 4)."""

from __future__ import annotations

from typing import Final

ROOT_ID_BYTES_MAX: Final = 256
ID_BYTES_MAX: Final = 900
PAYLOAD_BYTES_MAX: Final = 300_000
"""Encoded bytes of one param or value, the same on every store (DynamoDB's item of 400 KB, less headroom)."""
REMOTE_MARK: Final = "r"


def owner(promise_id: str) -> str:
    """Return the id of the activation that records this promise: its partition key.

    The id itself when it has no ``:``, else the longest proper prefix that is the root or ends in a marked
    segment: ``root:2r.1`` belongs to ``root:2r``, ``root:2r`` and ``root:1.3`` to ``root``.
    """
    root, colon, path = promise_id.partition(":")
    if not colon:
        return promise_id
    segments = path.split(".")
    for length in range(len(segments) - 1, 0, -1):
        if is_remote_segment(segments[length - 1]):
            return f"{root}:{'.'.join(segments[:length])}"
    return root


def is_remote_segment(segment: str) -> bool:
    """True if the segment names a child that runs as its own task: a number and the mark."""
    return segment.endswith(REMOTE_MARK) and segment[:-1].isdecimal()


def sort_key(promise_id: str) -> str:
    """Return the place within the owner's partition; byte order is call order.

    Numbers carry their length (1 -> a1, 10 -> b10). The owner itself sorts first with the empty key.
    """
    holder = owner(promise_id)
    if promise_id == holder:
        return ""
    return ".".join(_ordered(segment) for segment in promise_id[len(holder) + 1 :].split("."))


def _ordered(segment: str) -> str:
    digits = segment.removesuffix(REMOTE_MARK)
    if digits.isdecimal() and digits.isascii() and len(digits) <= 26:
        return f"{chr(ord('a') + len(digits) - 1)}{segment}"
    return f"~{segment}"


def id_error(promise_id: str) -> str | None:
    """Return why the text can't be an id; None: it can.

    A root has 1 to 256 bytes, any id at most 900, no control characters and no lone surrogates.
    """
    if not promise_id:
        return "an id must not be empty"
    if any(ord(char) < 32 or ord(char) == 127 for char in promise_id):
        return "an id must not hold control characters"
    try:
        size = len(promise_id.encode())
    except UnicodeEncodeError:
        return "an id must be valid Unicode"
    if size > ID_BYTES_MAX:
        return f"an id must not exceed {ID_BYTES_MAX} bytes, this one has {size}"
    if ":" not in promise_id and size > ROOT_ID_BYTES_MAX:
        return f"a root id must not exceed {ROOT_ID_BYTES_MAX} bytes, this one has {size}"
    return None
