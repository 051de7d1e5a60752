"""The fast lane: the flush writes ready frames to a connection's transport, past Hypercorn.

This module knows the Hypercorn versions it was tested with; with another it stays out, with one warning, and everything
goes by the standard lane. It adds to two classes that are in place of Hypercorn's (`hardening`): the TCP server, so
that each connection puts its transport into a ContextVar that reaches the Quart handler, and the WebSocket stream, so
that we know when the protocol is open. Rules: `transport.write` only, never the file descriptor, which may be another's
once closed; not when closing; and nothing after the close frame or the final chunk.
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
"""Releases that the tests have run with."""

log = structlog.get_logger(__name__)


class TransportSink:
    """Writes to a transport, as long as it is attached to it."""

    __slots__ = ("_is_attached", "_transport")

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport
        self._is_attached = True

    @property
    def is_open(self) -> bool:
        """Whether anything may still be written."""
        return self._is_attached and not self._transport.is_closing()

    @property
    def pending(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Hand bytes to the kernel, or to the transport's buffer where it takes no more."""
        self._transport.write(data)

    def abort(self) -> None:
        """Cut the connection."""
        self._is_attached = False
        self._transport.abort()

    def detach(self) -> None:
        """Write nothing more."""
        self._is_attached = False


class FastConnection:
    """One TCP connection under our launcher."""

    __slots__ = ("_is_websocket_open", "_sink", "_transport")

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport
        self._sink: TransportSink | None = None
        self._is_websocket_open = False

    def websocket_sink(self) -> TransportSink | None:
        """Somewhere to write frames; None where the protocol is not open."""
        return self._attach() if self._is_websocket_open else None

    def stream_sink(self) -> TransportSink | None:
        """Somewhere to write chunks of the HTTP/1.1 response whose head has been sent."""
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
        """The handshake is done."""
        self._is_websocket_open = True

    def websocket_closed(self) -> None:
        """A close frame goes out, or the peer is gone: nothing may follow."""
        self._is_websocket_open = False
        self.detach()

    def _attach(self) -> TransportSink | None:
        if self._sink is not None or self._transport.is_closing():
            return None
        self._sink = TransportSink(self._transport)
        return self._sink


class LiveConnections:
    """All connections that are open: the drain cuts those that are left."""

    def __init__(self) -> None:
        self._live: set[FastConnection] = set()

    def __len__(self) -> int:
        return len(self._live)

    def add(self, connection: FastConnection) -> None:
        """Know of a connection, until it is closed."""
        self._live.add(connection)

    def discard(self, connection: FastConnection) -> None:
        """Forget a connection that is closed."""
        self._live.discard(connection)

    def abort(self) -> int:
        """Cut all that are left; how many they were."""
        left = list(self._live)
        for connection in left:
            connection.abort()
        return len(left)


live_connections = LiveConnections()


class LiveTCPServer(MeteredTCPServer):
    """A connection that puts its transport where the handler finds it."""

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
    """A WebSocket that tells the connection when the protocol is open."""

    async def handle(self, event: Event) -> None:
        """Take what comes from the peer."""
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
    """Put the fast lane in place, for this process; False, with one warning, where Hypercorn is another."""
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
