"""The fast lane: a live connection leaves the server, and the flush writes ready frames to its transport.

This module supports the Hypercorn versions it was tested with. With any other version it logs one warning and is not
installed, and everything uses the standard lane. It extends three of the classes that replace Hypercorn's (see
`hardening`). The TCP server puts each connection into a ContextVar, where the Quart handler finds it. When the handler
takes the connection, the transport gets a protocol of `live_protocols`, and the server's request ends: what the app
still sends is dropped, and what the server had read is handed on.
"""

import asyncio
from importlib.metadata import version
from typing import TYPE_CHECKING, cast

import hypercorn.asyncio.run
import hypercorn.protocol.h11
import structlog
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.protocol.events import Data, Event
from hypercorn.protocol.ws_stream import WSStream

from quart_odds.broadcast.lane import Listener, live_connection
from quart_odds.server.connection import MeteredTCPServer
from quart_odds.server.http11 import MeteredH11Protocol, MeteredHTTPStream
from quart_odds.server.live_connections import live_connections
from quart_odds.server.live_protocols import LiveStream, LiveWebSocket, Resume
from quart_odds.server.waiting import WaitingConnection, making_protocols
from quart_odds.server.websocket import MeteredWSStream

if TYPE_CHECKING:
    from hypercorn.asyncio.worker_context import WorkerContext
    from hypercorn.config import Config
    from hypercorn.typing import AppWrapper, ASGISendEvent, LifespanState, WebsocketAcceptEvent

KNOWN_HYPERCORN: tuple[str, ...] = ("0.17.", "0.18.")
"""Hypercorn releases that the tests have run with."""

log = structlog.get_logger(__name__)


class FastConnection:
    """One TCP connection as long as it is the server's."""

    def __init__(self, server: "LiveTCPServer") -> None:
        self.has_left = False
        self._server: LiveTCPServer | None = server
        # uvloop's transports are asyncio's in everything but their type.
        self._transport = cast(asyncio.Transport, server.writer.transport)
        self._held: bytes | None = None
        self._is_open = False
        self._decided: asyncio.Event | None = None

    def take_websocket(self, listener: Listener) -> LiveWebSocket | None:
        """Take the WebSocket from the server; None if it is not open, or closing."""
        if not self._is_open:
            return None
        transport = self._leave()
        if transport is None:
            self.stay()
            return None
        live = LiveWebSocket(transport, listener)
        self._hand_over(live, transport)
        return live

    def take_stream(self, listener: Listener) -> LiveStream | None:
        """Take the HTTP/1.1 response whose head was sent from the server; None if it is closing."""
        if self._is_open or (transport := self._leave()) is None:
            return None
        assert self._server is not None
        live = LiveStream(transport, listener, self._server.resume())
        self._hand_over(live, transport)
        return live

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def opened(self) -> None:
        """Note that the WebSocket is open. What its peer sends is held until the handler takes it, or has it stay."""
        self._is_open = True
        self._decided = asyncio.Event()

    def stay(self) -> None:
        """Leave the connection to the server."""
        if self._decided is not None:
            self._decided.set()

    async def hold(self, data: bytes) -> bool:
        """Hold what the peer has sent until it is decided who reads it. Returns whether the server does."""
        if self._decided is not None and not self._decided.is_set():
            self._held = data
            await self._decided.wait()
        return not self.has_left

    def _leave(self) -> asyncio.Transport | None:
        transport = self._transport
        if self._server is None or self._server.is_over or transport.is_closing():
            return None
        self.has_left = True
        return transport

    def _hand_over(self, live: LiveStream | LiveWebSocket, transport: asyncio.Transport) -> None:
        """Let a protocol have the transport, and then, before anything else, what the server has not read."""
        server, self._server = self._server, None
        assert server is not None
        unread, is_read_out = server.leave()
        early = (self._held or b"") + unread
        self._held = None
        transport.set_protocol(live)
        live.begin(early)
        if is_read_out:
            asyncio.get_running_loop().call_soon(_end_read_out, live, transport)


def _end_read_out(live: LiveStream | LiveWebSocket, transport: asyncio.Transport) -> None:
    """Tell a protocol that its peer sends nothing more, as the transport did to the protocol before."""
    if not transport.is_closing():
        live.eof_received()
        transport.close()


