"""The fast lane: the flush writes ready frames to a connection's transport, past Hypercorn.

This module knows the Hypercorn versions it was tested with; with another it stays out, with one warning, and everything
goes by the standard lane. It replaces two names that Hypercorn looks up: the TCP server, so that each connection puts
its transport into a ContextVar that reaches the Quart handler, and the HTTP/1.1 WebSocket stream, so that we know when
the protocol is open. Rules: `transport.write` only, never the file descriptor, which may be another's once closed; not
when closing; and nothing after the close frame or the final chunk.
"""

import asyncio
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING

import hypercorn.asyncio.run
import hypercorn.protocol.h11
import structlog
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Closed, RawData, Updated
from hypercorn.events import Event as ServerEvent
from hypercorn.protocol.events import Body, Data, Event, Request, StreamClosed
from hypercorn.protocol.ws_stream import FrameTooLargeError, WSStream
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, Message, Ping
from wsproto.events import Event as WSProtoEvent
from wsproto.frame_protocol import CloseReason

from quart_odds.broadcast.lane import live_connection

if TYPE_CHECKING:
    from hypercorn.asyncio.worker_context import WorkerContext
    from hypercorn.config import Config
    from hypercorn.typing import AppWrapper, ASGISendEvent, LifespanState, WebsocketAcceptEvent

KNOWN_HYPERCORN: tuple[str, ...] = ("0.17.", "0.18.")
"""Releases that the tests have run with."""

READ_BYTES = 64 * 1024

FLOOD_SECONDS = 2.0
"""How long a peer that sent too much has to take its close frame, while what it sends is thrown away."""

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
        """Somewhere to write frames; None over HTTP/2, or where the protocol is not open."""
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


class LiveTCPServer(TCPServer):
    """Hypercorn's connection, which puts its transport where the handler finds it.

    Hypercorn makes and runs it in a task of the connection's own. Two differences, on purpose: a connection whose peer
    is gone does not wait for its next request, which Hypercorn's does for the whole keep-alive time when the peer
    leaves in the midst of an answer; and there is no limit on the time to read, which would cut streams.
    """

    _is_read_out = False

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

    async def protocol_send(self, event: ServerEvent) -> None:
        """Send to the peer, or note that the connection is idle."""
        if not (self._is_read_out and isinstance(event, Updated) and event.idle):
            await super().protocol_send(event)

    async def _read_data(self) -> None:
        reader = self.reader
        while not reader.at_eof():
            try:
                data = await reader.read(READ_BYTES)
            except OSError:
                break
            await self.protocol.handle(RawData(data))
        self._is_read_out = True
        await self.idle_task.stop()
        await self.protocol.handle(Closed())

    async def _close(self) -> None:
        try:
            await super()._close()
        finally:
            self._connection.detach()
            live_connections.discard(self._connection)


class FastWSStream(WSStream):
    """Hypercorn's WebSocket over HTTP/1.1, with three differences, all on purpose.

    It tells the connection when the protocol is open; it declines permessage-deflate, whose state costs 92 KB a client
    and which would make a frame different for each; and after 1009 it throws away what the peer still sends, where
    Hypercorn would keep it in memory.
    """

    _is_flooded = False

    async def handle(self, event: Event) -> None:
        """Take what comes from the peer."""
        if isinstance(event, Request):
            headers = [each for each in event.headers if each[0].lower() != b"sec-websocket-extensions"]
            event = replace(event, headers=headers)
        elif isinstance(event, (Body, Data)) and self._is_flooded:
            return
        elif isinstance(event, StreamClosed):
            self._tell_closed()
        await super().handle(event)

    async def app_send(self, message: "ASGISendEvent | None") -> None:
        """Pass on what the app sends. Its end does not end a flooded connection: closed with bytes unread, TCP would
        reset it, and the reset overtake the close frame.
        """
        if message is None:
            self._let_go_of_the_inbox()
        if message is not None or not self._is_flooded:
            await super().app_send(message)

    def _let_go_of_the_inbox(self) -> None:
        """Nobody reads any more: a reader that waits for room in the inbox, or comes to, would wait for ever."""
        inbox = getattr(self.app_put, "__self__", None)
        self.app_put = _to_nobody
        while isinstance(inbox, asyncio.Queue) and not inbox.empty():
            inbox.get_nowait()

    async def _accept(self, message: "WebsocketAcceptEvent") -> None:
        await super()._accept(message)
        if (connection := live_connection.get()) is not None:
            assert isinstance(connection, FastConnection)
            connection.websocket_opened()

    async def _send_wsproto_event(self, event: WSProtoEvent) -> None:
        if isinstance(event, CloseConnection):
            self._tell_closed()
        await super()._send_wsproto_event(event)

    async def _handle_events(self) -> None:
        assert self.app_put is not None
        for event in self.connection.events():
            if isinstance(event, Message):
                try:
                    self.buffer.extend(event)
                except FrameTooLargeError:
                    await self._refuse_flood()
                    return
                if event.message_finished:
                    await self.app_put(self.buffer.to_message())
                    self.buffer.clear()
            elif isinstance(event, Ping):
                await self._send_wsproto_event(event.response())
            elif isinstance(event, CloseConnection):
                if self.connection.state is ConnectionState.REMOTE_CLOSING:
                    await self._send_wsproto_event(event.response())
                elif self.connection.state is ConnectionState.OPEN:
                    # What the peer sent was no frame, or no UTF-8: the parser's verdict, told to the peer.
                    await self._send_wsproto_event(event)
                await self.send(StreamClosed(stream_id=self.stream_id))

    async def _refuse_flood(self) -> None:
        self._is_flooded = True
        self.buffer.clear()
        # Before the close frame: a peer that does not read would make us wait with that for ever.
        if (connection := live_connection.get()) is not None:
            asyncio.get_running_loop().call_later(FLOOD_SECONDS, connection.abort)
        await self._send_wsproto_event(CloseConnection(code=CloseReason.MESSAGE_TOO_BIG))
        assert self.app_put is not None
        await self.app_put({"type": "websocket.disconnect", "code": CloseReason.MESSAGE_TOO_BIG.value})

    def _tell_closed(self) -> None:
        connection = live_connection.get()
        if isinstance(connection, FastConnection):
            connection.websocket_closed()


async def _to_nobody(message: object) -> None:
    """Throw a message away."""


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
