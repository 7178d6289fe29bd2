"""The server that resonate-sdk brings for its own local mode, behind the HTTP and SSE surface of the real one.

Not a line of the state machine is ours. Prints its URL, then serves until it is killed. It does not search; with
``--no-preload`` it tells nothing of what is recorded either, as the protocol allows.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp import web
from resonate.connections.local import LocalConnection, OutgoingMessage
from resonate.error import ServerError


class Server(LocalConnection):
    """The local server, which hands its messages to whom they are addressed."""

    def __init__(self) -> None:
        super().__init__(tick_interval=0.1)
        self.streams: dict[tuple[str, str], asyncio.Queue[str]] = {}
        self.client: aiohttp.ClientSession | None = None
        self.pushes: set[asyncio.Task[None]] = set()
        if "--no-preload" in sys.argv:
            self.state.preload = lambda _: []

    def _dispatch_messages(self, messages: list[OutgoingMessage]) -> None:
        for message in messages:
            text = msgspec.json.encode({"head": {}, **message.message}).decode()
            address = urlsplit(message.address)
            if address.scheme in ("http", "https"):
                push = asyncio.create_task(self.push(message.address, text))
                self.pushes.add(push)
                push.add_done_callback(self.pushes.discard)
                continue
            group, name = address.hostname or "", address.path.removeprefix("/")
            members = [key for key in self.streams if key[0] == group and name in ("", key[1])]
            if members:
                self.streams[members[-1]].put_nowait(text)

    async def push(self, url: str, text: str) -> None:
        assert self.client is not None
        try:
            async with self.client.post(
                url, data=text, headers={"content-type": "application/json"}
            ) as answer:
                await answer.read()
        except aiohttp.ClientError as error:
            print(f"push failed: {error}", file=sys.stderr, flush=True)

    async def ask(self, request: web.Request) -> web.Response:
        body: Any = await request.json()
        try:
            text = await self.send(json.dumps(body))
        except ServerError as error:
            head = {
                "corrId": body["head"]["corrId"],
                "status": error.code,
                "version": body["head"]["version"],
            }
            text = json.dumps({"kind": body["kind"], "head": head, "data": str(error)})
        status = json.loads(text)["head"]["status"]
        return web.Response(status=status, text=text, content_type="application/json")

    async def poll(self, request: web.Request) -> web.StreamResponse:
        key = (request.match_info["group"].lower(), request.match_info["name"])
        letters = self.streams.setdefault(key, asyncio.Queue())
        stream = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await stream.prepare(request)
        await stream.write(b": connected\n\n")
        try:
            while True:
                await stream.write(f"data: {await letters.get()}\n\n".encode())
        finally:
            self.streams.pop(key, None)


async def main() -> None:
    server = Server()
    server.client = aiohttp.ClientSession()
    app = web.Application()
    app.add_routes([web.post("/", server.ask), web.get("/poll/{group}/{name}", server.poll)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    await server.start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
