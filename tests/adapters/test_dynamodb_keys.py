"""Sort keys: call order at every depth, never two objects in one place, always within DynamoDB's bytes."""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from resonate_faas._machine.ids import ID_BYTES_MAX, id_error, owner, sort_key
from resonate_faas._machine.objects import schedule_key
from resonate_faas.testing._contract_limits import HOSTILE_ROOTS, LONG_CHILDREN
from resonate_faas_aws._keys import OWN, RECORDS, place_behind, place_of, record_sort

PARTITION_BYTES_MAX = 2_048
SORT_BYTES_MAX = 1_024
NUMBERS = st.integers(min_value=1, max_value=10**9).map(str)
CALLS = st.lists(NUMBERS, min_size=1, max_size=6).map(lambda parts: "root:" + ".".join(parts))
WORDS = st.text(alphabet="abA01r~.", min_size=1, max_size=12)
ANY = st.lists(st.one_of(NUMBERS, WORDS), min_size=1, max_size=5).map(lambda parts: "root:" + ".".join(parts))


def numbers(promise_id: str) -> list[int]:
    return [int(part) for part in promise_id.partition(":")[2].split(".")]


@given(st.lists(CALLS, max_size=20, unique=True))
def test_byte_order_is_call_order(ids: list[str]) -> None:
    assert sorted(ids, key=lambda one: record_sort(one).encode()) == sorted(ids, key=numbers)


@given(ANY, ANY)
@settings(max_examples=500)
def test_no_two_ids_of_a_partition_share_a_place(one: str, other: str) -> None:
    assume(one != other and sort_key(one) != sort_key(other))
    assert place_of(one) != place_of(other)


def test_written_by_hand() -> None:
    expected = {
        "root": ("root", OWN),
        "root:1": ("root", "a1"),
        "root:1.10": ("root", "a1B10"),
        "root:2r": ("root", "a2r"),
        "root:2r.1": ("root:2r", "a1"),
        "root:foo.1": ("root", "~foo.a1"),
        "root:1.foo": ("root", "a1.~foo"),
        "root:fooA1": ("root", "~fooA1"),
        schedule_key("nightly"): ("\x1f", "0nightly"),
    }
    assert {key: place_of(key) for key in expected} == expected


def test_every_legal_id_fits() -> None:
    words = "root:" + ".".join(["x"] * 447)
    wide = "root:" + "é" * 447
    for key in (*HOSTILE_ROOTS, *LONG_CHILDREN, words, wide, schedule_key("s" * 256)):
        partition, sort = place_of(key)
        assert len(partition.encode()) <= PARTITION_BYTES_MAX
        assert len(sort.encode()) + 2 <= SORT_BYTES_MAX, "a payload's mark is appended"
    assert all(id_error(key) is None and len(key.encode()) <= ID_BYTES_MAX for key in (words, wide))


def test_what_does_not_fit_is_still_apart() -> None:
    """Hundreds of one-letter words: the place ends in a hash."""
    words = ["x"] * 446
    places = {place_of("root:" + ".".join([*words, last])) for last in "abcdefgh"}
    assert len(places) == 8


@given(CALLS)
def test_payloads_stand_between_a_record_and_the_calls_below_it(promise_id: str) -> None:
    sort = record_sort(promise_id)
    assert OWN + "\x00v" < RECORDS < sort < f"{sort}\x00p" < f"{sort}\x00v" < place_behind(promise_id)
    assert place_behind(promise_id) < record_sort(f"{promise_id}.1")
    assert owner(promise_id) == "root"
