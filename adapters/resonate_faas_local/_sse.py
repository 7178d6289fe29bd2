"""``GET /poll/{group}/{id}``: a foreign worker's connection, as server-sent events (protocol section 8.4)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Final

from starlette.responses import Response, StreamingResponse

from resonate_faas._http.messages import decode_segment
from resonate_faas_local._poll import Connection, Connections

KEEP_ALIVE_S: Final = 15.0
PATH: Final = re.compile(r"/poll/(?P<group>[^/]+)/(?P<name>[^/]+)")
_PART: Final = re.compile(r"[A-Za-z0-9._~:@-]{1,255}")


def place(path: str) -> tuple[str, str] | None:
    """Return group and id of a poll path, the group in lower case as in addresses; None: it is none."""
    found = PATH.fullmatch(path)
    if found is None:
        return None
    group, name = decode_segment(found["group"]), decode_segment(found["name"])
    if group is None or name is None or not (_PART.fullmatch(group) and _PART.fullmatch(name)):
        return None
    return group.lower(), name


def answer(connections: Connections, group: str, name: str) -> Response:
    """Return the stream of a connection; 503: there is no room for it. Call it in the event loop."""
    loop, woken = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(woken.set)

    connection = connections.connect(group, name, wake)
    if connection is None:
        return Response("no more connections are taken", status_code=503, headers={"retry-after": "5"})
    woken.set()
    return StreamingResponse(
        _events(connections, connection, woken),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _events(
    connections: Connections, connection: Connection, woken: asyncio.Event
) -> AsyncIterator[str]:
    """Yield what comes for a connection. What follows a yield happens when the text was handed to the socket."""
    try:
        yield ": connected\n\n"
        while not connection.is_ended:
            woken.clear()
            while (letter := connections.take(connection)) is not None:
                yield f"data: {letter.text}\n\n"
                connections.written(connection, letter)
            try:
                async with asyncio.timeout(KEEP_ALIVE_S):
                    await woken.wait()
            except TimeoutError:
                yield ": keep-alive\n\n"
    finally:
        connections.disconnect(connection)
