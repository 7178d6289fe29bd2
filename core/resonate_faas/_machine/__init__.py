"""The abstract machine: pure functions from (objects read, request, now) to (reply, objects to write, messages).

No I/O, no clock, no randomness. The statuses and guard orders are the protocol's (sections 3 and 4), the open
points are decided by :class:`Rules`.
"""

from __future__ import annotations

from resonate_faas._machine.dispatch import handler_of, keys_of
from resonate_faas._machine.turn import Handler, Turn, decide

__all__ = ["Handler", "Turn", "decide", "handler_of", "keys_of"]
