"""Ids that the engine gives out, and the random draws seeded by them."""

from __future__ import annotations

import re
from collections.abc import MutableSequence, Sequence
from hashlib import blake2b
from typing import Final, TypeVar
from uuid import UUID

from resonate_faas._machine.ids import REMOTE_MARK

_T = TypeVar("_T")

PREFIX_BYTES_MAX: Final = 64
PATCH_MARK: Final = "patch-"
_DETACHED = re.compile(r"-d[0-9a-f]{32}$")


def child_prefix(parent_id: str) -> str:
    """Return what precedes the number of a child: ``:`` once, after the root; ``.`` below (D4)."""
    return f"{parent_id}." if ":" in parent_id else f"{parent_id}:"


def twin_id(promise_id: str) -> str:
    """Return the id a call of the same number would have, were it remote instead of local or the reverse."""
    return (
        promise_id.removesuffix(REMOTE_MARK) if promise_id.endswith(REMOTE_MARK) else promise_id + REMOTE_MARK
    )


def patch_id(promise_id: str, name: str) -> str:
    """Return the id that records a patch of a workflow: outside the numbers of its calls, which it must not shift."""
    return f"{child_prefix(promise_id)}{PATCH_MARK}{name}"


def attempt_id(promise_id: str, attempt: int) -> str:
    """Return the id of the timer that records failed attempt ``attempt`` (from 1) and waits for the next."""
    return f"{child_prefix(promise_id)}a{attempt}"


def detached_id(root_id: str, birth: str, place: str) -> str:
    """Return the root id of a detached call, of bounded length however long the chain of tail calls.

    Args:
        root_id: the caller's root; its first 64 bytes, less an earlier detached suffix, stay readable.
        birth: the root's birth; the same root id executed anew starts other successors.
        place: the id the call would have as a child.

    Source: design section 4.
    """
    prefix = _DETACHED.sub("", root_id).encode()[:PREFIX_BYTES_MAX].decode(errors="ignore")
    digest = blake2b(f"{birth}\x00{place}".encode(), digest_size=16).hexdigest()
    return f"{prefix}-d{digest}"


class DeterministicRandom:
    """Random draws that every replay repeats, on every Python version: a BLAKE2b counter stream.

    Calling the object is :meth:`random`. Not for secrets: whoever knows the promise id knows the draws.
    """

    __slots__ = ("_bits", "_bits_left", "_counter", "_key")

    def __init__(self, seed: str) -> None:
        self._key = blake2b(seed.encode(), digest_size=32).digest()
        self._counter = 0
        self._bits = 0
        self._bits_left = 0

    def __call__(self) -> float:
        return self.random()

    def getrandbits(self, count: int) -> int:
        """Return ``count`` random bits as an int."""
        while self._bits_left < count:
            block = blake2b(self._counter.to_bytes(8, "big"), key=self._key).digest()
            self._counter += 1
            self._bits |= int.from_bytes(block, "little") << self._bits_left
            self._bits_left += 512
        drawn = self._bits & ((1 << count) - 1)
        self._bits >>= count
        self._bits_left -= count
        return drawn

    def random(self) -> float:
        """Return a float in [0, 1) with 53 random bits."""
        return self.getrandbits(53) / (1 << 53)

    def uniform(self, low: float, high: float) -> float:
        """Return a float between ``low`` and ``high``."""
        return low + (high - low) * self.random()

    def randint(self, low: int, high: int) -> int:
        """Return an int from ``low`` to ``high``, both included, without bias.

        Raises:
            ValueError: the range is empty.
        """
        if high < low:
            raise ValueError(f"randint needs low <= high, got {low} and {high}")
        span = high - low + 1
        bits = span.bit_length()
        while True:
            drawn = self.getrandbits(bits)
            if drawn < span:
                return low + drawn

    def choice(self, items: Sequence[_T]) -> _T:
        """Return one of the items.

        Raises:
            IndexError: there is none.
        """
        if not items:
            raise IndexError("choice needs at least one item")
        return items[self.randint(0, len(items) - 1)]

    def shuffle(self, items: MutableSequence[_T]) -> None:
        """Reorder the items in place."""
        for index in range(len(items) - 1, 0, -1):
            other = self.randint(0, index)
            items[index], items[other] = items[other], items[index]

    def sample(self, items: Sequence[_T], count: int) -> list[_T]:
        """Return ``count`` different items in random order.

        Raises:
            ValueError: there are fewer items.
        """
        if count > len(items):
            raise ValueError(f"sample of {count} from {len(items)} items")
        rest = list(items)
        self.shuffle(rest)
        return rest[:count]

    def uuid4(self) -> UUID:
        """Return a random UUID, version 4."""
        return UUID(int=self.getrandbits(128), version=4)
