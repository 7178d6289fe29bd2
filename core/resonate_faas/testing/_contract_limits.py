"""Contract at the limits: ids that stores trip over, payloads as large as they may be."""

from __future__ import annotations

from random import Random
from typing import Final

import pytest

from resonate_faas._machine.ids import ID_BYTES_MAX, PAYLOAD_BYTES_MAX, ROOT_ID_BYTES_MAX, id_error
from resonate_faas._machine.objects import (
    DEFAULT_RULES,
    EXTERNAL,
    ORIGIN,
    PromiseObject,
    PromiseState,
    ScheduleObject,
    Value,
)
from resonate_faas.testing._contract_index import all_due, eventually
from resonate_faas.testing._contract_transact import ContractBase
from resonate_faas.testing._kit import (
    drop,
    history_ids,
    look_at,
    promise_object,
    put,
    schedule_object,
    task_object,
)
from resonate_faas.testing._wrappers import PrimitiveStore

HOSTILE_ROOTS: Final = (
    "a",
    ".",
    "..",
    "__x__",
    "__name__",
    "a/b",
    "/",
    "//a//",
    "a#b",
    "a b",
    " a",
    "a ",
    'quote"d',
    "it's",
    "%",
    "%2F",
    "a%20b",
    "back\\slash",
    "a+b",
    "a=b&c?d",
    "[0]",
    "`tick`",
    "*",
    "~",
    "$ne",
    "null",
    "-1",
    "007",
    "1.5",
    "é",
    "e\u0301",
    "İ",
    "日本語",
    "\u2028",
    "\ufeff",
    "\U0001f468\u200d\U0001f469",
    "x" * ROOT_ID_BYTES_MAX,
    "\U0001f600" * (ROOT_ID_BYTES_MAX // 4),
)
"""Different ids, all: no store may normalise, fold, trim or escape two of them into one."""

_PRINTABLE: Final = "".join(map(chr, range(32, 127)))

LONG_CHILDREN: Final = (
    f"{'r' * ROOT_ID_BYTES_MAX}:{'.'.join(['123456789'] * 64)}.123",
    "r:" + ".".join(["1"] * 449),
)
"""900 bytes, or the most that fits: one wide, one as deep as an id can be."""


class LimitsContract(ContractBase):
    """What is allowed works, to the last byte."""

    def test_all_ids_of_the_contract_are_legal_and_different(self) -> None:
        """The list itself."""
        assert [id_error(key) for key in (*HOSTILE_ROOTS, *LONG_CHILDREN)] == [None] * (
            len(HOSTILE_ROOTS) + 2
        )
        assert len(set(HOSTILE_ROOTS)) == len(HOSTILE_ROOTS)
        assert len(LONG_CHILDREN[0].encode()) == ID_BYTES_MAX
        assert ID_BYTES_MAX - len(LONG_CHILDREN[1].encode()) <= 1

    def test_hostile_ids_are_kept_apart(self, store: PrimitiveStore) -> None:
        """Written all, then read all: each has its own object, history and place in the search."""
        for place, root in enumerate(HOSTILE_ROOTS):
            put(
                store,
                task_object(root, retry_at=place, tags={ORIGIN: root}),
                promise_object(f"{root}:1", count=place),
            )
        for place, root in enumerate(HOSTILE_ROOTS):
            assert look_at(store, root) == task_object(root, retry_at=place, tags={ORIGIN: root})
            (page,) = store.history(root)
            assert [found.object for found in page] == [promise_object(f"{root}:1", count=place)]
            eventually(
                lambda root=root: [each.id for each in store.search("promise", tags={ORIGIN: root})],  # type: ignore[misc]
                [root],
                self.INDEX_LAG_S,
            )
        expected = {root: place for place, root in enumerate(HOSTILE_ROOTS)}
        eventually(lambda: all_due(store, 1_000), expected, self.INDEX_LAG_S)
        drop(store, *HOSTILE_ROOTS)
        assert [look_at(store, root) for root in HOSTILE_ROOTS] == [None] * len(HOSTILE_ROOTS)
        assert all(history_ids(store, root) == [f"{root}:1"] for root in HOSTILE_ROOTS)

    @pytest.mark.parametrize("child", LONG_CHILDREN, ids=["wide", "deep"])
    def test_the_longest_ids_are_stored_and_found(self, store: PrimitiveStore, child: str) -> None:
        """900 bytes, whatever their shape."""
        root, sibling = child.partition(":")[0], child[:-1] + "2"
        stored = promise_object(
            child, state=PromiseState.PENDING, tags={EXTERNAL: "true"}, timeout_at=5, count=3
        )
        put(store, stored, promise_object(sibling))
        assert look_at(store, child) == stored
        first, second = sorted((child, sibling))
        assert history_ids(store, root) == [first, second]
        assert history_ids(store, root, first) == [second]
        eventually(lambda: all_due(store, 5), {child: 5}, self.INDEX_LAG_S)
        drop(store, child)
        assert look_at(store, child) is None

    @pytest.mark.parametrize("schedule_id", ["a", ".", "__x__", "a/b:c", "s" * ROOT_ID_BYTES_MAX])
    def test_a_schedule_and_a_promise_of_one_name_are_apart(
        self, store: PrimitiveStore, schedule_id: str
    ) -> None:
        """Their keys never meet."""
        stored = schedule_object(schedule_id, next_run_at=7)
        put(store, stored, promise_object(schedule_id, count=1))
        assert look_at(store, stored.id) == stored
        assert look_at(store, schedule_id) == promise_object(schedule_id, count=1)
        drop(store, schedule_id)
        found = look_at(store, stored.id)
        assert isinstance(found, ScheduleObject)

    def test_payloads_of_the_largest_size_come_back_byte_for_byte(self, store: PrimitiveStore) -> None:
        """Param and value both, in one object, through changes of the rest."""
        param = Value(data="p" * PAYLOAD_BYTES_MAX)
        value = Value(data="é" * (PAYLOAD_BYTES_MAX // 2))
        stored = promise_object("root:1", param=param, value=value)
        put(store, stored)
        assert look_at(store, "root:1") == stored
        put(store, promise_object("root:1", param=param, value=value, count=1))
        (page,) = store.history("root")
        assert [found.object for found in page] == [
            promise_object("root:1", param=param, value=value, count=1)
        ]

    def test_a_payload_may_shrink_and_vanish(self, store: PrimitiveStore) -> None:
        """A store that keeps large payloads apart must not serve an old one."""
        for size in (PAYLOAD_BYTES_MAX, 5_000, 4_096, 4_095, 10, 0, 5_000, 0):
            stored = promise_object(
                "a", param=Value(data="x" * size), value=Value(data="y" * size) if size else Value()
            )
            put(store, stored)
            assert look_at(store, "a") == stored
        put(store, promise_object("a", value=Value(data="z" * 50_000)))
        drop(store, "a")
        put(store, promise_object("a"))
        assert look_at(store, "a") == promise_object("a")

    def test_payloads_and_tags_hold_any_text(self, store: PrimitiveStore) -> None:
        """Nothing is trimmed, folded or taken for absent."""
        texts = ["", " ", "\x00", "null", "\r\n\t", '"', "\\", "\U0001f600", "\u2028", "0", "<&>", "\x7f"]
        tags = {f"tag {place} é": text for place, text in enumerate(texts)}
        for place, text in enumerate(texts):
            stored = promise_object(
                f"p:{place}", param=Value(data=text), value=Value(headers={text or "empty": text}), tags=tags
            )
            put(store, stored)
            assert look_at(store, f"p:{place}") == stored

    def test_absent_empty_and_headed_payloads_differ(self, store: PrimitiveStore) -> None:
        """``{}`` is not ``""``."""
        for place, value in enumerate(
            (Value(), Value(data=""), Value(headers={"a": "b"}), Value(headers={"": ""}, data=""))
        ):
            stored = promise_object(f"p:{place}", param=value)
            put(store, stored)
            assert look_at(store, f"p:{place}") == stored

    def test_a_promise_holds_as_many_waiters_as_the_rules_allow(self, store: PrimitiveStore) -> None:
        """As many as by count, and as much as by bytes, of names that no compression makes shorter."""
        draw = Random(7)  # noqa: S311 - not a secret
        size = DEFAULT_RULES.waiters_bytes_max // DEFAULT_RULES.waiters_max
        waiters = tuple("".join(draw.choices(_PRINTABLE, k=size)) for _ in range(DEFAULT_RULES.waiters_max))
        stored = promise_object("a", state=PromiseState.PENDING, tags={EXTERNAL: "true"}, callbacks=waiters)
        put(store, stored)
        found = look_at(store, "a")
        assert isinstance(found, PromiseObject)
        assert found == stored
