"""Messages pushed to http and https addresses (protocol section 8.2).

An execute is fired and forgotten: the function answers when its pass is over, and a lost one is dispatched again. An
unblock is told until the listener has answered 2xx: nothing else would tell it again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any, Final

from resonate_faas._ports import Clock

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("resonate_faas_local.push")

CONNECT_S: Final = 10.0
EXECUTE_S: Final = 180.0
UNBLOCK_S: Final = 5.0
"""A listener only takes note; who tells it waits that long."""

IN_FLIGHT_MAX: Final = 256
PAUSE_MS: Final = 2_000
"""A listener that did not answer is left alone that long: the threads that tell it have other work."""


class Pusher:
    """Posts messages. Thread-safe; an event loop in a thread of its own, begun with the first message.

    Args:
        clock: the time.
        token: sent as bearer token with every message; None: none. Only allow-listed addresses get here.
        transport: how requests travel; None: over the network.
    """

    def __init__(
        self, clock: Clock, *, token: str | None = None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._clock = clock
        self._headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self._transport = transport
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._client: httpx.AsyncClient | None = None
        self._in_flight = 0
        self._paused: dict[str, int] = {}

    def execute(self, address: str, body: dict[str, Any]) -> bool:
        """Post an execute message in the background.

        Returns:
            False: 256 are on their way; it was not taken.
        """
        with self._lock:
            if self._in_flight >= IN_FLIGHT_MAX:
                return False
            self._in_flight += 1
        asyncio.run_coroutine_threadsafe(self._execute(address, body), self._running())
        return True

    def unblock(self, address: str, body: dict[str, Any]) -> bool:
        """Post an unblock message and wait for the answer, at most 5 s.

        Returns:
            True if the listener answered 2xx.
        """
        now = self._clock.monotonic_ms()
        with self._lock:
            if self._paused.get(address, now) > now:
                return False
        told = asyncio.run_coroutine_threadsafe(self._post(address, body, UNBLOCK_S), self._running())
        is_told = told.result()
        with self._lock:
            self._paused = {known: until for known, until in self._paused.items() if until > now}
            if not is_told:
                self._paused[address] = now + PAUSE_MS
        return is_told

    def close(self) -> None:
        """Give up what is on its way."""
        with self._lock:
            loop, thread, self._loop = self._loop, self._thread, None
        if loop is not None and thread is not None:
            asyncio.run_coroutine_threadsafe(self._end(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="resonate-push", daemon=True
                )
                self._thread.start()
            return self._loop

    async def _execute(self, address: str, body: dict[str, Any]) -> None:
        try:
            await self._post(address, body, EXECUTE_S)
        finally:
            with self._lock:
                self._in_flight -= 1

    async def _post(self, address: str, body: dict[str, Any], timeout_s: float) -> bool:
        """Post to the address as it is written; redirects are not followed: the allow-list saw only this address."""
        import httpx  # noqa: PLC0415 - most servers never push

        if self._client is None:
            self._client = httpx.AsyncClient(
                transport=self._transport,
                headers=self._headers,
                limits=httpx.Limits(max_connections=IN_FLIGHT_MAX),
                trust_env=False,
            )
        timeout = httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s))
        try:
            answer = await self._client.post(address, json=body, timeout=timeout)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            log.warning("push failed", extra={"address": address, "reason": type(error).__name__})
            return False
        if not answer.is_success:
            log.warning("push refused", extra={"address": address, "status": answer.status_code})
        return answer.is_success

    async def _end(self) -> None:
        mine = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not mine]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
