"""The fast lane: the flush writes ready frames to a connection's transport, bypassing Hypercorn.

This module supports the Hypercorn versions it was tested with. With any other version it logs one warning and is not
installed, and everything uses the standard lane. It extends two of the classes that replace Hypercorn's (see
`hardening`). The TCP server puts each connection's transport into a ContextVar, where the Quart handler finds it. The
WebSocket stream reports when the protocol is open. Rules: use only `transport.write`, never the file descriptor, which
may belong to another connection once closed; do not write while the transport is closing; write nothing after the close
frame or the final chunk.
"""

import asyncio
from importlib.metadata import version
from typing import TYPE_CHECKING

import hypercorn.asyncio.run
import hypercorn.protocol.h11
import structlog
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.protocol.events import Event, StreamClosed
from hypercorn.protocol.ws_stream import WSStream
from wsproto.events import CloseConnection
from wsproto.events import Event as WSProtoEvent

from quart_odds.broadcast.lane import live_connection
from quart_odds.server.connection import MeteredTCPServer
from quart_odds.server.websocket import MeteredWSStream

if TYPE_CHECKING:
    from hypercorn.asyncio.worker_context import WorkerContext
    from hypercorn.config import Config
    from hypercorn.typing import AppWrapper, LifespanState, WebsocketAcceptEvent

KNOWN_HYPERCORN: tuple[str, ...] = ("0.17.", "0.18.")
"""Hypercorn releases that the tests have run with."""

log = structlog.get_logger(__name__)


class TransportSink:
    """Writes to a transport as long as it is attached to it."""

    __slots__ = ("_is_attached", "_transport")

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport
        self._is_attached = True

    @property
    def is_open(self) -> bool:
        """Whether the sink still accepts bytes."""
        return self._is_attached and not self._transport.is_closing()

    @property
    def pending(self) -> int:
        """The number of bytes that the kernel has not taken yet."""
        return self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Pass bytes to the kernel, or to the transport's buffer if the kernel takes no more."""
        self._transport.write(data)

    def abort(self) -> None:
        """Cut the connection."""
        self._is_attached = False
        self._transport.abort()

    def detach(self) -> None:
        """Stop writing."""
        self._is_attached = False


class FastConnection:
    """One TCP connection under the launcher."""

    __slots__ = ("_is_websocket_open", "_sink", "_transport")

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport
        self._sink: TransportSink | None = None
        self._is_websocket_open = False

    def websocket_sink(self) -> TransportSink | None:
        """Return a sink for frames; None if the protocol is not open."""
        return self._attach() if self._is_websocket_open else None

    def stream_sink(self) -> TransportSink | None:
        """Return a sink for chunks of the HTTP/1.1 response whose head has been sent."""
        return None if self._is_websocket_open else self._attach()

    def detach(self) -> None:
        """Give the connection back to the server."""
        if self._sink is not None:
            self._sink.detach()
            self._sink = None

    def abort(self) -> None:
        """Cut the connection."""
        self.detach()
        self._transport.abort()

    def websocket_opened(self) -> None:
        """Record that the WebSocket handshake is complete."""
        self._is_websocket_open = True

    def websocket_closed(self) -> None:
        """Record that a close frame goes out, or that the peer has gone. Nothing may be written after that."""
        self._is_websocket_open = False
        self.detach()

    def _attach(self) -> TransportSink | None:
        if self._sink is not None or self._transport.is_closing():
            return None
        self._sink = TransportSink(self._transport)
        return self._sink


class LiveConnections:
    """All open connections. The drain cuts those that remain."""

    def __init__(self) -> None:
        self._live: set[FastConnection] = set()

    def __len__(self) -> int:
        return len(self._live)

    def add(self, connection: FastConnection) -> None:
        """Add a connection that has been opened."""
        self._live.add(connection)

    def discard(self, connection: FastConnection) -> None:
        """Remove a connection that has been closed."""
        self._live.discard(connection)

    def abort(self) -> int:
        """Cut all remaining connections, and return their number."""
        left = list(self._live)
        for connection in left:
            connection.abort()
        return len(left)


live_connections = LiveConnections()


class LiveTCPServer(MeteredTCPServer):
    """A connection that makes its transport available to the handler."""

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
        self._connection = FastConnection(writer.transport)
        live_connections.add(self._connection)
        live_connection.set(self._connection)

    async def _close(self) -> None:
        try:
            await super()._close()
        finally:
            self._connection.detach()
            live_connections.discard(self._connection)


class FastWSStream(MeteredWSStream):
    """A WebSocket that tells its connection when the protocol is open."""

    async def handle(self, event: Event) -> None:
        """Process an event from the peer."""
        if isinstance(event, StreamClosed):
            _tell_closed()
        await super().handle(event)

    async def _accept(self, message: "WebsocketAcceptEvent") -> None:
        await super()._accept(message)
        if (connection := live_connection.get()) is not None:
            assert isinstance(connection, FastConnection)
            connection.websocket_opened()

    async def _send_wsproto_event(self, event: WSProtoEvent) -> None:
        if isinstance(event, CloseConnection):
            _tell_closed()
        await super()._send_wsproto_event(event)


def _tell_closed() -> None:
    connection = live_connection.get()
    if isinstance(connection, FastConnection):
        connection.websocket_closed()


def install() -> bool:
    """Install the fast lane in this process. Returns False, after one warning, if the Hypercorn version is unknown."""
    found = version("hypercorn")
    if not found.startswith(KNOWN_HYPERCORN) or not _has_the_names():
        log.warning("fast_lane.stays_out", hypercorn=found, known=[f"{each}x" for each in KNOWN_HYPERCORN])
        return False
    hypercorn.asyncio.run.TCPServer = LiveTCPServer  # type: ignore[attr-defined]
    hypercorn.protocol.h11.WSStream = FastWSStream  # type: ignore[attr-defined]
    return True


def _has_the_names() -> bool:
    replaced = hasattr(hypercorn.asyncio.run, "TCPServer") and hasattr(hypercorn.protocol.h11, "WSStream")
    return (
        replaced
        and all(hasattr(TCPServer, name) for name in ("protocol_send", "_read_data", "_close"))
        and all(hasattr(WSStream, name) for name in ("app_send", "_accept", "_send_wsproto_event", "_handle_events"))
    )
