"""Connections on which no request has begun: what they cost, how they end, and what they hand over."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from quart_odds.server import waiting as waiting_module
from quart_odds.server.connection import KEPT_SECONDS, OpenConnections
from quart_odds.server.live_connections import LiveConnections
from quart_odds.server.waiting import KEEP_ALIVE_SECONDS, WaitingConnection, making_protocols, waiting, waiting_for
from tests.server.fake_transport import FakeTransport
from tests.virtual_time import in_virtual_time


class Serving(asyncio.Protocol):
    """The server's protocol: it notes what it is given."""

    def __init__(self) -> None:
        self.transport: asyncio.BaseTransport | None = None
        self.reads: list[bytes] = []
        self.made_by = making_protocols.get()
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.made_by = making_protocols.get()

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None, "no connection was made"
        self.reads.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True


class Made:
    """Makes the server's protocols, and keeps them."""

    def __init__(self) -> None:
        self.protocols: list[Serving] = []

    def __call__(self) -> Serving:
        self.protocols.append(Serving())
        return self.protocols[-1]

    def connection(self) -> FakeTransport:
        """Return a connection that has been accepted."""
        transport = FakeTransport()
        waits = cast(WaitingConnection, waiting_for(self)())
        transport.set_protocol(waits)
        waits.connection_made(transport)
        return transport


@pytest.fixture
def made() -> Made:
    """What makes the server's protocols."""
    return Made()


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenConnections]:
    """Give each test its own open connections, and check that none is left."""
    live, opened = LiveConnections(), OpenConnections()
    monkeypatch.setattr(waiting_module, "live_connections", live)
    monkeypatch.setattr(waiting_module, "open_connections", opened)
    # The kernel has no data of a peer without a socket.
    monkeypatch.setattr(waiting_module, "has_unread", lambda transport: transport.unread > 0)
    yield opened
    assert len(live) == 0


@in_virtual_time
async def test_a_peer_that_sends_nothing_is_closed_after_its_time(made: Made) -> None:
    """Until then, it has neither a task nor a protocol of the server."""
    tasks = asyncio.all_tasks()
    transports = [made.connection() for _ in range(100)]
    await asyncio.sleep(KEEP_ALIVE_SECONDS - 0.1)
    assert asyncio.all_tasks() == tasks
    assert not any(transport.is_closing() for transport in transports)
    await asyncio.sleep(0.2)
    assert all(transport.is_closing() for transport in transports)
    assert made.protocols == []
    await asyncio.sleep(0.1)
    assert len(waiting) == 0


@in_virtual_time
async def test_the_first_bytes_are_handed_over_whole_and_in_order(made: Made) -> None:
    """The first of them brings the server's protocol, which then has the transport."""
    transport = made.connection()
    request = b"GET / HTTP/1.1\r\n\r\n"
    for place in range(len(request)):
        transport.peer_sends(request[place : place + 1])
    [protocol] = made.protocols
    assert b"".join(protocol.reads) == request
    assert protocol.transport is transport
    assert transport.get_protocol() is protocol
    assert protocol.made_by is made
    assert making_protocols.get() is None
    await asyncio.sleep(2 * KEEP_ALIVE_SECONDS)
    assert not transport.is_closing()


@in_virtual_time
async def test_a_peer_that_leaves_is_forgotten(made: Made) -> None:
    """By a half-close or a reset, and nobody closes it again."""
    for leave in (FakeTransport.peer_sends_eof, FakeTransport.peer_resets, FakeTransport.abort):
        transport = made.connection()
        leave(transport)
        await asyncio.sleep(0)
        assert transport.is_closing()
        await asyncio.sleep(0.1)
        assert len(waiting) == 0
    assert made.protocols == []


@in_virtual_time
@pytest.mark.parametrize("early", [b"", b"GET /next"])
async def test_a_connection_that_comes_back_waits_for_its_next_request(made: Made, early: bytes) -> None:
    """What has arrived of it is handed over first. Without any, the connection has its time anew."""
    first = made.connection()
    first.peer_sends(b"GET / HTTP/1.1\r\n\r\n")
    await asyncio.sleep(KEEP_ALIVE_SECONDS - 1)
    first.pause_reading()
    first.peer_sends(b" HTTP/1.1\r\n\r\n" if early else b"")
    WaitingConnection(made).take_back(first, early)
    assert first.is_reading()
    if not early:
        await asyncio.sleep(KEEP_ALIVE_SECONDS - 1)
        assert len(made.protocols) == 1
        first.peer_sends(b"GET /next HTTP/1.1\r\n\r\n")
    await asyncio.sleep(0.1)
    assert b"".join(made.protocols[1].reads) == b"GET /next HTTP/1.1\r\n\r\n"
    assert len(waiting) == 0


@in_virtual_time
async def test_a_kept_connection_without_a_request_is_closed_after_its_time(made: Made) -> None:
    """As a new one is."""
    transport = made.connection()
    transport.peer_sends(b"GET / HTTP/1.1\r\n\r\n")
    WaitingConnection(made).take_back(transport, b"")
    await asyncio.sleep(KEEP_ALIVE_SECONDS + 0.1)
    assert transport.is_closing()


@in_virtual_time
async def test_a_stop_closes_the_kept_ones_but_those_whose_request_is_here(made: Made, own: OpenConnections) -> None:
    """A new connection gets its response here: its request may be on the way."""
    new, kept, busy = (made.connection() for _ in range(3))
    for transport in (kept, busy):
        transport.peer_sends(b"GET / HTTP/1.1\r\n\r\n")
        WaitingConnection(made).take_back(transport, b"")
    assert own.are_kept
    own.hand_over()
    busy.pause_reading()
    busy.peer_sends(b"GET /next")
    await asyncio.sleep(KEPT_SECONDS + 0.1)
    assert [transport.is_closing() for transport in (new, kept, busy)] == [False, True, False]
    busy.resume_reading()
    await asyncio.sleep(0.1)
    assert made.protocols[-1].reads == [b"GET /next"]
    assert not own.are_kept
    new.abort()
    await asyncio.sleep(0.1)


# On sockets


@asynccontextmanager
async def _listening(made: Made) -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(waiting_for(made), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_silent_sockets_cost_no_task_and_end(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their peers see the end, and those that have begun a request do not."""
    monkeypatch.setattr(waiting, "seconds", 0.2)
    async with asyncio.timeout(20), _listening(made) as port:
        tasks = len(asyncio.all_tasks())
        peers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
        busy = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        for _, writer in busy:
            for byte in b"GET":
                writer.write(bytes([byte]))
                await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == tasks
        for reader, _ in peers:
            assert await reader.read() == b""
        while [b"".join(each.reads) for each in made.protocols] != [b"GET"] * 3:
            await asyncio.sleep(0.01)
        assert not any(reader.at_eof() for reader, _ in busy)
        for _, writer in (*peers, *busy):
            writer.transport.abort()
        while not all(each.is_lost for each in made.protocols):
            await asyncio.sleep(0.01)
        assert len(waiting) == 0
