"""Hypercorn's WebSocket over HTTP/1.1, metered, and with complete close handshakes.

It differs from Hypercorn on purpose in these ways:

- Frames are counted, and their lengths checked, before anything is parsed. A peer that exceeds the limits in `metering`
  is closed with 1008 or 1009, and anything it still sends is discarded.
- permessage-deflate is declined: its state costs 92 KB per client, and frames would differ between clients.
- A peer is told why its connection is closed.
- Close code 1014 is accepted. It is registered, but wsproto does not know it.
- A connection whose handshake is refused is closed.
"""

import asyncio
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypercorn.protocol.events import Data, Event, Request, StreamClosed
from hypercorn.protocol.ws_stream import FrameTooLargeError, WSStream
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, Message, Ping
from wsproto.frame_protocol import CloseReason, Frame, FrameProtocol, ParseFailed
from wsproto.utilities import LocalProtocolError

from quart_odds.routes.access.limits import TokenBucket
from quart_odds.routes.access.refusals import refusals
from quart_odds.server.connection import current_connection
from quart_odds.server.http11 import let_go
from quart_odds.server.metering import (
    FRAMES_A_SECOND,
    FRAMES_AT_ONCE,
    SLICE_FRAMES,
    WEBSOCKET_BYTES_A_SECOND,
    WEBSOCKET_BYTES_AT_ONCE,
    FrameScanner,
)

if TYPE_CHECKING:
    from hypercorn.typing import ASGISendEvent, WebsocketAcceptEvent

BAD_GATEWAY = 1014


class MeteredWSStream(WSStream):
    """One WebSocket, from its handshake to its close."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._bytes = TokenBucket(WEBSOCKET_BYTES_A_SECOND, WEBSOCKET_BYTES_AT_ONCE)
        self._frames = TokenBucket(FRAMES_A_SECOND, FRAMES_AT_ONCE)
        self._scanner = FrameScanner(self.config.websocket_max_message_size)

    async def handle(self, event: Event) -> None:
        """Process an event from the peer."""
        if isinstance(event, Data) and self.handshake.accepted and not self.closed:
            await self._take(event.data)
            return
        if isinstance(event, Request):
            headers = [each for each in event.headers if each[0].lower() != b"sec-websocket-extensions"]
            event = replace(event, headers=headers)
        was_closed = self.closed
        await super().handle(event)
        if self.closed and not was_closed and not isinstance(event, StreamClosed):
            # Hypercorn has answered this handshake with 400, but has neither told the app nor closed the connection.
            if self.app_put is not None:
                await self.app_put({"type": "websocket.disconnect", "code": CloseReason.ABNORMAL_CLOSURE.value})
            await self.send(StreamClosed(stream_id=self.stream_id))

    async def app_send(self, message: "ASGISendEvent | None") -> None:
        """Forward what the app sends."""
        if message is None:
            self.app_put = let_go(self.app_put)
        await super().app_send(message)

    async def _accept(self, message: "WebsocketAcceptEvent") -> None:
        await super()._accept(message)
        self.connection._proto = _Frames(client=False, extensions=[])

    async def _take(self, data: bytes) -> None:
        """Parse the bytes in slices, so that other connections get a turn. Refuse too many or too long frames."""
        if not self._bytes.take(len(data)):
            await self._refuse(CloseReason.POLICY_VIOLATION, "too many bytes")
            return
        position = 0
        while position < len(data) and not self.closed:
            end, frames = self._scanner.cut(data, position, SLICE_FRAMES)
            if not self._frames.take(frames):
                await self._refuse(CloseReason.POLICY_VIOLATION, "too many frames")
                return
            self.connection.receive_data(data[position:end])
            await self._handle_events()
            position = end
            if self._scanner.is_too_long and not self.closed:
                await self._refuse(CloseReason.MESSAGE_TOO_BIG)
            elif position < len(data):
                await asyncio.sleep(0)

    async def _handle_events(self) -> None:
        pongs = bytearray()
        for event in self.connection.events():
            if isinstance(event, Ping):
                # All pongs of a slice are sent in one write. Separate writes would cost more than the rest of the ping
                # handling.
                pongs += self._pong(event)
                continue
            await self._send_bytes(pongs)
            if isinstance(event, Message):
                try:
                    self.buffer.extend(event)
                except FrameTooLargeError:
                    await self._refuse(CloseReason.MESSAGE_TOO_BIG)
                    return
                if event.message_finished:
                    message = self.buffer.to_message()
                    self.buffer.clear()
                    assert self.app_put is not None
                    await self.app_put(message)
            elif isinstance(event, CloseConnection):
                if self.connection.state is ConnectionState.REMOTE_CLOSING:
                    await self._send_wsproto_event(event.response())
                elif self.connection.state is ConnectionState.OPEN:
                    # The peer sent something that is not a frame, or not UTF-8. Send it the parser's verdict.
                    await self._send_wsproto_event(event)
                await self.send(StreamClosed(stream_id=self.stream_id))
        await self._send_bytes(pongs)

    def _pong(self, ping: Ping) -> bytes:
        try:
            return self.connection.send(ping.response())
        except LocalProtocolError:
            # Our close frame is on its way; nothing may follow it.
            return b""

    async def _send_bytes(self, pending: bytearray) -> None:
        if pending:
            data = bytes(pending)
            pending.clear()
            await self.send(Data(stream_id=self.stream_id, data=data))

    async def _refuse(self, code: CloseReason, reason: str | None = None) -> None:
        """Close with a code, and discard what the peer still sends."""
        self.buffer.clear()
        refusals.tell("peer.refused", f"websocket {int(code)}", code=int(code), reason=reason or "a message too long")
        # Before the close frame, because sending that to a peer that does not read would wait forever.
        current_connection.get().refuse()
        await self._send_wsproto_event(CloseConnection(code=code, reason=reason))
        await self.send(StreamClosed(stream_id=self.stream_id))


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