class LiveTCPServer(MeteredTCPServer):
    """A connection that the handler can take from the server."""

    def __init__(
        self,
        app: "AppWrapper",
        loop: asyncio.AbstractEventLoop,
        config: "Config",
        context: "WorkerContext",
        state: "LifespanState",
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        super().__init__(app, loop, config, context, state, reader, writer)
        self._make_protocol = making_protocols.get()
        self._stream_protocol = writer.transport.get_protocol()
        self._task = asyncio.current_task()
        self._connection = FastConnection(self)
        live_connections.add(self._connection)
        live_connection.set(self._connection)

    def resume(self) -> Resume | None:
        """Return what gives the connection back to the server; None if the server does not take it back."""
        make_protocol = self._make_protocol
        protocol = self.protocol.protocol
        assert isinstance(protocol, MeteredH11Protocol)
        if make_protocol is None or not protocol.may_continue:
            return None
        return WaitingConnection(make_protocol, protocol.pipeline).take_back

    def leave(self) -> tuple[bytes, bool]:
        """End the server's part. Returns what it has received and not read, and whether the peer sends nothing more."""
        protocol = self.protocol.protocol
        assert isinstance(protocol, MeteredH11Protocol)
        unread = protocol.let_go() + self._unhandled + bytes(self.reader._buffer)  # type: ignore[attr-defined]
        live_connections.discard(self._connection)
        assert self._task is not None
        self._task.cancel()
        return unread, self.reader._eof  # type: ignore[attr-defined]

    @property
    def is_over(self) -> bool:
        """Whether the server has read all that the peer sends, or has refused it: it ends the connection."""
        return self._is_read_out or self._cut is not None

    async def _read_data(self) -> None:
        try:
            await super()._read_data()
        except asyncio.CancelledError:
            # Unless something else has cancelled the task as well, this is the cancellation by `leave`.
            if not self._connection.has_left or (self._task is not None and self._task.uncancel()):
                raise

    async def _close(self) -> None:
        try:
            if self._connection.has_left:
                await self._let_go()
            else:
                await super()._close()
        finally:
            live_connections.discard(self._connection)

    async def _let_go(self) -> None:
        """Let go of everything, so that it is freed at once and not by the next full collection.

        The objects refer to each other. And a StreamWriter closes a transport that it still has when it is freed.
        """
        self._forget()
        await self.idle_task.stop()
        protocol = self._stream_protocol
        if isinstance(protocol, asyncio.Protocol):
            # As far as it is concerned, the connection is over: it forgets its reader and its writer.
            protocol.connection_lost(None)
        self.writer._transport = _NoTransport()  # type: ignore[attr-defined]
        # The task's context has this object, and the group has the task.
        self._task = None
        del self._task_group
        del self.protocol


class _NoTransport:
    """Stands in for a transport that is another protocol's now."""

    def is_closing(self) -> bool:
        return True


class FastHTTPStream(MeteredHTTPStream):
    """A request and its response, which the handler may take away."""

    async def app_send(self, message: "ASGISendEvent | None") -> None:
        """Forward what the app sends, unless the response is not the server's any more."""
        connection = _connection()
        if connection is None or not connection.has_left:
            await super().app_send(message)


class FastWSStream(MeteredWSStream):
    """A WebSocket that the handler may take away once it is open."""

    async def handle(self, event: Event) -> None:
        """Process an event from the peer."""
        connection = _connection()
        if isinstance(event, Data) and connection is not None and not await connection.hold(event.data):
            return
        await super().handle(event)

    async def app_send(self, message: "ASGISendEvent | None") -> None:
        """Forward what the app sends, unless the WebSocket is not the server's any more."""
        connection = _connection()
        if connection is not None:
            if connection.has_left:
                return
            if message is None or message["type"] == "websocket.close":
                connection.stay()
        await super().app_send(message)

    async def _accept(self, message: "WebsocketAcceptEvent") -> None:
        if (connection := _connection()) is not None:
            connection.opened()
        await super()._accept(message)


def _connection() -> FastConnection | None:
    """Return the connection that the current task belongs to."""
    connection = live_connection.get()
    return connection if isinstance(connection, FastConnection) else None


def install() -> bool:
    """Install the fast lane in this process. Returns False, after one warning, if the Hypercorn version is unknown."""
    found = version("hypercorn")
    if not found.startswith(KNOWN_HYPERCORN) or not _has_the_names():
        log.warning("fast_lane.stays_out", hypercorn=found, known=[f"{each}x" for each in KNOWN_HYPERCORN])
        return False
    hypercorn.asyncio.run.TCPServer = LiveTCPServer  # type: ignore[attr-defined]
    hypercorn.protocol.h11.HTTPStream = FastHTTPStream  # type: ignore[attr-defined]
    hypercorn.protocol.h11.WSStream = FastWSStream  # type: ignore[attr-defined]
    return True


def _has_the_names() -> bool:
    replaced = all(
        hasattr(owner, name)
        for owner, name in (
            (hypercorn.asyncio.run, "TCPServer"),
            (hypercorn.protocol.h11, "HTTPStream"),
            (hypercorn.protocol.h11, "WSStream"),
        )
    )
    return (
        replaced
        and all(hasattr(TCPServer, name) for name in ("protocol_send", "_read_data", "_close"))
        and all(hasattr(WSStream, name) for name in ("app_send", "_accept", "_send_wsproto_event"))
    )
