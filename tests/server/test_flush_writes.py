"""How the flush writes to live connections that have a socket: to the kernel, and the rest through the transport."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from quart_odds.server.live_protocols import LiveWebSocket
from tests.server.conformance import frame
from tests.server.harness import PING
from tests.server.live_peers import Recording

pytestmark = pytest.mark.usefixtures("nothing_is_left")


@dataclass
class Pair:
    """A live connection, and the socket of its peer."""

    live: LiveWebSocket
    transport: asyncio.Transport
    listener: Recording
    peer: socket.socket

    async def read(self, count: int) -> bytes:
        """Return what the peer receives, up to `count` bytes; fewer if the connection ends."""
        loop = asyncio.get_running_loop()
        received = b""
        while len(received) < count and (data := await loop.sock_recv(self.peer, count - len(received))):
            received += data
        return received


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    ours, peer = socket.socketpair()
    peer.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
    listener = Recording()
    live = LiveWebSocket(transport, listener)
    transport.set_protocol(live)
    live.begin(b"")
    try:
        yield Pair(live, transport, listener, peer)
    finally:
        peer.close()
        live.abort()
        await asyncio.sleep(0.01)


async def test_the_kernel_has_a_write_at_once(pair: Pair) -> None:
    """Without a turn of the loop."""
    pair.live.write(b"now")
    assert pair.peer.recv(10) == b"now"
    assert not pair.live.pending()


async def test_what_the_kernel_does_not_take_follows_in_order(pair: Pair) -> None:
    """It counts as pending until the peer has taken it."""
    large = os.urandom(4_000_000)
    pair.live.write(large)
    assert pair.live.may_have_pending
    assert 0 < pair.live.pending() < len(large)
    assert not pair.live.is_free
    assert await pair.read(len(large)) == large
    while pair.live.pending():
        await asyncio.sleep(0)
    assert pair.live.is_free
    pair.live.write(b"next")
    assert await pair.read(4) == b"next"


async def test_a_reply_comes_after_what_was_written_before(pair: Pair) -> None:
    """While it waits in the transport, the sink says so, and the flush does not overtake it."""
    large = os.urandom(4_000_000)
    pair.live.write(large)
    pair.peer.send(frame(b"?", PING))
    while not pair.listener.heard_count:
        await asyncio.sleep(0)
    assert pair.live.may_have_pending
    pong = b"\x8a\x01?"
    assert await pair.read(len(large) + len(pong)) == large + pong


async def test_nothing_is_written_once_the_listener_has_left(pair: Pair) -> None:
    """Neither through the transport nor past it: the descriptor may be another connection's by then."""
    pair.live.abort()
    await asyncio.sleep(0.01)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        pair.live.write(b"late")
        with pytest.raises(BlockingIOError):
            theirs.recv(10)
    assert pair.listener.left_count == 1


async def test_a_write_to_a_peer_that_is_gone_ends_the_connection(pair: Pair) -> None:
    """No error reaches the flush."""
    pair.peer.close()
    for _ in range(3):
        pair.live.write(b"hello?")
    while not pair.listener.left_count:
        await asyncio.sleep(0)
    assert not pair.live.is_open
