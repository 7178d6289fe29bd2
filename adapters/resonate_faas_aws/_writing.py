"""One write of the store as a list of DynamoDB actions, within the bounds of a transaction."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from resonate_faas._errors import LimitExceededError
from resonate_faas._machine.objects import Object, Rules, Value
from resonate_faas_aws._items import (
    ASIDE_BYTES,
    Payload,
    digest_of,
    flags_of,
    key_item,
    object_item,
    payload_item,
    payload_key,
    size_of,
    slots_of,
    time_to_live,
    values_of,
)
from resonate_faas_aws._keys import place_of

ACTIONS_MAX: Final = 100
"""Actions of one TransactWriteItems."""

KEPT_MAX: Final = 4_096
"""Objects with large payloads that are remembered; a forgotten one costs writing its payload again."""

INLINE_BYTES_MAX: Final = 320_000
"""Payloads of one object that may stay inside when a transaction has no room for items of their own."""

_FLAG_BITS: Final = 2
_RANDOM_BITS: Final = 20

Action = dict[str, Any]
"""One member of TransactWriteItems."""


def first_revision() -> int:
    """Return the revision of an object that is created: no deleted one of the same id ever had it."""
    return (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)


def next_revision(revision: int, flags: int) -> int:
    """Return the revision behind one (0: absent); its lowest bits tell which payloads are kept aside."""
    count = (revision >> _FLAG_BITS) + 1 if revision else first_revision()
    return count << _FLAG_BITS | flags


class Kept:
    """What is known of payloads kept aside, by key and revision: an unchanged one is not written again. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[str, tuple[int, dict[str, Payload]]] = OrderedDict()

    def get(self, key: str, revision: int) -> dict[str, Payload]:
        """Return the payloads of an object at this revision; empty: none, or not known."""
        if not slots_of(revision):
            return {}
        with self._lock:
            known_at, payloads = self._found.get(key, (0, {}))
        return payloads if known_at == revision else {}

    def put(self, key: str, revision: int, payloads: dict[str, Payload]) -> None:
        """Remember the payloads of an object at this revision."""
        with self._lock:
            if not payloads:
                self._found.pop(key, None)
                return
            self._found[key] = (revision, payloads)
            self._found.move_to_end(key)
            if len(self._found) > KEPT_MAX:
                self._found.popitem(last=False)


@dataclass(slots=True)
class _Change:
    """One object to be written, and which of its payloads go where."""

    key: str
    stored: Object | None
    revision: int
    kept: dict[str, Payload]
    values: dict[str, Value] = field(default_factory=dict)
    unchanged: dict[str, Payload] = field(default_factory=dict)
    aside: dict[str, Payload] = field(default_factory=dict)
    """New payloads, each an action of its own."""

    @property
    def dropped(self) -> list[str]:
        """The payloads kept aside until now that no longer are."""
        return [
            slot for slot in slots_of(self.revision) if slot not in self.unchanged and slot not in self.aside
        ]

    @property
    def ending(self) -> list[str]:
        """The unchanged payloads kept aside that are to be given a time to live."""
        return list(self.unchanged) if self.stored is not None and time_to_live(self.stored) else []

    @property
    def beside(self) -> int:
        """How many actions the payloads take."""
        return len(self.aside) + len(self.dropped) + len(self.ending)


@dataclass(frozen=True, slots=True)
class Plan:
    """A write, ready to be sent.

    Attributes:
        actions: members of a transaction; one alone can go as a single conditional write.
        revisions: what the written objects' revisions will be.
        payloads: what they keep aside.
        leftovers: keys and marks of payloads to be deleted after the commit, if the transaction had no room.
    """

    actions: list[Action]
    revisions: dict[str, int]
    payloads: dict[str, dict[str, Payload]]
    leftovers: list[tuple[dict[str, Any], str]]


