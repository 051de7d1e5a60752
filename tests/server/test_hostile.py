"""Hostile peers on real sockets, with limits on the server's memory and on the effect on a well-behaved client.

In each test a client that reads everything measures the age of its messages.
"""

import asyncio
import contextlib
import os
import random
import resource
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from tests.server.harness import (
    BINARY,
    CLOSE,
    Peer,
    Served,
    Watcher,
    connect,
    event_stream,
    frame_bytes,
    served,
    watching,
    websocket,
    websocket_head,
)

pytestmark = pytest.mark.alone

WRITE_TIMEOUT_SECONDS = 1.0
P99_MS = 10_000.0
"""A blocked loop exceeds this, whatever else the machine does. The benchmarks measure what clients notice."""
SPARE_KB = 4096
"""How much the server's memory may vary by itself."""
STALLED_KB = 64
"""How much memory a client that takes nothing may hold, in addition to the log."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The application under the launcher, with a short write timeout."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    with served(tmp_path_factory.mktemp("server"), write_timeout_seconds=WRITE_TIMEOUT_SECONDS) as server:
        # What the first messages cost permanently is not growth.
        server.post("/probe/publish?messages=100&size=4000")
        yield server
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@asynccontextmanager
async def _bounded(
    server: Served, growth_kb: int, messages: int = 200, size: int = 300
) -> AsyncIterator[Callable[[], None]]:
    """Publish all the time, and check the server's limits. In the end, nothing of the peers remains."""
    before = server.memory_kb
    reported_kb = 2 * messages * size // 1024
    async with watching(server.port) as watcher:
        await watcher_is_there(server)
        await asyncio.to_thread(server.post, f"/probe/publish?messages={messages}&size={size}&interval_ms=5")
        yield lambda: _check_memory(server, before, growth_kb + reported_kb)
        await watcher.had(messages)
        _check_memory(server, before, growth_kb + reported_kb)
        assert watcher.p99_ms <= P99_MS
        await server.until(listening=1, places=1)
    # The remaining connection is the one that requests this state.
    await server.until(listening=0, places=0, connections=1)


async def watcher_is_there(server: Served) -> None:
    """Wait until the well-behaved client listens."""
    await server.until(listening=1)


def _check_memory(server: Served, before: int, growth_kb: int) -> None:
    grown = server.memory_kb - before
    assert grown <= growth_kb + SPARE_KB, f"{grown} kB more, {growth_kb} allowed for"


async def _close_all(peers: list[Peer]) -> None:
    for peer in peers:
        await peer.close()


async def test_peers_that_never_read(server: Served) -> None:
    """They hold little memory each, are cut for taking nothing, on WebSocket and SSE, and nobody else notices."""
    cut = server.state()["cut"]
    async with _bounded(server, growth_kb=20 * STALLED_KB, messages=400, size=2000):
        peers = [await each(server.port, receive_buffer=4096) for each in (websocket, event_stream) for _ in range(10)]
        for peer in peers:
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await server.until(cut=cut + 20)
        await _close_all(peers)


async def test_peers_that_read_a_byte_a_second(server: Served) -> None:
    """A peer that takes single bytes holds no more memory than one that takes nothing."""
    async with _bounded(server, growth_kb=10 * STALLED_KB, messages=300, size=2000):
        peers = [await websocket(server.port, receive_buffer=4096) for _ in range(10)]
        trickling = [asyncio.create_task(_trickle(peer)) for peer in peers]
        await server.until(listening=1)
        for task in trickling:
            task.cancel()
        await asyncio.wait(trickling)
        await _close_all(peers)


async def _trickle(peer: Peer) -> None:
    peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
    sock = peer.writer.get_extra_info("socket")
    while True:
        await asyncio.sleep(1)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            os.read(sock.fileno(), 1)


async def test_peers_that_half_close(server: Served) -> None:
    """A peer that will send nothing more counts as gone, and leaves nothing behind."""
    async with _bounded(server, growth_kb=0):
        peers = [await each(server.port) for each in (websocket, event_stream) for _ in range(10)]
        await server.until(listening=21)
        for peer in peers:
            peer.writer.write_eof()
        await server.until(listening=1, places=1)
        await _close_all(peers)


async def test_peers_that_vanish(server: Served) -> None:
    """Peers send a reset instead of closing, while messages are in transit."""
    async with _bounded(server, growth_kb=0):
        for _ in range(3):
            peers = [await each(server.port) for each in (websocket, event_stream) for _ in range(10)]
            await server.until(listening=21)
            for peer in peers:
                peer.reset()
            await server.until(listening=1, places=1)


@pytest.mark.parametrize("reads", [True, False])
async def test_peer_that_floods_us_with_messages(server: Served, reads: bool) -> None:
    """It is rate-limited, then closed with 1008. If it does not read, its answers pile up to a limit, and it is cut."""
    async with _bounded(server, growth_kb=2 * STALLED_KB):
        peer = await websocket(server.port, receive_buffer=None if reads else 4096)
        closing = asyncio.create_task(peer.until_close()) if reads else None
        if not reads:
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        flood = frame_bytes(b'{"type":"ping"}') * 2000
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(2):
                while True:
                    peer.writer.write(flood)
                    await peer.writer.drain()
        if closing is not None:
            assert (await closing).code == 1008
        await server.until(listening=1, places=1)
        await peer.close()


