"""A TCP connection, read no faster than the loop can bear, and closed so that the peer hears the last word.

Hypercorn reads as fast as the peer sends, and closes a connection with what the peer sent unread: TCP then resets it,
and the reset overtakes an answer or a close frame. Here a connection that we end is shut for writing, what still comes
is thrown away, and after LINGER_SECONDS it is cut, whether or not the peer has taken its leave.
"""

import asyncio
import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING

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
"""So little that parsing it holds nobody else up for long."""
REFUSED_SECONDS = 1.0
"""How long the end of a refused connection waits behind its answer: a peer that then comes again at once, in a loop,
would cost us more than it costs itself. Who has read the answer need not wait.
"""
LINGER_SECONDS = 2.0
"""How long a peer has to take what it was sent last, while what it sends is thrown away."""
DISCARD_BYTES = 64 * 1024
DISCARD_PAUSE_SECONDS = 0.02
"""Between two reads of what is thrown away, so that throwing away costs next to nothing, however much comes."""


class MeteredTCPServer(TCPServer):
    """Hypercorn's connection, which it makes and runs in a task of the connection's own.

    Two more differences, on purpose: a connection whose peer is gone does not wait for its next request, which
    Hypercorn's does for the whole keep-alive time when the peer leaves in the midst of an answer; and there is no limit
    on the time to read, which would cut streams.
    """

    _is_read_out = False
    _is_refused = False
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
        current_connection.set(self)

    async def protocol_send(self, event: ServerEvent) -> None:
        """Send to the peer, note that the connection is idle, or end it."""
        if isinstance(event, Closed) and not self._is_read_out:
            self._discard()
            if self._end is None:
                self._end = self.loop.call_later(REFUSED_SECONDS if self._is_refused else 0, self._end_writing)
        elif not (self._is_read_out and isinstance(event, Updated) and event.idle):
            await super().protocol_send(event)

    def refuse(self) -> None:
        """Take nothing more of the peer, which is told why: see REFUSED_SECONDS, and cut it after LINGER_SECONDS."""
        self._is_refused = True
        self._discard()

    def _discard(self) -> None:
        if self._cut is None:
            self._cut = self.loop.call_later(LINGER_SECONDS, self.writer.transport.abort)

    def _end_writing(self) -> None:
        # A peer that is gone already, or a transport without half-closing, needs no end.
        with contextlib.suppress(OSError, RuntimeError, NotImplementedError):
            self.writer.write_eof()

    async def _read_data(self) -> None:
        reader = self.reader
        while not reader.at_eof():
            try:
                data = await reader.read(READ_BYTES if self._cut is None else DISCARD_BYTES)
            except OSError:
                break
            if self._cut is not None:
                await asyncio.sleep(DISCARD_PAUSE_SECONDS)
                continue
            await asyncio.sleep(self._bytes.owe(len(data)))
            await self.protocol.handle(RawData(data))
        self._is_read_out = True
        await self.idle_task.stop()
        await self.protocol.handle(Closed())

    async def _close(self) -> None:
        try:
            # That the peer was gone before us, with or without a reset, is one more way to be closed.
            with contextlib.suppress(OSError):
                await super()._close()
        finally:
            for timer in (self._end, self._cut):
                if timer is not None:
                    timer.cancel()


current_connection: ContextVar[MeteredTCPServer] = ContextVar("quart_odds.current_connection")
"""The connection whose task this is."""
