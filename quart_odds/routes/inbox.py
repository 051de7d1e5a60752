"""What a WebSocket client sends, bounded: a full inbox makes the server stop reading from that client."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from quart.asgi import ASGIWebsocketConnection

if TYPE_CHECKING:
    from hypercorn.typing import WebsocketScope
    from quart import Quart

INBOX_MESSAGES = 8
SCOPE_KEY = "quart_odds.inbox"


class InboxEndedError(Exception):
    """Raised by `get` once our side has ended the connection."""


class Inbox:
    """A bounded queue that our side can end at once, whatever is in it. Quart's own has no bound."""

    def __init__(self, size: int = INBOX_MESSAGES) -> None:
        self._size = size
        self._messages: deque[str | bytes | None] = deque()
        self._is_ended = False
        self._waiting: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    async def put(self, message: str | bytes | None) -> None:
        """Add a message; waits while the inbox is full. After `end` nobody will read it, and it is thrown away."""
        while len(self._messages) >= self._size and not self._is_ended:
            self._room = asyncio.get_running_loop().create_future()
            await self._room
        if not self._is_ended:
            self._messages.append(message)
            _wake(self._waiting)

    async def get(self) -> str | bytes | None:
        """The next message, in order. Raises InboxEndedError once `end` was called."""
        while not self._messages and not self._is_ended:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        if self._is_ended:
            raise InboxEndedError
        message = self._messages.popleft()
        _wake(self._room)
        return message

    def end(self) -> None:
        """Whoever waits in `get`, now or later, is told that it is over."""
        self._is_ended = True
        self._messages.clear()
        _wake(self._waiting)
        _wake(self._room)


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)


class BoundedWebsocketConnection(ASGIWebsocketConnection):
    """Quart's connection with a bounded inbox, which the route finds in the scope."""

    def __init__(self, app: "Quart", scope: "WebsocketScope") -> None:
        super().__init__(app, scope)
        self.queue = Inbox()  # type: ignore[assignment]
        scope[SCOPE_KEY] = self.queue  # type: ignore[literal-required]
