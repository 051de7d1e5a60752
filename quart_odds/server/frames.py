"""What a WebSocket peer sends, from bytes to messages: metered, parsed in slices, without sockets and without waiting.

wsproto parses the frames. What it does differs on purpose in two ways: frames are counted, and their lengths checked,
before anything is parsed; and close code 1014 is accepted, which is registered, but unknown to wsproto.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO, StringIO

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, TextMessage
from wsproto.frame_protocol import CloseReason, Frame, FrameProtocol, ParseFailed
from wsproto.utilities import LocalProtocolError

from quart_odds.routes.access.limits import TokenBucket
from quart_odds.server.metering import (
    FRAMES_A_SECOND,
    FRAMES_AT_ONCE,
    SLICE_FRAMES,
    WEBSOCKET_BYTES_A_SECOND,
    WEBSOCKET_BYTES_AT_ONCE,
    FrameScanner,
)

BAD_GATEWAY = 1014


@dataclass(frozen=True, slots=True)
class Reply:
    """Bytes to send: pongs."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """A whole message."""

    message: str | bytes


@dataclass(frozen=True, slots=True)
class Left:
    """The peer has closed, or sent what is not a frame. `reply` is the close frame to send, if there is one to send."""

    reply: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """The peer exceeds a limit: send `reply`, if there is one, and discard what it still sends."""

    code: CloseReason
    reason: str
    reply: bytes


Step = Reply | Received | Left | Refused


class FrameReader:
    """The frames of one peer, and the state of its close handshake.

    `read` yields the steps of one slice of frames at a time, so that others get a turn in between. `has_more` says
    whether there are further slices. After Left and Refused nothing is yielded: the rest is to be discarded. A server
    that also sends by wsproto uses `connection` for that.
    """

    __slots__ = ("_bytes", "_frames", "_message", "_most_bytes", "_scanner", "_size", "connection", "has_more")

    def __init__(self, most_bytes: int) -> None:
        self.connection = Connection(ConnectionType.SERVER)
        self.connection._proto = _Frames(client=False, extensions=[])
        self._bytes = TokenBucket(WEBSOCKET_BYTES_A_SECOND, WEBSOCKET_BYTES_AT_ONCE)
        self._frames = TokenBucket(FRAMES_A_SECOND, FRAMES_AT_ONCE)
        self._scanner = FrameScanner(most_bytes)
        self._most_bytes = most_bytes
        self._message: StringIO | BytesIO | None = None
        self._size = 0
        self.has_more = False

    @property
    def is_between_messages(self) -> bool:
        """Whether nothing is open: neither a frame, nor a message in fragments, nor a close handshake."""
        is_open = self.connection.state is ConnectionState.OPEN
        return self._message is None and self._scanner.is_between_frames and is_open

    def close(self, code: int, reason: str | None = None) -> bytes:
        """Return the close frame, after which nothing may be sent; empty if one has been sent already."""
        try:
            return self.connection.send(CloseConnection(code, reason or None))
        except LocalProtocolError:
            return b""

    def read(self, data: bytes) -> Iterator[list[Step]]:
        """Yield what to do for what the peer has sent, slice by slice."""
        self.has_more = False
        if not self._bytes.take(len(data)):
            yield [self._refuse(CloseReason.POLICY_VIOLATION, "too many bytes")]
            return
        position = 0
        while position < len(data):
            end, frames = self._scanner.cut(data, position, SLICE_FRAMES)
            if not self._frames.take(frames):
                yield [self._refuse(CloseReason.POLICY_VIOLATION, "too many frames")]
                return
            self.connection.receive_data(data[position:end])
            steps = self._steps()
            is_over = bool(steps) and isinstance(steps[-1], Left | Refused)
            if self._scanner.is_too_long and not is_over:
                is_over = True
                steps.append(self._refuse(CloseReason.MESSAGE_TOO_BIG, ""))
            position = end
            self.has_more = position < len(data) and not is_over
            yield steps
            if is_over:
                return

    def _steps(self) -> list[Step]:
        steps: list[Step] = []
        pongs = bytearray()

        def add(step: Step) -> None:
            # All pongs up to here are sent in one write. Separate writes would cost more than the rest of the ping
            # handling.
            if pongs:
                steps.append(Reply(bytes(pongs)))
                pongs.clear()
            steps.append(step)

        for event in self.connection.events():
            if isinstance(event, Ping):
                pongs += self._pong(event)
            elif isinstance(event, Message):
                message = self._message
                if message is None:
                    message = self._message = BytesIO() if isinstance(event, BytesMessage) else StringIO()
                    self._size = 0
                message.write(event.data)
                # In bytes, as in the header of a frame: a character may have four.
                self._size += len(event.data.encode() if isinstance(event, TextMessage) else event.data)
                if self._size > self._most_bytes:
                    add(self._refuse(CloseReason.MESSAGE_TOO_BIG, ""))
                    return steps
                if event.message_finished:
                    self._message = None
                    add(Received(message.getvalue()))
            elif isinstance(event, CloseConnection):
                add(Left(self._answer(event)))
                return steps
        if pongs:
            steps.append(Reply(bytes(pongs)))
        return steps

    def _pong(self, ping: Ping) -> bytes:
        try:
            return self.connection.send(ping.response())
        except LocalProtocolError:
            # Our close frame is on its way; nothing may follow it.
            return b""

    def _answer(self, event: CloseConnection) -> bytes:
        if self.connection.state is ConnectionState.REMOTE_CLOSING:
            return self.connection.send(event.response())
        # Otherwise the peer has answered our close frame; or, if there was none, it sent something that is not a frame
        # or not UTF-8, and gets the parser's verdict.
        return self.close(event.code, event.reason) if self.connection.state is ConnectionState.OPEN else b""

    def _refuse(self, code: CloseReason, reason: str) -> Refused:
        self._message = None
        return Refused(code, reason or "a message too long", self.close(code, reason))


class _Frames(FrameProtocol):
    """wsproto's frames, with the close code that it does not know."""

    def _process_close(self, frame: Frame) -> Frame:
        data = frame.payload
        if not isinstance(data, (bytes, bytearray)) or data[:2] != struct.pack("!H", BAD_GATEWAY):
            return super()._process_close(frame)
        try:
            reason = data[2:].decode()
        except UnicodeDecodeError as error:
            raise ParseFailed(str(error), CloseReason.INVALID_FRAME_PAYLOAD_DATA) from error
        return frame._replace(payload=(BAD_GATEWAY, reason))
