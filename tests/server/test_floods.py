"""Peers that send more than any client has reason to: closed with 1008, with bounded memory, whatever they send."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from tests.server.harness import BINARY, CLOSE, PING, PONG, Peer, Served, connected, frame_bytes, served, websocket

GROWTH_KB = 8 * 1024
"""How much ten floods may add to the server's memory, including its normal variation."""
SECONDS = 30.0
BLOCK = 2000

KINDS: dict[str, tuple[bytes, bytes]] = {
    "pings": (b"", frame_bytes(b"", PING) * BLOCK),
    "long pings": (b"", frame_bytes(b"x" * 125, PING) * BLOCK),
    "pongs": (b"", frame_bytes(b"", PONG) * BLOCK),
    "empty fragments": (frame_bytes(b"", is_final=False), frame_bytes(b"", 0, is_final=False) * BLOCK),
    "fragments of a byte": (frame_bytes(b"", is_final=False), frame_bytes(b"x", 0, is_final=False) * BLOCK),
    "empty messages": (b"", frame_bytes(b"", BINARY) * BLOCK),
    "long messages": (b"", frame_bytes(b"x" * 60_000) * 5),
}
"""What is sent once, and then repeatedly."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The application under the launcher."""
    with served(tmp_path_factory.mktemp("server")) as server:
        yield server


async def _flood(peer: Peer, block: bytes) -> None:
    """Send until the server ends the connection."""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(SECONDS):
            while True:
                peer.writer.write(block)
                await peer.writer.drain()


async def _closed_with(peer: Peer, before: bytes, block: bytes) -> int:
    peer.writer.write(before)
    flooding = asyncio.create_task(_flood(peer, block))
    try:
        return (await peer.until_close()).code
    finally:
        await flooding
        await peer.close()


@asynccontextmanager
async def _bounded(server: Served) -> AsyncIterator[Callable[[], None]]:
    """Check that memory stays bounded, and that in the end neither peers nor logged errors remain."""
    before = server.memory_kb

    def check() -> None:
        assert server.memory_kb - before <= GROWTH_KB

    yield check
    check()
    # The remaining connection is the one that requests this state.
    await server.until(listening=0, places=0, connections=1)
    assert "rror" not in server.log.read_text()


@pytest.mark.parametrize("kind", KINDS)
async def test_flood_is_closed_with_1008(server: Served, kind: str) -> None:
    """Floods of any kind of frame, and of bytes, are closed. The peer gets its close frame while it floods on."""
    async with _bounded(server):
        assert await _closed_with(await websocket(server.port), *KINDS[kind]) == 1008


async def test_ten_floods_leave_others_their_answers(server: Served) -> None:
    """A well-behaved client gets its answers all the time, and the server's memory stays bounded."""
    async with _bounded(server) as check:
        await _beside_floods(server, check, rounds=1)


@pytest.mark.endurance
@pytest.mark.timeout(300)
async def test_floods_that_come_again(server: Served) -> None:
    """The same holds for longer, with each peer reconnecting after it is closed."""
    async with _bounded(server) as check:
        await _beside_floods(server, check, rounds=30)


async def _beside_floods(server: Served, check: Callable[[], None], rounds: int) -> None:
    async def come_again(kind: str) -> None:
        for _ in range(rounds):
            assert await _closed_with(await websocket(server.port), *KINDS[kind]) == 1008

    good = await websocket(server.port)
    await good.frame()
    names = [*KINDS, *KINDS][:10]
    floods = asyncio.gather(*(come_again(kind) for kind in names))
    answers = 0
    while not floods.done() or answers < 3:
        good.say('{"type":"ping"}')
        assert (await good.frame()).json["type"] == "pong"
        answers += 1
        check()
        await asyncio.sleep(0.15)
    await floods
    await good.close()


async def test_peer_that_reads_nothing_is_cut(server: Served) -> None:
    """A close frame cannot reach it, so the server does not wait."""
    async with _bounded(server):
        peer = await websocket(server.port, receive_buffer=4096)
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await _flood(peer, frame_bytes(b"x" * 125, PING) * BLOCK)
        await peer.close()


async def test_frame_that_is_too_long_is_refused_before_it_comes(server: Served) -> None:
    """The header alone is enough, whatever length it declares."""
    async with _bounded(server):
        for power in (17, 32, 62):
            peer = await websocket(server.port)
            peer.writer.write(b"\x81\xff" + (1 << power).to_bytes(8, "big") + bytes(4))
            assert (await peer.until_close()).code == 1009
            assert await peer.rest() == b""
            await peer.close()


async def test_client_at_the_protocols_limit_lives(server: Served) -> None:
    """Forty messages of 4 KB at once, each in fragments with a ping in between, are within the limits."""
    peer = await websocket(server.port)
    await peer.frame()
    half = b" " * 2040
    for _ in range(40):
        peer.say(b'{"type":' + half, is_final=False)
        peer.say(b"", PING)
        peer.say(half + b'"ping"}', 0)
    kinds = [
        frame.opcode if frame.opcode == PONG else frame.json["type"]
        for frame in [await peer.frame() for _ in range(80)]
    ]
    assert (kinds.count(PONG), kinds.count("pong")) == (40, 40)
    await peer.close()


async def test_flood_after_the_close_frame_is_thrown_away(server: Served) -> None:
    """The peer gets its answer, and is cut."""
    async with _bounded(server):
        peer = await websocket(server.port)
        peer.say((1000).to_bytes(2, "big"), CLOSE)
        flooding = asyncio.create_task(_flood(peer, frame_bytes(b"x" * 100) * BLOCK))
        assert (await peer.until_close()).code == 1000
        await flooding
        await peer.close()


async def test_requests_pipelined_without_end_are_refused(server: Served) -> None:
    """No client has reason to send hundreds of requests without waiting for a response."""
    request = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
    async with _bounded(server), connected(server.port) as peer:
        flooding = asyncio.create_task(_flood(peer, request * 500))
        published = await peer.rest()
        await flooding
        assert published.count(b"HTTP/1.1 200") >= 100
        assert published.count(b"HTTP/1.1 429") == 1
        assert b"Wait for an answer" in published
