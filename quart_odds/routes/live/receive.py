"""What a WebSocket client sends, read when the route asks for it, so that nothing of it piles up with us.

Quart has a task of its own empty the server's bounded queue into one without a bound, and another for the handler. Here
the route reads from the server itself, in one task: a client that floods fills the server's queue, which then stops
reading from it, and an idle connection is 4 KB smaller.
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
    """Raised by `get` once our side has ended the connection."""


class ReceiveQueue:
    """What comes from one client, for one reader, which our side can end at once, whatever is still to be read."""

    __slots__ = ("_is_ended", "_reader", "has_left", "receive")

    def __init__(self) -> None:
        self.receive: ASGIReceiveCallable
        self.has_left = False
        self._is_ended = False
        self._reader: asyncio.Task[object] | None = None

    async def get(self) -> str | bytes | None:
        """The next message, in order. Raises InboxEndedError once `end` was called.

        When the client has left it raises CancelledError, as Quart cancels a handler then.
        """
        while not self._is_ended:
            self._reader = reader = asyncio.current_task()
            try:
                event = await self.receive()
            except asyncio.CancelledError:
                # Our own doing, unless someone else has cancelled the task as well.
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
        """Whoever waits in `get`, now or later, is told that it is over."""
        if not self._is_ended:
            self._is_ended = True
            if self._reader is not None:
                self._reader.cancel()


class BoundedWebsocketConnection(ASGIWebsocketConnection):
    """Quart's connection, in one task, with a queue of what comes that the route finds in the scope.

    The handler has to read: it learns only there that the client has left.
    """

    def __init__(self, app: "Quart", scope: "WebsocketScope") -> None:
        super().__init__(app, scope)
        self.queue = ReceiveQueue()  # type: ignore[assignment]
        scope[SCOPE_KEY] = self.queue  # type: ignore[literal-required]

    async def __call__(self, receive: "ASGIReceiveCallable", send: "ASGISendCallable") -> None:
        """Serve one connection to its end."""
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
        """Let the client take our close frame: closed with something of its unread, TCP would reset the connection,
        and the reset would overtake that frame.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while (await receive())["type"] != "websocket.disconnect":
                    pass
