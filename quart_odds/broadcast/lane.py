"""The two lanes on which a subscriber's bytes reach its socket.

On the standard lane the bytes wait in a mailbox until a task of that client has sent them through ASGI. This works on
any server. On the fast lane the connection leaves the server, and the flush writes them to its transport directly. It
is used where the launcher has set `live_connection`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Protocol

from quart_odds.broadcast.sink import Sink


class Listener(Protocol):
    """What the fast lane tells of a peer that listens. No method waits."""

    @property
    def connection_id(self) -> str:
        """The id of the connection, for log lines."""

    def take(self, message: str | bytes) -> None:
        """Process a message from the peer. Never called for an event stream."""

    def heard(self) -> None:
        """Note that the peer has sent something, and so is alive."""

    def left(self) -> None:
        """Release what belongs to the peer: nothing more can be sent to it."""


class WebSocketSink(Sink, Protocol):
    """A WebSocket on the fast lane."""

    def close(self, code: int, reason: str) -> None:
        """Close it with a code. Nothing may be written after that."""


class StreamSink(Sink, Protocol):
    """An event stream on the fast lane."""

    def finish(self, last: bytes) -> None:
        """End the response after these last bytes. Nothing may be written after that."""


class LiveConnection(Protocol):
    """A connection that can leave the server: its listener then belongs to the fast lane, and the request ends."""

    def take_websocket(self, listener: Listener) -> WebSocketSink | None:
        """Take the open WebSocket from the server, and return its sink; None if that is not possible any more."""

    def take_stream(self, listener: Listener) -> StreamSink | None:
        """Take the response whose head was sent from the server, and return its sink; None if it is closing."""

    def abort(self) -> None:
        """Cut the connection."""


live_connection: ContextVar[LiveConnection | None] = ContextVar("quart_odds.live_connection", default=None)
"""The connection of the current request or WebSocket; None under other servers and in tests."""


class MailboxSink:
    """The sink of the standard lane: holds one write at a time, which `chunks` empties."""

    def __init__(self) -> None:
        self.on_free: Callable[[], None] | None = None
        self._data = b""
        self._taken = 0
        self._is_open = True
        self.is_cut = False
        self._news = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether the mailbox is still being emptied."""
        return self._is_open

    @property
    def may_have_pending(self) -> bool:
        """Whether there are bytes not yet sent."""
        return bool(self._data)

    def pending(self) -> int:
        """Return the number of bytes not yet sent."""
        return len(self._data) - self._taken

    @property
    def is_free(self) -> bool:
        """Whether the mailbox is being emptied, and empty."""
        return self._is_open and not self._data

    def write(self, data: bytes) -> None:
        """Put in bytes. Allowed only while the mailbox is empty."""
        if self._is_open:
            self._data = data
            self._taken = 0
            self._news.set()

    def abort(self) -> None:
        """Discard the content and end `chunks`. `is_cut` tells this apart from a normal end."""
        self.is_cut = True
        self.close()
        self._data = b""
        self._taken = 0

    def close(self) -> None:
        """End `chunks` once the mailbox is empty."""
        self._is_open = False
        self._news.set()

    def took(self, count: int) -> None:
        """Record that part of the chunk was sent: a client that takes a little is not stalled."""
        self._taken = min(self._taken + count, max(0, len(self._data) - 1))

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield each write as it comes. It stays pending until the next one is asked for."""
        while True:
            await self._news.wait()
            self._news.clear()
            if self._data:
                yield self._data
                self._data = b""
                self._taken = 0
                if self._is_open and self.on_free is not None:
                    self.on_free()
            if not self._is_open and not self._data:
                return