def plan(
    table: str,
    expected: Mapping[str, int],
    writes: Mapping[str, Object | None],
    *,
    nonce: str,
    kept: Kept,
    rules: Rules,
) -> Plan:
    """Return the actions of a write.

    Raises:
        LimitExceededError: more than 100 objects, or one over 400 KB; nothing was written.
    """
    if len(expected) > ACTIONS_MAX:
        raise LimitExceededError(
            "the number of objects in one transaction", ACTIONS_MAX, "split the request into several"
        )
    changes = [_change(key, stored, expected[key], nonce, kept) for key, stored in writes.items()]
    room = ACTIONS_MAX - len(expected) - sum(change.beside for change in changes)
    if room < 0:
        room += _inline(changes, -room)
    actions: list[Action] = []
    guards = (key for key in expected if key not in writes)
    actions += [{"ConditionCheck": _guarded(table, key, expected[key])} for key in guards]
    revisions: dict[str, int] = {}
    payloads: dict[str, dict[str, Payload]] = {}
    leftovers: list[tuple[dict[str, Any], str]] = []
    for change in changes:
        place = place_of(change.key)
        for slot in change.dropped:
            if room < 0:
                room += 1
                if slot in change.kept:
                    leftovers.append((payload_key(place, slot), change.kept[slot].mark))
            else:
                actions.append({"Delete": {"TableName": table, "Key": payload_key(place, slot)}})
        if change.stored is None:
            actions.append({"Delete": _guarded(table, change.key, change.revision)})
            revisions[change.key], payloads[change.key] = 0, {}
            continue
        held = {**change.unchanged, **change.aside}
        revision = next_revision(change.revision, flags_of(held))
        item = object_item(change.stored, revision=revision, nonce=nonce, payloads=held, rules=rules)
        actions.append({"Put": {"TableName": table, "Item": item, **_condition(change.revision)}})
        lives = time_to_live(change.stored)
        for slot, payload in change.aside.items():
            beside = payload_item(place, slot, payload.mark, change.values[slot]) | lives
            actions.append({"Put": {"TableName": table, "Item": beside}})
        actions += [_ending(table, payload_key(place, slot), lives) for slot in change.ending]
        # One that has a time to live is forgotten: a later write without it must write the payload anew.
        revisions[change.key], payloads[change.key] = revision, {} if lives else held
    if room < 0:
        raise LimitExceededError(
            "the number of items in one transaction", ACTIONS_MAX, "fewer large payloads in one request"
        )
    return Plan(actions, revisions, payloads, leftovers)


def _change(key: str, stored: Object | None, revision: int, nonce: str, kept: Kept) -> _Change:
    change = _Change(key, stored, revision, kept.get(key, revision))
    if stored is None:
        return change
    for slot, value in values_of(stored).items():
        if size_of(value) <= ASIDE_BYTES:
            continue
        digest = digest_of(value)
        known = change.kept.get(slot)
        change.values[slot] = value
        if known is not None and known.digest == digest:
            change.unchanged[slot] = known
        else:
            change.aside[slot] = Payload(nonce, digest)
    return change


def _inline(changes: list[_Change], wanted: int) -> int:
    """Move the smallest new payloads into their objects until so many actions are saved; return how many were."""
    candidates = sorted(
        (
            (size_of(change.values[slot]), number, slot)
            for number, change in enumerate(changes)
            for slot in change.aside
            if slot not in slots_of(change.revision)
        ),
    )
    inside = dict.fromkeys(range(len(changes)), 0)
    saved = 0
    for size, number, slot in candidates:
        if saved == wanted:
            break
        if inside[number] + size <= INLINE_BYTES_MAX:
            inside[number] += size
            del changes[number].aside[slot]
            saved += 1
    return saved


def _ending(table: str, key: dict[str, Any], lives: dict[str, Any]) -> Action:
    """Return the action that gives a payload kept aside the time to live of its object."""
    ((name, instant),) = lives.items()
    return {
        "Update": {
            "TableName": table,
            "Key": key,
            "UpdateExpression": "SET #t = :t",
            "ExpressionAttributeNames": {"#t": name},
            "ExpressionAttributeValues": {":t": instant},
        }
    }


def _guarded(table: str, key: str, revision: int) -> dict[str, Any]:
    return {"TableName": table, "Key": key_item(place_of(key)), **_condition(revision)}


def _condition(revision: int) -> dict[str, Any]:
    """Return the condition that an object is still at a revision, or still absent."""
    if not revision:
        return {"ConditionExpression": "attribute_not_exists(pk)"}
    return {
        "ConditionExpression": "v = :v",
        "ExpressionAttributeValues": {":v": {"N": str(revision)}},
    }
