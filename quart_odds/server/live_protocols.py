"""Live connections after their start: one small object each, without a task, a queue or a parser.

Once a WebSocket is open, or the head of an event stream is sent, nothing of the server is needed any more. The
connection's transport then calls one of these objects. Messages for the peer are written by the flush, past everything.
What the peer sends is read by a `frames.FrameReader`, which exists only while the peer sends something.

Rules: write nothing after the close frame or the final chunk, and nothing to a transport that is closing. Its file
descriptor may belong to another connection.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator

from quart_odds.broadcast.lane import Listener
from quart_odds.routes.access.refusals import refusals
from quart_odds.server.connection import (
    DISCARD_PAUSE_SECONDS,
    LINGER_SECONDS,
    REFUSED_SECONDS,
    open_connections,
)
from quart_odds.server.deadlines import Deadlines
from quart_odds.server.frames import FrameReader, Left, Received, Refused, Reply, Step
from quart_odds.server.live_connections import live_connections

INBOUND_BYTES = 64 * 1024
"""Maximum size of a message from a peer."""
QUIET_SECONDS = 5.0
"""How long a reader is kept after the last bytes of its peer: by then, its limits are as they are for a new one."""

FINAL_CHUNK = b"0\r\n\r\n"

NO_DESCRIPTOR = -1
"""A descriptor that no write accepts."""

Resume = Callable[[asyncio.Transport, bytes], None]
"""Gives a connection back to the server, with what its peer has sent meanwhile."""


class _LiveProtocol(asyncio.Protocol):
    """What WebSockets and event streams have in common: the sink that the flush writes to, and a linger at the end."""

    __slots__ = ("_descriptor", "_is_ended", "_is_full", "_listener", "_transport", "may_have_pending")

    def __init__(self, transport: asyncio.Transport, listener: Listener) -> None:
        self._transport = transport
        self._descriptor = _descriptor(transport)
        # The end of the handshake or of the response's head may still be there.
        self.may_have_pending = True
        self._listener: Listener | None = listener
        self._is_ended = False
        # The protocol before may have been told of this, and will not hear the end of it.
        self._is_full = transport.get_write_buffer_size() > transport.get_write_buffer_limits()[1]
        live_connections.add(self)

    @property
    def is_open(self) -> bool:
        """Whether messages may be written."""
        return self._listener is not None and not self._transport.is_closing()

    def pending(self) -> int:
        """Return the number of bytes that the kernel has not taken yet."""
        if not self.may_have_pending:
            return 0
        count = self._transport.get_write_buffer_size()
        self.may_have_pending = count > 0
        return count

    @property
    def is_free(self) -> bool:
        """Whether messages may be written now."""
        return self.is_open and not self.pending()

    def write(self, data: bytes) -> None:
        """Pass bytes to the kernel, and to the transport's buffer what the kernel does not take.

        uvloop's transport would buffer them all, and pass them on after the flush. The descriptor is the connection's
        for as long as it has a listener: a transport closes it only after `connection_lost`.
        """
        try:
            written = os.write(self._descriptor, data)
        except OSError:
            # The kernel takes nothing now, the peer is gone, or there is no descriptor: the transport's to deal with.
            written = 0
        if written < len(data) and self.is_open:
            self._buffer(data[written:])

    def _buffer(self, data: bytes) -> None:
        """Let the transport write bytes, now or later. All writes that are not the flush's take this way."""
        self.may_have_pending = True
        self._transport.write(data)

    def abort(self) -> None:
        """Cut the connection."""
        self._let_go()
        self._transport.abort()

    def pause_writing(self) -> None:
        """Note that the peer takes less than it is sent."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Note that the peer has taken what it was sent."""
        self._is_full = False

    def eof_received(self) -> None:
        """End the connection: the peer sends nothing more. The transport closes once it has sent what it has."""
        self._let_go()
        lingering.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._let_go()
        live_connections.discard(self)
        lingering.discard(self)

    def discard_more(self) -> None:
        """Discard what arrives, but not all the time: it costs next to nothing, however much arrives."""
        self._transport.pause_reading()
        asyncio.get_running_loop().call_later(DISCARD_PAUSE_SECONDS, self._read_on)

    def _read_on(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _let_go(self) -> None:
        """Tell the listener, once, that nothing more can be sent."""
        listener, self._listener = self._listener, None
        self._descriptor = NO_DESCRIPTOR
        if listener is not None:
            listener.left()

    def _end(self, after: float = 0.0) -> None:
        """Send nothing more, and discard what arrives. If the peer does not close the connection, it is cut.

        A connection that is closed with data unread is reset, and the reset overtakes the last message.
        """
        self._is_ended = True
        self._let_go()
        lingering.add(self)
        self._read_on()
        if after:
            asyncio.get_running_loop().call_later(after, self._end_writing)
        else:
            self._end_writing()

    def _end_writing(self) -> None:
        # A peer that has already gone needs no EOF.
        if not self._transport.is_closing():
            with contextlib.suppress(OSError):
                self._transport.write_eof()


def _descriptor(transport: asyncio.Transport) -> int:
    """Return the file descriptor to which a transport writes bytes as they are, or NO_DESCRIPTOR."""
    connected = transport.get_extra_info("socket")
    return NO_DESCRIPTOR if connected is None or transport.get_extra_info("sslcontext") else int(connected.fileno())


lingering: Deadlines[_LiveProtocol] = Deadlines(LINGER_SECONDS, lambda late: late.abort())
"""Connections that have been told their end: their peers have this long to take it and to close."""


class _Inbound:
    """What a peer is sending: its reader, and what of it has not been read yet."""

    __slots__ = ("reader", "steps", "unread")

    def __init__(self) -> None:
        self.reader = FrameReader(INBOUND_BYTES)
        self.steps: Iterator[list[Step]] | None = None
        self.unread = b""

    @property
    def is_idle(self) -> bool:
        """Whether nothing has begun, and nothing waits."""
        return self.steps is None and not self.unread and self.reader.is_between_messages


class LiveWebSocket(_LiveProtocol):
    """A WebSocket that is open."""

    __slots__ = ("_inbound",)

    def __init__(self, transport: asyncio.Transport, listener: Listener) -> None:
        super().__init__(transport, listener)
        self._inbound: _Inbound | None = None

    def begin(self, early: bytes) -> None:
        """Read what the peer has sent so far, once the listener is ready, and before all that it sends from now on."""
        if early:
            self._transport.pause_reading()
            self._reading().unread = early
            asyncio.get_running_loop().call_soon(self._go_on)
        else:
            self._transport.resume_reading()

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, and wait for that of the peer. Only the first call has an effect."""
        if not self.is_open:
            return
        self._let_go()
        self._buffer(self._reading().reader.close(code, reason))
        lingering.add(self)

    def data_received(self, data: bytes) -> None:
        """Read what the peer sends."""
        if self._is_ended:
            self.discard_more()
            return
        if self._listener is not None:
            self._listener.heard()
        inbound = self._reading()
        inbound.unread += data
        if inbound.steps is None:
            self._go_on()

    def resume_writing(self) -> None:
        """Go on with what the peer has sent: it has taken what it was sent."""
        super().resume_writing()
        if self._inbound is not None and (self._inbound.steps is not None or self._inbound.unread):
            self._go_on()

    def rest(self) -> None:
        """Drop the reader if there is nothing that it has begun to read."""
        if self._inbound is not None and not self._is_ended:
            if self._inbound.is_idle:
                self._inbound = None
            else:
                quiet.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        quiet.discard(self)
        self._inbound = None

    def _reading(self) -> _Inbound:
        if self._inbound is None:
            self._inbound = _Inbound()
        quiet.add(self)
        return self._inbound

    def _go_on(self) -> None:
        """Carry out one slice of what the peer has sent, so that others get a turn, and read on once all is done.

        While the peer does not take the replies, what it sends is left unread.
        """
        inbound = self._inbound
        if inbound is None or self._is_ended or self._transport.is_closing():
            return
        if self._is_full:
            self._transport.pause_reading()
            return
        if inbound.steps is None:
            data, inbound.unread = inbound.unread, b""
            inbound.steps = inbound.reader.read(data)
        for step in next(inbound.steps, ()):
            self._carry_out(step)
        if self._is_ended or self._transport.is_closing():
            return
        if not inbound.reader.has_more:
            inbound.steps = None
        if inbound.steps is not None or inbound.unread:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._go_on)
        else:
            self._transport.resume_reading()

    def _carry_out(self, step: Step) -> None:
        match step:
            case Reply(data):
                # A message of the same slice may have had the listener close: nothing may follow our close frame.
                if self._listener is not None:
                    self._buffer(data)
            case Received(message):
                if self._listener is not None:
                    self._listener.take(message)
            case Left(reply):
                self._send_last(reply)
                self._end()
            case Refused(code, reason, reply):
                refusals.count(f"websocket_{int(code)}")
                refusals.tell("peer.refused", f"websocket {int(code)}", code=int(code), reason=reason, **self._named())
                self._send_last(reply)
                self._end(REFUSED_SECONDS)

    def _named(self) -> dict[str, str]:
        """Return what a log line says of the connection."""
        return {} if self._listener is None else {"connection_id": self._listener.connection_id}

    def _send_last(self, frame: bytes) -> None:
        if frame and not self._transport.is_closing():
            self._buffer(frame)


quiet: Deadlines[LiveWebSocket] = Deadlines(QUIET_SECONDS, LiveWebSocket.rest)
"""WebSockets that have a reader."""


class LiveStream(_LiveProtocol):
    """An event stream whose head was sent, as chunks of an HTTP/1.1 response."""

    __slots__ = ("_early", "_resume")

    def __init__(self, transport: asyncio.Transport, listener: Listener, resume: Resume | None) -> None:
        super().__init__(transport, listener)
        self._resume = resume
        self._early = b""

    def begin(self, early: bytes) -> None:
        """Keep what the peer has sent so far, as the begin of its next request."""
        self._early = early
        if early:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def finish(self, last: bytes) -> None:
        """End the response after a last chunk of data. The connection then serves the next request, if it can."""
        if not self.is_open:
            return
        self._let_go()
        self._buffer(b"%x\r\n%b\r\n%b" % (len(last), last, FINAL_CHUNK) if last else FINAL_CHUNK)
        if self._resume is None or self._is_full or open_connections.is_handed_over:
            self._end()
            return
        live_connections.discard(self)
        resume, self._resume = self._resume, None
        resume(self._transport, self._early)

    def data_received(self, data: bytes) -> None:
        """Keep the begin of a next request, and leave the rest of it unread until this response has ended."""
        if self._is_ended:
            self.discard_more()
            return
        self._early += data
        self._transport.pause_reading()
