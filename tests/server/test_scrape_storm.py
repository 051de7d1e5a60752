"""A real scrape with listeners that are cut and reconnect, and with listeners that never read."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from quart_odds.sandbox import SandboxOptions, sandbox_process
from tests.broadcast.listeners import read_blocks
from tests.platforms import FIRST_THREE
from tests.server.harness import Peer, connect, stream_head, websocket, websocket_head
from tests.server.serving import Server, at, is_terminal, served

AT_ONCE = 100
"""The maximum number of simultaneous handshakes."""

Told = list[dict[str, object]]


@asynccontextmanager
async def slow_bookmakers(folder: Path, latency_ms: float = 120) -> AsyncIterator[Server]:
    """Serve an app whose scrape takes a few seconds."""
    pace = {"betpawa_concurrency": 4, "sportybet_concurrency": 4, "bet9ja_concurrency": 4}
    async with (
        sandbox_process(SandboxOptions(events=40, latency_ms=latency_ms, move=0, bookmakers=FIRST_THREE)) as sandbox,
        served(folder, at(sandbox.urls) | pace | {"max_connections": 0}) as server,
    ):
        yield server


async def start(server: Server) -> None:
    """Start a run."""
    async with aiohttp.ClientSession() as session, session.post(f"{server.url}/api/scrape") as answer:
        assert answer.status == 202


class Listener:
    """A listener on WebSocket or SSE that resumes with its cursor, and keeps all progress it receives."""

    def __init__(self, *, is_stream: bool) -> None:
        self.published: Told = []
        self._is_stream = is_stream
        self._cursor = ""
        self._is_recovered = True
        self._peer: Peer | None = None

    async def connect(self, server: Server, gate: asyncio.Semaphore) -> None:
        """Connect, or reconnect from the last cursor."""
        topics = "topics=scrape_progress"
        async with gate:
            self._peer = peer = await connect(server.port)
            if self._is_stream:
                more = (f"Last-Event-ID: {self._cursor}",) if self._cursor else ()
                await peer.request(stream_head(server.port, f"/api/sse?{topics}", *more))
            else:
                place = f"since={self._cursor}" if self._cursor else "cursor=1"
                await peer.request(websocket_head(server.port, f"/api/ws?{topics}&{place}"))
            await self._read_some()

    async def read(self, count: int | None = None) -> None:
        """Read until there are this many messages, or to the end of the run."""
        async with asyncio.timeout(60):
            while not (self.published and is_terminal(self.published[-1])) and (
                count is None or len(self.published) < count
            ):
                await self._read_some()

    def cut(self) -> None:
        """Lose the connection and everything in transit."""
        assert self._peer is not None
        self._peer.reset()

    def check(self, all_of_it: Told) -> None:
        """Check that the listener received everything, in order and once, over both connections."""
        assert self._is_recovered
        assert self.published == all_of_it

    async def _read_some(self) -> None:
        assert self._peer is not None
        if self._is_stream:
            for block in read_blocks(await self._peer.chunk()):
                if block.value:
                    self._take(block.value, block.cursor)
        else:
            message = (await self._peer.frame()).json
            self._take(message, message["id"])

    def _take(self, message: dict[str, object], cursor: str) -> None:
        self._cursor = cursor
        data = message["data"]
        assert isinstance(data, dict)
        if message["type"] == "scrape_progress":
            self.published.append(data)
        elif message["type"] == "connection_ack":
            self._is_recovered = self._is_recovered and data["recovered"] is True


async def storm(server: Server, count: int) -> None:
    """Cut every listener in the middle of a scrape, and compare them with a witness that is never cut."""
    gate = asyncio.Semaphore(AT_ONCE)
    witness = Listener(is_stream=False)
    listeners = [Listener(is_stream=bool(number % 2)) for number in range(count)]
    await asyncio.gather(*(each.connect(server, gate) for each in (witness, *listeners)))
    await start(server)
    await asyncio.gather(*(each.read(15) for each in listeners))
    for each in listeners:
        each.cut()
    await asyncio.gather(*(each.connect(server, gate) for each in listeners))
    await asyncio.gather(*(each.read() for each in (witness, *listeners)))
    for each in listeners:
        each.check(witness.published)
        each.cut()
    witness.cut()


async def test_listeners_that_are_cut_during_a_scrape_come_back_to_all_of_it(tmp_path: Path) -> None:
    """No listener misses or repeats anything."""
    async with slow_bookmakers(tmp_path) as server:
        await storm(server, 150)


@pytest.mark.endurance
async def test_a_thousand_that_are_cut_during_a_scrape_come_back_to_all_of_it(tmp_path: Path) -> None:
    """The same holds for a thousand listeners."""
    async with slow_bookmakers(tmp_path, latency_ms=400) as server:
        await storm(server, 1000)


async def test_listeners_that_never_read_do_not_slow_a_scrape(tmp_path: Path) -> None:
    """The scrape takes as long as without them, except for noise."""
    async with slow_bookmakers(tmp_path) as server, AsyncExitStack() as stack:
        alone = await duration(server)
        for _ in range(100):
            stalled = await websocket(server.port, receive_buffer=4096)
            stack.callback(stalled.reset)
        beside = await duration(server)
        assert beside <= 1.25 * alone + 0.5


async def duration(server: Server) -> float:
    """Return how many seconds a run takes."""
    gate = asyncio.Semaphore(1)
    listener = Listener(is_stream=False)
    await listener.connect(server, gate)
    began = time.monotonic()
    await start(server)
    await listener.read()
    listener.cut()
    return time.monotonic() - began
