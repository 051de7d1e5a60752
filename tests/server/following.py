"""Clients of the topic `odds` that keep a copy through everything: with `websockets`, and with `curl -N`."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from tests.traffic import traffic
from tests.websocket.copies import OddsCopy

RETRY_SECONDS = 0.2


class Follower:
    """Keeps a copy of what a filter selects, on a server at one port that may come and go.

    `connections` counts those that began, `images` the last pages of images, `changes` the changes of prices.
    """

    def __init__(self, port: int, query: str) -> None:
        self.copy = OddsCopy()
        self.cursor = ""
        self.connections = self.images = self.changes = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self._port = port
        self._query = query

    async def follow(self) -> None:
        """Follow until cancelled."""
        raise NotImplementedError

    async def cut(self) -> None:
        """Cut the connection, as a network does."""
        raise NotImplementedError

    async def take(self, message: dict[str, Any], cursor: str) -> None:
        """Apply a message. While the gate is closed, nothing more is read."""
        await self.gate.wait()
        traffic().message(message, "a stream")
        self.copy.apply(message)
        self.cursor = cursor or self.cursor
        self.connections += message["type"] == "connection_ack"
        self.images += message["type"] == "odds_image" and message["data"]["final"]
        self.changes += message["type"] == "odds_change"


class WebSocketFollower(Follower):
    """A client that uses `websockets`."""

    _connection: ClientConnection | None = None

    async def follow(self) -> None:
        """See Follower."""
        while True:
            since = f"&since={self.cursor}" if self.cursor else ""
            url = f"ws://127.0.0.1:{self._port}/api/ws?{self._query}&cursor=1{since}"
            try:
                async with connect(url, compression=None, max_queue=1) as self._connection:
                    async for text in self._connection:
                        message = orjson.loads(text)
                        await self.take(message, message.pop("id"))
            except (OSError, WebSocketException):
                await asyncio.sleep(RETRY_SECONDS)

    async def cut(self) -> None:
        """See Follower."""
        assert self._connection is not None
        self._connection.transport.abort()


class CurlFollower(Follower):
    """A client that reads what `curl -N` prints, and starts it again with the last cursor."""

    _process: asyncio.subprocess.Process | None = None

    async def follow(self) -> None:
        """See Follower."""
        while True:
            async with self._curl() as lines:
                cursor = ""
                async for line in lines:
                    name, _, value = line.decode().rstrip("\n").partition(": ")
                    if name == "id":
                        cursor = value
                    elif name == "data":
                        await self.take(orjson.loads(value), cursor)
            await asyncio.sleep(RETRY_SECONDS)

    async def cut(self) -> None:
        """See Follower."""
        assert self._process is not None
        self._process.kill()

    @contextlib.asynccontextmanager
    async def _curl(self) -> AsyncIterator[asyncio.StreamReader]:
        program = shutil.which("curl")
        assert program is not None
        url = f"http://127.0.0.1:{self._port}/api/sse?{self._query}"
        resume = ("-H", f"Last-Event-ID: {self.cursor}") if self.cursor else ()
        self._process = process = await asyncio.create_subprocess_exec(
            program, "-sN", url, *resume, stdout=asyncio.subprocess.PIPE, limit=1 << 24
        )
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
