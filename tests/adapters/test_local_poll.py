"""Who gets what among the connections of foreign workers: casts, eviction, back-log, what a broken one leaves behind."""

from __future__ import annotations

from typing import Any

import pytest

from resonate_faas._addresses import Address, parse_address
from resonate_faas.testing import FakeClock
from resonate_faas_local._poll import (
    BACKLOG_MAX,
    CONNECTIONS_MAX,
    GRACE_MS,
    LETTERS_MAX,
    REWRITE_MS,
    Connection,
    Connections,
    Letter,
)


def address(text: str) -> Address:
    found = parse_address(text)
    assert found is not None
    return found


def letter(text: str) -> Letter:
    return Letter(text, text)


class Office:
    """Connections in virtual time, and what their wake-ups were."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.connections = Connections(self.clock, pick=lambda members: members[0])
        self.woken: list[str] = []

    def connect(self, group: str, name: str) -> Connection:
        connection = self.connections.connect(group, name, lambda: self.woken.append(name))
        assert connection is not None
        return connection

    def offer(self, to: str, text: str, *, keep: bool = False) -> bool:
        return self.connections.offer(address(to), letter(text), keep=keep)

    def write(self, connection: Connection) -> list[str]:
        """Write all that waits, as a stream does."""
        texts = []
        while (one := self.connections.take(connection)) is not None:
            texts.append(one.text)
            self.connections.written(connection, one)
        return texts


@pytest.fixture
def office() -> Office:
    return Office()


def test_uni_reaches_that_connection_and_no_other(office: Office) -> None:
    first, second = office.connect("g", "1"), office.connect("g", "2")
    assert office.offer("poll://uni@g/2", "hello")
    assert office.woken == ["2"]
    assert (office.write(first), office.write(second)) == ([], ["hello"])
    assert not office.offer("poll://uni@g/3", "hello")


def test_any_reaches_one_of_the_group_the_one_with_least_to_do_first(office: Office) -> None:
    first, second = office.connect("g", "1"), office.connect("g", "2")
    office.connect("other", "3")
    assert all(office.offer("poll://any@g", text) for text in "abc")
    assert (office.write(first), office.write(second)) == (["a", "c"], ["b"])


def test_any_with_an_id_prefers_that_connection_and_falls_back(office: Office) -> None:
    office.connect("g", "1")
    second = office.connect("g", "2")
    assert office.offer("poll://any@g/2", "mine")
    assert office.write(second) == ["mine"]
    office.connections.disconnect(second)
    office.clock.advance(REWRITE_MS + 1)
    assert office.offer("poll://any@g/2", "anyone's")


def test_groups_are_compared_in_lower_case(office: Office) -> None:
    connection = office.connect("workers", "1")
    assert office.offer("poll://any@Workers", "hello")
    assert office.write(connection) == ["hello"]


def test_a_full_connection_is_passed_over(office: Office) -> None:
    office.connect("g", "1")
    assert all(office.offer("poll://uni@g/1", str(n)) for n in range(LETTERS_MAX))
    assert not office.offer("poll://uni@g/1", "one more")
    second = office.connect("g", "2")
    assert office.offer("poll://any@g/1", "one more")
    assert office.write(second) == ["one more"]


def test_a_new_connection_of_the_same_name_ends_the_old_one_and_takes_its_letters(office: Office) -> None:
    old = office.connect("g", "1")
    office.offer("poll://uni@g/1", "unwritten")
    new = office.connect("g", "1")
    assert old.is_ended
    assert office.connections.take(old) is None
    assert office.write(new) == ["unwritten"]
    office.connections.disconnect(old)
    assert office.offer("poll://uni@g/1", "still connected")


def test_what_was_just_written_to_a_broken_connection_is_written_again(office: Office) -> None:
    connection = office.connect("g", "1")
    office.offer("poll://uni@g/1", "long ago")
    office.write(connection)
    office.clock.advance(REWRITE_MS + 1)
    office.offer("poll://uni@g/1", "just now")
    office.write(connection)
    office.connections.disconnect(connection)
    office.clock.advance(GRACE_MS - 1)
    assert office.write(office.connect("g", "1")) == ["just now"]


def test_a_broken_connection_is_waited_for_only_so_long(office: Office) -> None:
    connection = office.connect("g", "1")
    office.offer("poll://uni@g/1", "hello")
    office.connections.disconnect(connection)
    office.clock.advance(GRACE_MS)
    assert office.write(office.connect("g", "1")) == []


def test_an_execute_for_an_empty_group_waits_for_its_first_connection(office: Office) -> None:
    assert office.offer("poll://any@g", "execute", keep=True)
    assert office.offer("poll://any@g", "execute", keep=True)
    assert not office.offer("poll://any@g", "unblock", keep=False)
    assert office.write(office.connect("g", "1")) == ["execute"]
    assert office.write(office.connect("g", "2")) == []


def test_the_back_log_of_an_empty_group_is_bounded(office: Office) -> None:
    for number in range(BACKLOG_MAX + 1):
        assert office.offer("poll://any@g", str(number), keep=True)
    waiting = office.write(office.connect("g", "1"))
    assert len(waiting) == BACKLOG_MAX
    assert waiting[0] == "1"


def test_connections_are_bounded(office: Office) -> None:
    for number in range(CONNECTIONS_MAX):
        office.connect("g", str(number))
    assert office.connections.connect("g", "one more", lambda: None) is None
    assert office.connections.connect("g", "7", lambda: None) is not None


def test_closing_ends_every_stream_and_takes_nothing_more(office: Office) -> None:
    connection = office.connect("g", "1")
    office.connections.close()
    assert connection.is_ended
    assert office.woken == ["1"]
    assert not office.offer("poll://any@g", "late", keep=True)
    assert office.connections.connect("g", "2", lambda: None) is None


def test_a_letter_tells_when_it_is_written(office: Office) -> None:
    connection, one = office.connect("g", "1"), letter("hello")
    office.connections.offer(address("poll://uni@g/1"), one, keep=False)
    assert not one.wait_written(0)
    office.write(connection)
    assert one.wait_written(0)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/poll/Workers/7f3a", ("workers", "7f3a")),
        ("/poll/a%2Db/x%40y", ("a-b", "x@y")),
        ("/poll/g", None),
        ("/poll/g/1/2", None),
        ("/poll/g/%0a", None),
        ("/polls/g/1", None),
    ],
)
def test_the_path_names_group_and_id(path: str, found: Any) -> None:
    from resonate_faas_local import _sse  # noqa: PLC0415 - needs the web framework, which the hub does not

    assert _sse.place(path) == found
