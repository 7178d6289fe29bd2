"""The connections that foreign workers hold open, and the messages that wait for them (protocol section 8.4).

A message for ``poll://uni@group/id`` goes to that connection; one for ``poll://any@group`` to a connection of the
group, one for ``poll://any@group/id`` to that connection if it is there. Server-sent events know no acknowledgement, so
what was written shortly before a connection broke is written again when the same worker is back: twice is harmless,
never is not.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from resonate_faas._addresses import Address
from resonate_faas._ports import Clock

CONNECTIONS_MAX: Final = 1_000
LETTERS_MAX: Final = 100
"""Waiting for one connection; it is passed over when it is full."""

BACKLOG_MAX: Final = 1_000
"""Kept for a group of which nobody is connected; the oldest gives way, its task is dispatched again."""

GROUPS_MAX: Final = 1_000
GRACE_MS: Final = 60_000
"""How long the letters of a broken connection wait for the same worker."""

REWRITE_MS: Final = 30_000
"""What was written this shortly before a connection broke may not have arrived: two keep-alives."""


@dataclass(slots=True, eq=False)
class Letter:
    """A message on its way to a connection.

    Attributes:
        key: names what it tells, so that a newer one replaces it in a backlog.
        text: the JSON.
        written_ms: when it was handed to the socket, by the monotonic clock; None: not yet.
    """

    key: str
    text: str
    written_ms: int | None = None
    _written: threading.Event = field(default_factory=threading.Event)

    def wait_written(self, timeout_s: float) -> bool:
        """Wait until it was handed to a socket."""
        return self._written.wait(timeout_s)

    def written(self, at_ms: int) -> None:
        """Say that it was."""
        self.written_ms = at_ms
        self._written.set()


class Connection:
    """One held connection. Made by :meth:`Connections.connect`.

    Attributes:
        is_ended: the stream must end: another connection took its place, or the server ends.
    """

    def __init__(self, group: str, name: str, wake: Callable[[], None]) -> None:
        self.group = group
        self.name = name
        self.is_ended = False
        self.wake = wake
        self.waiting: deque[Letter] = deque()
        self.recent: deque[Letter] = deque()


@dataclass(slots=True)
class _Left:
    """What a broken connection leaves to its successor."""

    letters: deque[Letter]
    until_ms: int


class Connections:
    """Who is connected, and what waits for whom. Thread-safe.

    Args:
        clock: the time.
        pick: chooses among the connections of a group that have the fewest letters.
    """

    def __init__(
        self, clock: Clock, *, pick: Callable[[list[Connection]], Connection] = random.choice
    ) -> None:
        self._clock = clock
        self._pick = pick
        self._lock = threading.Lock()
        self._groups: dict[str, dict[str, Connection]] = {}
        self._left: dict[tuple[str, str], _Left] = {}
        self._backlogs: dict[str, dict[str, Letter]] = {}
        self._is_closed = False

    def connect(self, group: str, name: str, wake: Callable[[], None]) -> Connection | None:
        """Register a connection; an older one of the same name is ended, for it may be long dead.

        Args:
            group: in lower case, as addresses are compared.
            name: the worker's id.
            wake: called, from any thread, when :meth:`take` has something to give.

        Returns:
            None: 1,000 are connected, or the server ends.
        """
        with self._lock:
            members = self._groups.setdefault(group, {})
            older = members.get(name)
            is_full = older is None and sum(map(len, self._groups.values())) >= CONNECTIONS_MAX
            if self._is_closed or is_full:
                return None
            if older is not None:
                self._remove(older)
                older.is_ended = True
                older.wake()
            connection = Connection(group, name, wake)
            self._groups.setdefault(group, {})[name] = connection
            left = self._left.pop((group, name), None)
            if left is not None and self._clock.monotonic_ms() < left.until_ms:
                connection.waiting.extend(left.letters)
            connection.waiting.extend(self._backlogs.pop(group, {}).values())
            return connection

    def disconnect(self, connection: Connection) -> None:
        """Forget a connection. Its letters wait for the same worker; a task of theirs is dispatched again meanwhile."""
        with self._lock:
            if self._groups.get(connection.group, {}).get(connection.name) is connection:
                self._remove(connection)

    def take(self, connection: Connection) -> Letter | None:
        """Return the next letter to write; it stays the connection's until :meth:`written`."""
        with self._lock:
            return connection.waiting[0] if connection.waiting and not connection.is_ended else None

    def written(self, connection: Connection, letter: Letter) -> None:
        """Note that a letter was handed to the socket."""
        now = self._clock.monotonic_ms()
        with self._lock:
            if letter in connection.waiting:
                connection.waiting.remove(letter)
            connection.recent.append(letter)
            letter.written(now)
            connection.recent = deque(one for one in connection.recent if _is_recent(one, now))

    def offer(self, address: Address, letter: Letter, *, keep: bool) -> bool:
        """Give a letter to a connection of the address.

        Args:
            address: a poll address.
            letter: what to write.
            keep: hold it for the group's next connection if nobody is there.

        Returns:
            False: nobody took it.
        """
        with self._lock:
            if self._is_closed:
                return False
            connection = self._find(address)
            if connection is None:
                return self._keep(address, letter) if keep else False
            connection.waiting.append(letter)
        connection.wake()
        return True

    def close(self) -> None:
        """End every connection, for good."""
        with self._lock:
            self._is_closed = True
            ended = [one for members in self._groups.values() for one in members.values()]
            self._groups = {}
            for connection in ended:
                connection.is_ended = True
        for connection in ended:
            connection.wake()

    def _find(self, address: Address) -> Connection | None:
        members = self._groups.get(address.host, {})
        named = members.get(address.connection or "")
        if named is not None and len(named.waiting) < LETTERS_MAX:
            return named
        if address.cast == "uni":
            return None
        free = [one for one in members.values() if len(one.waiting) < LETTERS_MAX]
        fewest = min((len(one.waiting) for one in free), default=0)
        return self._pick([one for one in free if len(one.waiting) == fewest]) if free else None

    def _keep(self, address: Address, letter: Letter) -> bool:
        group, name = address.host, address.connection
        if name is not None and (left := self._left.get((group, name))) is not None:
            left.letters.append(letter)
            return len(left.letters) <= LETTERS_MAX
        if address.cast == "uni" or (group not in self._backlogs and len(self._backlogs) >= GROUPS_MAX):
            return False
        backlog = self._backlogs.setdefault(group, {})
        backlog.pop(letter.key, None)
        backlog[letter.key] = letter
        if len(backlog) > BACKLOG_MAX:
            del backlog[next(iter(backlog))]
        return True

    def _remove(self, connection: Connection) -> None:
        """Take a connection out, and keep what it may not have received for its successor."""
        now = self._clock.monotonic_ms()
        members = self._groups[connection.group]
        del members[connection.name]
        if not members:
            del self._groups[connection.group]
        self._left = {name: left for name, left in self._left.items() if left.until_ms > now}
        doubtful = (one for one in connection.recent if _is_recent(one, now))
        letters = deque([*doubtful, *connection.waiting])
        if letters:
            self._left[connection.group, connection.name] = _Left(letters, now + GRACE_MS)
        connection.waiting.clear()


def _is_recent(letter: Letter, now_ms: int) -> bool:
    """True if the letter may not have arrived, should its connection be broken."""
    return letter.written_ms is not None and letter.written_ms >= now_ms - REWRITE_MS
