"""What a WebSocket client sends: read only when the route asks for it, so messages never pile up in the process.

Quart uses one task to move messages from the server's bounded queue to an unbounded one, and another for the handler.
Here the route reads from the server directly, in a single task. A client that floods fills the server's queue, and the
server then stops reading from that client. An idle connection takes 4 KB less memory.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING

from quart.asgi import ASGIWebsocketConnection
from quart.signals import websocket_received

from quart_odds.routes.access.same_origin import check_host

if TYPE_CHECKING:
    from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, WebsocketScope
    from quart import Quart

SCOPE_KEY = "quart_odds.received"
LINGER_SECONDS = 2.0


class ReceiveEndedError(Exception):
    """Raised by `get` once the server has ended the connection."""


class ReceiveQueue:
    """Messages from one client, for one reader. The server can end it at any time, even with messages unread."""

    __slots__ = ("_is_ended", "_reader", "has_left", "receive")

    def __init__(self) -> None:
        self.receive: ASGIReceiveCallable
        self.has_left = False
        self._is_ended = False
        self._reader: asyncio.Task[object] | None = None

    async def get(self) -> str | bytes | None:
        """Return the next message, in order. Raises ReceiveEndedError once `end` has been called.

        Raises CancelledError if the client has left: Quart also cancels a handler in that case.
        """
        while not self._is_ended:
            self._reader = reader = asyncio.current_task()
            try:
                event = await self.receive()
            except asyncio.CancelledError:
                # `end` cancelled the reader, unless something else has cancelled the task as well.
                if not self._is_ended or (reader is not None and reader.uncancel()):
                    raise
                break
            finally:
                self._reader = None
            if event["type"] == "websocket.disconnect":
                self.has_left = True
                raise asyncio.CancelledError
            if event["type"] == "websocket.receive":
                message = event.get("bytes") or event["text"]
                await websocket_received.send_async(message)
                return message
        raise ReceiveEndedError

    def end(self) -> None:
        """End the queue: a `get` that waits now, and every later one, raises."""
        if not self._is_ended:
            self._is_ended = True
            if self._reader is not None:
                self._reader.cancel()


class BoundedWebsocketConnection(ASGIWebsocketConnection):
    """Quart's connection, in a single task. It puts the queue of received messages into the scope for the route.

    The handler has to read: only reading tells it that the client has left.
    """

    def __init__(self, app: "Quart", scope: "WebsocketScope") -> None:
        super().__init__(app, scope)
        self.queue = ReceiveQueue()  # type: ignore[assignment]
        scope[SCOPE_KEY] = self.queue  # type: ignore[literal-required]

    async def __call__(self, receive: "ASGIReceiveCallable", send: "ASGISendCallable") -> None:
        """Serve one connection until it ends."""
        received: ReceiveQueue = self.scope[SCOPE_KEY]  # type: ignore[literal-required]
        received.receive = receive
        check_host(self.app, self.scope)
        websocket = self._create_websocket_from_scope(send)
        try:
            await self.handle_websocket(websocket, send)
        except asyncio.CancelledError:
            if not received.has_left:
                raise
        else:
            if self._closed:
                await self._linger(receive)

    async def _linger(self, receive: "ASGIReceiveCallable") -> None:
        """Give the client time to take our close frame.

        If the socket were closed with unread data, TCP would reset the connection, and the reset would overtake the
        frame.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while (await receive())["type"] != "websocket.disconnect":
                    pass
