"""The dev server's queue: own messages stay in this process, those of foreign workers are held or pushed."""

from __future__ import annotations

from typing import Any, Final

from pydantic_core import to_json

from resonate_faas._addresses import Address, parse_address
from resonate_faas._errors import QueueError
from resonate_faas._http import encode_queued
from resonate_faas._machine.objects import Execute, Message, Poke, Unblock
from resonate_faas._ports import Queue
from resonate_faas_local._poll import Connections, Letter
from resonate_faas_local._push import Pusher

WRITTEN_S: Final = 5.0
"""How long a connection's socket may take to accept an unblock."""

PUSHED: Final = frozenset({"http", "https"})


class OutwardQueue:
    """The Queue port over an in-process queue, held connections and HTTP.

    An execute counts as sent when somebody took it; the task is dispatched again until it is claimed. An unblock
    counts as sent when a socket has it, or the listener has answered: its listener is forgotten then.

    Args:
        queue: for pokes and ``local://``.
        connections: for ``poll://``.
        pusher: for ``http://`` and ``https://``.
        server_url: told in each message's head.
    """

    def __init__(self, queue: Queue, connections: Connections, pusher: Pusher, *, server_url: str) -> None:
        self._queue = queue
        self._connections = connections
        self._pusher = pusher
        self._server_url = server_url

    @property
    def delay_max_ms(self) -> int:
        """How far ahead a poke can be sent."""
        return self._queue.delay_max_ms

    def send(self, *messages: Message) -> list[QueueError]:
        """See :class:`resonate_faas.Queue`."""
        errors: list[QueueError] = []
        for message in messages:
            address = _outward(message)
            if address is None or isinstance(message, Poke):
                errors += self._queue.send(message)
            elif (cause := self._hand_out(message, address)) is not None:
                name = message.id if isinstance(message, Execute) else message.promise.id
                errors.append(QueueError(name, cause))
        return errors

    def _hand_out(self, message: Execute | Unblock, address: Address) -> str | None:
        """Give a message to whoever the address names; return why it was not taken."""
        body: dict[str, Any] = {**encode_queued(message), "head": {"serverUrl": self._server_url}}
        if address.scheme in PUSHED:
            push = self._pusher.execute if isinstance(message, Execute) else self._pusher.unblock
            return None if push(address.text, body) else f"{address.text[:200]} did not take it"
        is_execute = isinstance(message, Execute)
        key = f"execute {message.id}" if isinstance(message, Execute) else f"unblock {message.promise.id}"
        letter = Letter(key, to_json(body).decode())
        if not self._connections.offer(address, letter, keep=is_execute):
            return f"nobody is connected as {address.text[:200]}"
        if is_execute or letter.wait_written(WRITTEN_S):
            return None
        return f"the connection of {address.text[:200]} did not take it in time"


def _outward(message: Message) -> Address | None:
    """Return the address if others must be told; None: the message is this process's own business."""
    match message:
        case Execute(target=text) | Unblock(address=text):
            address = parse_address(text)
            return (
                address
                if address is not None and (address.scheme in PUSHED or address.scheme == "poll")
                else None
            )
        case Poke():
            return None
