"""A TCP connection that limits how fast it reads, and closes so that the peer receives the last message.

Hypercorn reads as fast as the peer sends, and closes connections with data from the peer unread. TCP then resets the
connection, and the reset overtakes a response or a close frame. Here, a connection that the server ends is shut down
for writing, anything that still arrives is discarded, and after LINGER_SECONDS the connection is cut, whether or not
the peer has closed it.
"""

import asyncio
import contextlib
import select
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Closed, RawData, Updated
from hypercorn.events import Event as ServerEvent

from quart_odds.routes.access.limits import TokenBucket
from quart_odds.server.metering import HTTP_BYTES_A_SECOND, HTTP_BYTES_AT_ONCE

if TYPE_CHECKING:
    from hypercorn.asyncio.worker_context import WorkerContext
    from hypercorn.config import Config
    from hypercorn.typing import AppWrapper, LifespanState

READ_BYTES = 4096
"""Small enough that parsing it does not delay other connections for long."""
REFUSED_SECONDS = 1.0
"""How long a refused connection stays open after its response.

A peer that reconnects in a tight loop would otherwise cost the server more than itself. A peer that has read its
response can close the connection and need not wait.
"""
LINGER_SECONDS = 2.0
"""How long a peer has to take the last data sent to it, while anything it sends is discarded."""
DISCARD_BYTES = 64 * 1024
DISCARD_PAUSE_SECONDS = 0.02
"""The pause between two reads of discarded data, so that discarding costs next to nothing, however much arrives."""


KEPT_SECONDS = 0.5
"""How long a connection is kept for a next request once it is handed over.

A proxy may be sending one, which a closed connection would lose. Those in use end with their next response.
"""


class RequestConnection(Protocol):
    """A connection that may bring requests."""

    @property
    def may_bring_request(self) -> bool:
        """Whether the connection waits for a request after the first one, or has one that was not read."""

    def end_if_kept(self) -> None:
        """End the connection if it waits for a request after the first one, and none has arrived."""


class OpenConnections:
    """The connections of this process that may bring requests, and whether their peers are to send these elsewhere."""

    def __init__(self) -> None:
        self.is_handed_over = False
        self._open: set[RequestConnection] = set()

    def add(self, connection: RequestConnection) -> None:
        """Add a connection that has been opened."""
        self._open.add(connection)

    def discard(self, connection: RequestConnection) -> None:
        """Remove a connection that has been closed."""
        self._open.discard(connection)

    @property
    def are_kept(self) -> bool:
        """Whether there are connections that may still bring a request."""
        return any(each.may_bring_request for each in self._open)

    def hand_over(self) -> None:
        """Close connections after their next response, and soon those that are kept for a next request.

        A proxy that keeps connections would otherwise send new streams to a process that only ends those that it has.
        A connection on which no request has arrived yet gets its response here: its request may be on the way.
        """
        if self.is_handed_over:
            return
        self.is_handed_over = True
        loop = asyncio.get_running_loop()
        # By call_soon, after tasks that a request which has just been read wakes.
        loop.call_later(KEPT_SECONDS, loop.call_soon, self._end_kept)

    def _end_kept(self) -> None:
        for connection in list(self._open):
            connection.end_if_kept()


open_connections = OpenConnections()


def has_unread(transport: asyncio.WriteTransport) -> bool:
    """Whether the kernel has data of the peer. A loop that is late has not read what arrived meanwhile."""
    if transport.is_closing():
        return False
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))


class MeteredTCPServer(TCPServer):
    """Hypercorn's connection. Hypercorn creates it and runs it in a task of its own.

    It differs from Hypercorn in two more ways, on purpose. A connection whose peer has gone does not wait for the next
    request; Hypercorn waits for the whole keep-alive time if the peer leaves in the middle of a response. And there is
    no read timeout, because that would cut streams.
    """

    _is_read_out = False
    _unhandled = b""
    """What was read, but has not been handed to the protocol yet."""
    _is_refused = False
    _is_kept = False
    _end: asyncio.TimerHandle | None = None
    _cut: asyncio.TimerHandle | None = None

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
        self._bytes = TokenBucket(HTTP_BYTES_A_SECOND, HTTP_BYTES_AT_ONCE)
        open_connections.add(self)
        current_connection.set(self)

    async def run(self) -> None:
        """Serve the connection to its end. A stop cancels those that are left, which is a normal end, too.

        In Python 3.11, asyncio logs a connection whose task was cancelled as an error with a traceback.
        """
        with contextlib.suppress(asyncio.CancelledError):
            await super().run()

    async def protocol_send(self, event: ServerEvent) -> None:
        """Send to the peer, note that the connection is idle, or end it."""
        is_idle = isinstance(event, Updated) and event.idle
        if isinstance(event, Updated):
            self._is_kept = is_idle
        if (isinstance(event, Closed) or (is_idle and open_connections.is_handed_over)) and not self._is_read_out:
            self._end_soon()
        elif not (self._is_read_out and is_idle):
            await super().protocol_send(event)

    @property
    def may_bring_request(self) -> bool:
        """Whether the connection waits for a request after the first one, or has one that was not read."""
        return self._is_kept and not self._is_read_out and self._cut is None

    def end_if_kept(self) -> None:
        """End the connection if it waits for a request after the first one, and none has arrived."""
        if self._is_kept and not self._is_read_out and not has_unread(self.writer.transport):
            self._end_soon()

    def refuse(self) -> None:
        """Stop processing what the peer sends. It still gets its response, see REFUSED_SECONDS.

        After LINGER_SECONDS the connection is cut.
        """
        self._is_refused = True
        self._discard()

    def _end_soon(self) -> None:
        self._discard()
        if self._end is None:
            self._end = self.loop.call_later(REFUSED_SECONDS if self._is_refused else 0, self._end_writing)

    def _discard(self) -> None:
        if self._cut is None:
            self._cut = self.loop.call_later(LINGER_SECONDS, self.writer.transport.abort)

    def _end_writing(self) -> None:
        # A peer that has already gone, or a transport that cannot half-close, needs no EOF.
        with contextlib.suppress(OSError, RuntimeError, NotImplementedError):
            self.writer.write_eof()

    async def _read_data(self) -> None:
        reader = self.reader
        while not reader.at_eof():
            try:
                data = await reader.read(READ_BYTES if self._cut is None else DISCARD_BYTES)
            except OSError:
                break
            self._is_kept = False
            if self._cut is not None:
                await asyncio.sleep(DISCARD_PAUSE_SECONDS)
                continue
            self._unhandled = data
            await asyncio.sleep(self._bytes.owe(len(data)))
            self._unhandled = b""
            await self.protocol.handle(RawData(data))
        self._is_read_out = True
        await self.idle_task.stop()
        await self.protocol.handle(Closed())

    async def _close(self) -> None:
        try:
            # The peer may have closed the connection first, with or without a reset. That is a normal end, too.
            with contextlib.suppress(OSError):
                await super()._close()
        finally:
            self._forget()

    def _forget(self) -> None:
        open_connections.discard(self)
        for timer in (self._end, self._cut):
            if timer is not None:
                timer.cancel()


current_connection: ContextVar[MeteredTCPServer] = ContextVar("quart_odds.current_connection")
"""The connection that the current task belongs to."""