@pytest.mark.parametrize("is_in_parts", [False, True])
async def test_one_message_of_fifty_megabytes(server: Served, is_in_parts: bool) -> None:
    """It is refused with 1009 as soon as it is too big. What follows is discarded, and the peer is cut."""
    async with _bounded(server, growth_kb=1024) as check:
        peer = await websocket(server.port)
        reading = asyncio.create_task(peer.until_close())
        part = b"x" * 65536
        if not is_in_parts:
            peer.writer.write(frame_bytes(b"x" * 50_000_000)[:14])
        with contextlib.suppress(ConnectionError):
            for number in range(50_000_000 // len(part)):
                peer.writer.write(frame_bytes(part, 0 if number else 1, is_final=False) if is_in_parts else part)
                await peer.writer.drain()
                if number % 100 == 0:
                    check()
        assert (await reading).code == 1009
        await server.until(listening=1, places=1)
        await peer.close()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame_bytes(b"\xff\xfe\xfd"), 1007),
        (frame_bytes(b"\xc3", is_final=False) + frame_bytes(b"(", 0), 1007),
        (b"\x83\x80\x00\x00\x00\x00", 1002),
        (b"\xf1\x81\x00\x00\x00\x00x", 1002),
        (b"\x81\x02hi", 1002),
        (frame_bytes(b"x" * 126, 9), 1002),
        (frame_bytes(b"", 0), 1002),
        (frame_bytes(b"\x03", CLOSE), 1002),
    ],
    ids=["no utf-8", "cut utf-8", "opcode 3", "reserved bits", "no mask", "long ping", "no beginning", "short close"],
)
async def test_what_is_no_websocket(server: Served, sent: bytes, code: int) -> None:
    """The peer is told what is wrong, and closed."""
    peer = await websocket(server.port)
    await peer.frame()
    peer.writer.write(sent)
    assert (await peer.until_close()).code == code
    assert await peer.rest() == b""
    await peer.close()
    await server.until(listening=0, places=0)


async def test_garbage(server: Served) -> None:
    """Random bytes before and after the handshake affect nobody else and leave nothing behind."""
    dice = random.Random(7)
    async with _bounded(server, growth_kb=0):
        for number in range(60):
            peer = await connect(server.port)
            if number % 2:
                await peer.request(websocket_head(server.port))
            peer.writer.write(dice.randbytes(dice.randrange(1, 5000)))
            peer.writer.write_eof()
            with contextlib.suppress(ConnectionError):
                await peer.rest()
            await peer.close()


async def test_binary_is_answered(server: Served) -> None:
    """A binary message is not a protocol error, so the connection stays open."""
    peer = await websocket(server.port)
    await peer.frame()
    for payload in (b"", b"\x00\xff" * 500):
        peer.say(payload, BINARY)
        assert (await peer.frame()).json["data"]["code"] == "invalid_message"
    peer.say('{"type":"ping"}')
    assert (await peer.frame()).json["type"] == "pong"
    await peer.close()


async def test_two_thousand_sockets_that_say_nothing(server: Served) -> None:
    """They cost no more than connections do, and other clients can still connect."""
    async with _bounded(server, growth_kb=2000 * 4, messages=400):
        peers = [await connect(server.port) for _ in range(2000)]
        async with asyncio.timeout(10):
            while (await asyncio.to_thread(server.state))["connections"] < 2000:
                await asyncio.sleep(0.02)
        live = await websocket(server.port)
        assert (await live.frame()).json["type"] == "connection_ack"
        await live.close()
        await _close_all(peers)


async def test_opening_and_closing_in_a_loop(server: Served) -> None:
    """Three hundred connections, ended in each possible way, leak no memory, no task and no place."""
    await _open_and_close(server, 30)
    tasks = server.state()["tasks"]
    async with _bounded(server, growth_kb=0, messages=300):
        await _open_and_close(server, 300)
    async with asyncio.timeout(10):
        while server.state()["tasks"] > tasks + 2:
            await asyncio.sleep(0.05)


async def _open_and_close(server: Served, times: int) -> None:
    for number in range(times):
        peer = await (websocket if number % 2 else event_stream)(server.port)
        if number % 4 < 2:
            peer.reset()
        await peer.close()


async def test_watcher_alone(server: Served) -> None:
    """The baseline for the limits: alone, a client gets its messages at once."""
    async with watching(server.port) as watcher:
        await _alone(server, watcher)


async def _alone(server: Served, watcher: Watcher) -> None:
    await server.until(listening=1)
    await asyncio.to_thread(server.post, "/probe/publish?messages=100&interval_ms=5")
    await watcher.had(100)
    assert watcher.p99_ms <= P99_MS
