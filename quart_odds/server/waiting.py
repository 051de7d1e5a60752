"""A connection on which no request has begun yet.

It costs a small object, and the server's parts are made with the first byte: thousands of peers that connect and send
nothing take next to no memory.
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import cast

from quart_odds.routes.access.limits import TokenBucket
from quart_odds.server.connection import has_unread, open_connections
from quart_odds.server.deadlines import Deadlines
from quart_odds.server.http11 import early_requests, new_pipeline
from quart_odds.server.live_connections import live_connections

KEEP_ALIVE_SECONDS = 30.0
"""How long a connection may wait for a request."""

MakeProtocol = Callable[[], asyncio.BaseProtocol]


class WaitingConnection(asyncio.Protocol):
    """Waits for the first byte of a request, and then hands the transport to the protocol that serves it."""

    __slots__ = ("_is_kept", "_make_protocol", "_pipeline", "_transport")

    def __init__(self, make_protocol: MakeProtocol, pipeline: TokenBucket | None = None) -> None:
        self._make_protocol = make_protocol
        self._pipeline = pipeline
        self._is_kept = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait."""
        # uvloop's transports are asyncio's in everything but their type.
        self._transport = cast(asyncio.Transport, transport)
        self._begin()

    def take_back(self, transport: asyncio.Transport, early: bytes) -> None:
        """Wait for the next request on a connection that had one, of which some bytes may have arrived."""
        transport.set_protocol(self)
        self._transport = transport
        self._is_kept = True
        self._begin()
        transport.resume_reading()
        if early:
            # It counts as a request that was sent early, though the server is a new one for the connection.
            token = early_requests.set(self._pipeline or new_pipeline())
            try:
                self.data_received(early)
            finally:
                early_requests.reset(token)

    def data_received(self, data: bytes) -> None:
        """Hand the connection over, with what has arrived."""
        self._leave()
        protocol = self._make_protocol()
        assert isinstance(protocol, asyncio.Protocol)
        self._transport.set_protocol(protocol)
        token = making_protocols.set(self._make_protocol)
        try:
            protocol.connection_made(self._transport)
        finally:
            making_protocols.reset(token)
        protocol.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._leave()

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def close(self) -> None:
        """Close the connection: its peer had its time."""
        self._transport.close()

    @property
    def may_bring_request(self) -> bool:
        """Whether the connection waits for a request after the first one."""
        return self._is_kept

    def end_if_kept(self) -> None:
        """Close the connection if it waits for a request after the first one, and none has arrived."""
        if self._is_kept and not has_unread(self._transport):
            self._transport.close()

    def _begin(self) -> None:
        live_connections.add(self)
        open_connections.add(self)
        waiting.add(self)

    def _leave(self) -> None:
        live_connections.discard(self)
        open_connections.discard(self)
        waiting.discard(self)


waiting: Deadlines[WaitingConnection] = Deadlines(KEEP_ALIVE_SECONDS, WaitingConnection.close)
"""All connections that wait for a request."""

making_protocols: ContextVar[MakeProtocol | None] = ContextVar("quart_odds.making_protocols", default=None)
"""What makes the server's protocol of the connection that begins now; None if connections do not wait here."""


def waiting_for(make_protocol: MakeProtocol) -> MakeProtocol:
    """Return what makes a connection that waits for its first byte before the server's protocol is made."""
    return lambda: WaitingConnection(make_protocol)
