"""The partition and the place that an id tells: order is call order, every id has one owner."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resonate_faas._machine.ids import (
    ID_BYTES_MAX,
    ROOT_ID_BYTES_MAX,
    id_error,
    is_remote_segment,
    owner,
    sort_key,
)

ROOT = "order-17"
numbers = st.integers(1, 10_000) | st.integers(1, 12) | st.integers(1, 10**26 - 1)
paths = st.lists(numbers, min_size=1, max_size=6).map(tuple)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
segments = texts | st.integers(0, 200).map(str) | st.integers(0, 200).map("{}r".format)
foreign_ids = st.builds(
    lambda root, parts: root + (":" + ".".join(parts) if parts else ""), texts, st.lists(segments, max_size=4)
)


def local_id(path: tuple[int, ...]) -> str:
    return f"{ROOT}:{'.'.join(map(str, path))}"


@given(st.lists(paths, unique=True))
def test_byte_order_of_the_sort_key_is_call_order(calls: list[tuple[int, ...]]) -> None:
    by_key = sorted(calls, key=lambda path: sort_key(local_id(path)).encode())
    assert by_key == sorted(calls)


@given(paths, st.lists(st.tuples(numbers, st.booleans()), unique_by=lambda child: child[0], min_size=1))
def test_remote_children_stand_at_their_call_among_local_ones(
    frame: tuple[int, ...], children: list[tuple[int, bool]]
) -> None:
    ids = {number: local_id((*frame, number)) + ("r" if remote else "") for number, remote in children}
    by_key = sorted(ids, key=lambda number: sort_key(ids[number]).encode())
    assert by_key == sorted(ids)


@given(paths, paths)
def test_what_a_call_recorded_stands_between_it_and_the_next_call(
    call: tuple[int, ...], below: tuple[int, ...]
) -> None:
    following = (*call[:-1], call[-1] + 1)
    child = sort_key(local_id((*call, *below)))
    assert sort_key(local_id(call)) < child < sort_key(local_id(following))


@given(st.lists(foreign_ids, unique=True))
def test_no_two_ids_share_a_place(ids: list[str]) -> None:
    places = {(owner(each), sort_key(each)) for each in ids}
    assert len(places) == len(ids)


@given(foreign_ids)
def test_an_owner_is_the_id_itself_or_a_proper_prefix_that_runs_as_a_task(promise_id: str) -> None:
    holder = owner(promise_id)
    root, colon, path = holder.partition(":")
    if ":" not in promise_id:
        assert holder == promise_id
        assert not sort_key(promise_id)
        return
    assert len(holder) < len(promise_id)
    assert promise_id.startswith(holder)
    assert promise_id[len(holder)] == ("." if colon else ":")
    assert root == promise_id.partition(":")[0]
    assert not colon or is_remote_segment(path.rpartition(".")[2])
    assert sort_key(promise_id)


@given(foreign_ids, st.integers(1, 500))
def test_a_call_belongs_to_the_nearest_task_above_it(caller: str, number: int) -> None:
    if ":" not in caller:
        assert owner(f"{caller}:{number}") == caller
        return
    last = caller.partition(":")[2].rpartition(".")[2]
    expected = caller if is_remote_segment(last) else owner(caller)
    assert owner(f"{caller}.{number}") == expected


@pytest.mark.parametrize(
    ("promise_id", "expected_owner", "expected_key"),
    [
        ("root", "root", ""),
        ("root:1", "root", "a1"),
        ("root:10", "root", "b10"),
        ("root:2r", "root", "a2r"),
        ("root:2r.1", "root:2r", "a1"),
        ("root:1.3", "root", "a1.a3"),
        ("root:1.3r.2.11", "root:1.3r", "a2.b11"),
        ("root:2r.2r.2r", "root:2r.2r", "a2r"),
        ("root.1.2r.3", "root.1.2r.3", ""),
        ("root:r", "root", "~r"),
        ("root:r.1", "root", "~r.a1"),
        ("root:xr.1", "root", "~xr.a1"),
        ("root:a:2r.1", "root", "~a:2r.a1"),
        ("root:", "root", "~"),
        (f"root:{'9' * 26}", "root", f"z{'9' * 26}"),
        (f"root:{'9' * 27}", "root", f"~{'9' * 27}"),
    ],
)
def test_places_written_down_by_hand(promise_id: str, expected_owner: str, expected_key: str) -> None:
    assert (owner(promise_id), sort_key(promise_id)) == (expected_owner, expected_key)


@pytest.mark.parametrize(
    ("promise_id", "complaint"),
    [
        ("a", None),
        ("x" * ROOT_ID_BYTES_MAX, None),
        ("é" * (ROOT_ID_BYTES_MAX // 2), None),
        ("r:" + "x" * (ID_BYTES_MAX - 2), None),
        ("", "empty"),
        ("a\x00", "control"),
        ("a\n", "control"),
        ("\x7f", "control"),
        ("\x1fschedule:a", "control"),
        ("\ud800", "Unicode"),
        ("x" * (ROOT_ID_BYTES_MAX + 1), "256"),
        ("é" * (ROOT_ID_BYTES_MAX // 2) + "x", "256"),
        ("r:" + "x" * (ID_BYTES_MAX - 1), "900"),
    ],
)
def test_what_can_be_an_id(promise_id: str, complaint: str | None) -> None:
    found = id_error(promise_id)
    assert (found is None) is (complaint is None)
    assert complaint is None or complaint in str(found)
