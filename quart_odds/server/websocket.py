"""Hypercorn's WebSocket over HTTP/1.1, metered, and with complete close handshakes.

It differs from Hypercorn on purpose in these ways:

- Frames are read as `frames` describes. A peer that exceeds the limits in `metering` is closed with 1008 or 1009, and
  anything it still sends is discarded.
- permessage-deflate is declined: its state costs 92 KB per client, and frames would differ between clients.
- A peer is told why its connection is closed.
- A connection whose handshake is refused is closed.
"""

import asyncio
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from hypercorn.protocol.events import Data, Event, Request, StreamClosed
from hypercorn.protocol.ws_stream import WSStream
from wsproto.frame_protocol import CloseReason

from quart_odds.routes.access.refusals import refusals
from quart_odds.server.connection import current_connection
from quart_odds.server.frames import FrameReader, Left, Received, Refused, Reply, Step
from quart_odds.server.http11 import let_go

if TYPE_CHECKING:
    from hypercorn.typing import ASGISendEvent, WebsocketAcceptEvent


class MeteredWSStream(WSStream):
    """One WebSocket, from its handshake to its close."""

    _frames: FrameReader

    async def handle(self, event: Event) -> None:
        """Process an event from the peer."""
        if isinstance(event, Data) and not self.closed:
            if self.handshake.accepted:
                await self._take(event.data)
            else:
                await self._refuse_early_frames()
            return
        if isinstance(event, Request):
            headers = [each for each in event.headers if each[0].lower() != b"sec-websocket-extensions"]
            event = replace(event, headers=headers)
        await super().handle(event)
        if isinstance(event, Request) and self.closed:
            # Hypercorn has refused this handshake, but has not closed the connection.
            await self.send(StreamClosed(stream_id=self.stream_id))

    async def _refuse_early_frames(self) -> None:
        """Answer frames that come before the handshake is complete with 400. The app cannot accept it any more."""
        self.closed = True
        await self._send_error_response(HTTPStatus.BAD_REQUEST)
        assert self.app_put is not None
        await self.app_put({"type": "websocket.disconnect", "code": CloseReason.ABNORMAL_CLOSURE.value})
        await self.send(StreamClosed(stream_id=self.stream_id))

    async def app_send(self, message: "ASGISendEvent | None") -> None:
        """Forward what the app sends."""
        if message is None:
            self.app_put = let_go(self.app_put)
        await super().app_send(message)

    async def _accept(self, message: "WebsocketAcceptEvent") -> None:
        self._frames = FrameReader(self.config.websocket_max_message_size)
        await super()._accept(message)
        # What the app sends goes through the same connection, which knows whether a close frame was sent.
        self.connection = self._frames.connection

    async def _take(self, data: bytes) -> None:
        for steps in self._frames.read(data):
            for step in steps:
                await self._carry_out(step)
            if self.closed:
                return
            if self._frames.has_more:
                await asyncio.sleep(0)

    async def _carry_out(self, step: Step) -> None:
        match step:
            case Reply(data):
                await self._send_bytes(data)
            case Received(message):
                is_text = isinstance(message, str)
                assert self.app_put is not None
                await self.app_put(
                    {
                        "type": "websocket.receive",
                        "bytes": None if is_text else message,
                        "text": message if is_text else None,
                    }
                )
            case Left(reply):
                await self._send_bytes(reply)
                await self.send(StreamClosed(stream_id=self.stream_id))
            case Refused(code, reason, reply):
                refusals.count(f"websocket_{int(code)}")
                refusals.tell("peer.refused", f"websocket {int(code)}", code=int(code), reason=reason)
                # Before the close frame, because sending that to a peer that does not read would wait forever.
                current_connection.get().refuse()
                await self._send_bytes(reply)
                await self.send(StreamClosed(stream_id=self.stream_id))

    async def _send_bytes(self, data: bytes) -> None:
        if data:
            await self.send(Data(stream_id=self.stream_id, data=data))
