"""Clients of the live messages behind a proxy that reconnect as docs/protocol.md says, with their last cursor."""

import asyncio
import random
import re
from collections import Counter

import aiohttp
import orjson
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.deploy.proxies import Proxy
from tests.server.serving import Json
from tests.tokens import HEADERS

OPEN_SECONDS = 30.0
LOST_SECONDS = 0.5
"""The longest wait of a client that lost its connection without being told when to come back."""


class Listener:
    """One client. `cursors` are those of the messages that it has received, in the order in which they came.

    `ends` counts how its connections ended, `refusals` are answers that turned it away, and `faults` are notices that
    something is missing.
    """

    def __init__(self, proxy: Proxy, topics: str, path: str) -> None:
        self.cursors: list[str] = []
        self.connections = 0
        self.ends: Counter[str] = Counter()
        self.refusals: list[str] = []
        self.faults: list[Json] = []
        self._proxy = proxy
        self._path = path
        self._topics = topics
        self._cursor = ""

    async def listen(self) -> None:
        """Listen until cancelled."""
        while True:
            wait_seconds = await self._connection()
            await asyncio.sleep(random.uniform(0, LOST_SECONDS) if wait_seconds is None else wait_seconds)

    async def _connection(self) -> float | None:
        """Listen on one connection to its end, and return how many seconds to wait, if the server said so."""
        raise NotImplementedError

    def _take(self, message: Json, cursor: str) -> None:
        data = message["data"]
        if message["type"] == "connection_ack":
            self.connections += 1
            if self._cursor and not data["recovered"]:
                self.faults.append(message)
        elif message["type"] == "error":
            self.faults.append(message)
        else:
            self.cursors.append(cursor)
        self._cursor = cursor or self._cursor


class WebSocketListener(Listener):
    """A client with a WebSocket."""

    async def _connection(self) -> float | None:
        since = f"&since={self._cursor}" if self._cursor else ""
        opening = connect(
            f"wss://{self._proxy.host}:{self._proxy.port}{self._path}/api/ws?topics={self._topics}&cursor=1{since}",
            ssl=self._proxy.certificate.context,
            host="127.0.0.1",
            port=self._proxy.port,
            compression=None,
            additional_headers=HEADERS,
            open_timeout=OPEN_SECONDS,
        )
        try:
            async with opening as connection:
                async for text in connection:
                    message = orjson.loads(text)
                    self._take(message, message["id"])
        except InvalidStatus as error:
            self.refusals.append(f"{error.response.status_code} {bytes(error.response.body or b'')[:200]!r}")
            return None
        except ConnectionClosed:
            pass
        except OSError as error:
            self.ends[repr(error)] += 1
            return None
        self.ends[str(connection.close_code)] += 1
        told = re.fullmatch(r"retry_ms=(\d+)", connection.close_reason or "")
        return int(told[1]) / 1000 if told else None


class EventSourceListener(Listener):
    """A client with an event stream, which keeps to the standard for `EventSource`: any other status is the end."""

    def __init__(self, proxy: Proxy, topics: str, path: str, session: aiohttp.ClientSession) -> None:
        super().__init__(proxy, topics, path)
        self._session = session
        self._retry_ms: int | None = None

    async def _connection(self) -> float | None:
        headers = {"Host": f"{self._proxy.host}:{self._proxy.port}", "Accept": "text/event-stream", **HEADERS}
        if self._cursor:
            headers["Last-Event-ID"] = self._cursor
        try:
            async with self._session.get(
                f"https://127.0.0.1:{self._proxy.port}{self._path}/api/sse?topics={self._topics}",
                headers=headers,
                ssl=self._proxy.certificate.context,
                server_hostname=self._proxy.host,
            ) as answer:
                if answer.status != 200:
                    self.refusals.append(f"{answer.status} {(await answer.read())[:200]!r}")
                else:
                    await self._read(answer.content)
                    self.ends["end of stream"] += 1
        except (aiohttp.ClientError, OSError) as error:
            self.ends[repr(error)] += 1
        return None if self._retry_ms is None else self._retry_ms / 1000

    async def _read(self, stream: aiohttp.StreamReader) -> None:
        cursor = data = ""
        async for line in stream:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "retry":
                self._retry_ms = int(value)
            elif name == "id":
                cursor = value
            elif name == "data":
                data += value
            elif not name and data:
                self._take(orjson.loads(data), cursor)
                data = ""
