"""The two lanes: how a subscriber's bytes reach its socket.

On the standard lane they wait in a mailbox until a task of the client's own has sent them through ASGI: it works on any
server. On the fast lane, where the launcher has put the connection into `live_connection`, the flush writes them to the
connection's transport itself.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Protocol

from quart_odds.broadcast.subscriber import Sink


class LiveConnection(Protocol):
    """A connection whose transport the flush may write to, past the server."""

    def websocket_sink(self) -> Sink | None:
        """Somewhere to write WebSocket frames; None where the protocol is another or not open."""

    def stream_sink(self) -> Sink | None:
        """Somewhere to write chunks of the response that has begun; None where it is not chunked HTTP/1.1."""

    def detach(self) -> None:
        """Give the connection back to the server: nothing more is written past it."""

    def abort(self) -> None:
        """Cut the connection."""


live_connection: ContextVar[LiveConnection | None] = ContextVar("quart_odds.live_connection", default=None)
"""The connection that the current request or WebSocket came on; None under other servers and in tests."""


class MailboxSink:
    """Room for one write at a time, emptied by `chunks`: the standard lane."""

    def __init__(self) -> None:
        self.on_free: Callable[[], None] | None = None
        self._data = b""
        self._taken = 0
        self._is_open = True
        self.is_cut = False
        self._news = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether anybody still empties it."""
        return self._is_open

    @property
    def pending(self) -> int:
        """Bytes that are not sent yet."""
        return len(self._data) - self._taken

    def write(self, data: bytes) -> None:
        """Put bytes in; only when it is empty."""
        self._data = data
        self._taken = 0
        self._news.set()

    def abort(self) -> None:
        """Let go of what is in it, and end `chunks`: `is_cut` says that this was no end of what there was."""
        self.is_cut = True
        self.close()
        self._data = b""
        self._taken = 0

    def close(self) -> None:
        """End `chunks` once it is empty."""
        self._is_open = False
        self._news.set()

    def took(self, count: int) -> None:
        """Some bytes of the chunk are sent: a client that takes a little is not one that takes nothing."""
        self._taken = min(self._taken + count, max(0, len(self._data) - 1))

    async def chunks(self) -> AsyncIterator[bytes]:
        """What is put in, as it comes; each is pending until the next is asked for."""
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
