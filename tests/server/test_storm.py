"""A reconnect storm: many clients, cut at once, return with their cursors while publishing continues."""

import asyncio
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broadcast.listeners import read_blocks
from tests.server.harness import Peer, Served, connect, served, stream_head, websocket_head

MESSAGES = 600
MOST_SECONDS = 60
INTERVAL_MS = 5
AT_ONCE = 100
"""The maximum number of simultaneous handshakes. How many a backlog takes is not tested here."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    """The application under the launcher, with a limit that allows many sockets in the test process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16_384), hard))
    with served(tmp_path, max_connections=0) as server:
        yield server
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Client:
    """A client on WebSocket or SSE that remembers its cursor."""

    def __init__(self, *, is_stream: bool) -> None:
        self.is_stream = is_stream
        self.cursor = ""
        self.had: list[int] = []
        self.is_recovered = True
        self._peer: Peer | None = None

    async def connect(self, server: Served, gate: asyncio.Semaphore) -> None:
        """Connect, or reconnect from the last cursor."""
        async with gate:
            self._peer = peer = await connect(server.port)
            if self.is_stream:
                more = (f"Last-Event-ID: {self.cursor}",) if self.cursor else ()
                await peer.request(stream_head(server.port, "/api/sse", *more))
            else:
                query = f"since={self.cursor}" if self.cursor else "cursor=1"
                await peer.request(websocket_head(server.port, f"/api/ws?{query}"))
            assert peer.status == (200 if self.is_stream else 101)
            await self._read_some()

    async def read(self, last: int, seconds: float) -> None:
        """Read up to this message."""
        async with asyncio.timeout(seconds):
            while not self.had or self.had[-1] < last:
                await self._read_some()

    def cut(self) -> None:
        """Lose the connection and everything in transit."""
        assert self._peer is not None
        self._peer.reset()

    async def _read_some(self) -> None:
        assert self._peer is not None
        if not self.is_stream:
            message = (await self._peer.frame()).json
            self._take(message, message["id"])
            return
        for block in read_blocks(await self._peer.chunk()):
            self._take(block.value, block.cursor)

    def _take(self, message: dict[str, object], cursor: str) -> None:
        self.cursor = cursor
        if message["type"] == "connection_ack":
            data = message["data"]
            assert isinstance(data, dict)
            self.is_recovered = self.is_recovered and data["recovered"] is True
        elif message["type"] == "scrape_progress":
            number = message["n"]
            assert isinstance(number, int)
            self.had.append(number)


async def _storm(
    server: Served, count: int, messages: int = MESSAGES, interval_ms: int = INTERVAL_MS, seconds: float = MOST_SECONDS
) -> None:
    gate = asyncio.Semaphore(AT_ONCE)
    clients = [Client(is_stream=bool(number % 2)) for number in range(count)]
    await asyncio.gather(*(client.connect(server, gate) for client in clients))
    await server.until(listening=count)
    await asyncio.to_thread(server.post, f"/probe/publish?messages={messages}&interval_ms={interval_ms}")
    await asyncio.gather(*(client.read(messages // 6, seconds) for client in clients))
    for client in clients:
        client.cut()
    await asyncio.gather(*(client.connect(server, gate) for client in clients))
    await asyncio.gather(*(client.read(messages - 1, seconds) for client in clients))
    for client in clients:
        assert client.is_recovered
        assert client.had == list(range(messages)), "everything, in order, once"
        client.cut()
    await server.until(listening=0, places=0)


async def test_nobody_misses_or_repeats_anything(server: Served) -> None:
    """Every client gets every message, in order and once, over both of its connections."""
    await _storm(server, 200)


@pytest.mark.endurance
async def test_a_thousand_come_back_at_once(server: Served) -> None:
    """The same holds for a thousand clients."""
    await _storm(server, 1000)


@pytest.mark.endurance
async def test_ten_thousand_come_back_at_once(server: Served) -> None:
    """The same holds for ten thousand clients, of which each costs the server a file and the test another."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft >= 11_000, "raise the hard limit of open files (ulimit -Hn)"
    await _storm(server, 10_000, messages=90, interval_ms=500, seconds=400)
