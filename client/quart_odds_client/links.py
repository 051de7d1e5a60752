"""One connection each: what a stream reads from, over WebSocket or server-sent events, until it ends.

A link reads only when it is asked to. So a caller that is slow slows the server down, and nothing piles up here.
"""

import asyncio
import contextlib
import re
from collections.abc import Mapping
from typing import Protocol

import aiohttp
from yarl import URL

from quart_odds_client.errors import ConnectionRefused, Problem, ProtocolError, problem_of
from quart_odds_client.messages import ServerMessage, ServerNotice, parse_message
from quart_odds_client.options import Options, Transport

LARGEST_MESSAGE_BYTES = 64 << 20
CLOSE_SECONDS = 1.0
LARGEST_PROBLEM_BYTES = 64 << 10

FINAL_CODES = (1008, 1009, 4401)
"""Close codes after which another attempt would end in the same way: the client is wrong, or its token is over."""

LATER = (408, 425, 429)
"""Statuses below 500 that say nothing against another attempt."""

_RETRY = re.compile(r"retry_ms=([0-9]{1,9})")


class LinkEndedError(Exception):
    """Raised when a connection has ended, or cannot be made, and another attempt makes sense.

    `retry_seconds` is when the server asked to come back, None if it did not. `refusal` says that it answered, and how.
    """

    def __init__(
        self, reason: str, *, retry_seconds: float | None = None, refusal: ConnectionRefused | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_seconds = retry_seconds
        self.refusal = refusal


class Link(Protocol):
    """A connection."""

    transport: Transport

    async def read(self) -> ServerMessage | str:
        """Return the next message, or a cursor that comes without one.

        It may be cancelled, and loses nothing then. Raises LinkEndedError, ConnectionRefused and ProtocolError.
        """

    async def close(self) -> None:
        """End the connection. Idempotent."""


class WebSocketLink:
    """A WebSocket. Silence is answered with a ping; if that has no answer, the connection is lost."""

    transport: Transport = "websocket"

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse, where: str, options: Options) -> None:
        self._websocket = websocket
        self._where = where
        self._options = options
        self._is_asked = False
        self._error = Problem()

    @classmethod
    async def open(
        cls, session: aiohttp.ClientSession, url: URL, headers: Mapping[str, str], where: str, options: Options
    ) -> "WebSocketLink":
        """Connect. Raises LinkEndedError and ConnectionRefused."""
        try:
            websocket = await session.ws_connect(
                url,
                headers=headers,
                max_msg_size=LARGEST_MESSAGE_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
            )
        except aiohttp.WSServerHandshakeError as error:
            raise _refused(where, error.status, None) from error
        except (aiohttp.ClientError, OSError) as error:
            raise LinkEndedError(reason_of(error)) from error
        return cls(websocket, where, options)

    async def read(self) -> ServerMessage | str:
        """See Link."""
        while True:
            received = await self._receive()
            self._is_asked = False
            if received.type is not aiohttp.WSMsgType.TEXT:
                raise self._ended(received)
            message = parsed(received.data, None, self._where)
            if isinstance(message, ServerNotice):
                self._error = Problem(title=message.data.code, detail=message.data.detail)
            if message.type != "pong":
                return message

    async def _receive(self) -> aiohttp.WSMessage:
        options = self._options
        while True:
            try:
                async with asyncio.timeout(options.answer_seconds if self._is_asked else options.ping_seconds):
                    return await self._websocket.receive()
            except TimeoutError:
                if self._is_asked:
                    raise LinkEndedError("no answer to a ping") from None
                self._is_asked = True
                try:
                    await self._websocket.send_str('{"type": "ping"}')
                except (aiohttp.ClientError, OSError) as error:
                    raise LinkEndedError(reason_of(error)) from error

    def _ended(self, received: aiohttp.WSMessage) -> Exception:
        if received.type is aiohttp.WSMsgType.CLOSE:
            code, said = received.data, received.extra or ""
            if code in FINAL_CODES:
                problem = self._error if self._error.detail else Problem(detail=said)
                return ConnectionRefused(self._where, code=code, problem=problem)
            found = _RETRY.search(said)
            return LinkEndedError(said or f"code {code}", retry_seconds=int(found[1]) / 1000 if found else None)
        if received.type is aiohttp.WSMsgType.BINARY:
            return ProtocolError(self._where, "a binary message")
        if received.type is aiohttp.WSMsgType.ERROR:
            return LinkEndedError(reason_of(received.data))
        return LinkEndedError("connection lost")

    async def close(self) -> None:
        """See Link."""
        # A server that goes on sending may not hold up the end.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._websocket.close()


class EventStreamLink:
    """Server-sent events. Whatever the server sends, comments included, is a sign of life."""

    transport: Transport = "sse"

    def __init__(self, response: aiohttp.ClientResponse, where: str, options: Options) -> None:
        self._response = response
        self._where = where
        self._options = options
        self._rest = b""
        self._blocks: list[bytes] = []
        self._has_begun = False
        self._retry_seconds: float | None = None

    @classmethod
    async def open(
        cls, session: aiohttp.ClientSession, url: URL, headers: Mapping[str, str], where: str, options: Options
    ) -> "EventStreamLink":
        """Connect. Raises LinkEndedError, ConnectionRefused and ProtocolError."""
        try:
            response = await session.get(
                url,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=None, sock_read=None),
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError) as error:
            raise LinkEndedError(reason_of(error)) from error
        if response.status == 200 and response.content_type == "text/event-stream":
            return cls(response, where, options)
        try:
            if response.status == 200:
                raise ProtocolError(where, f"{response.content_type} is not an event stream")
            body = await response.content.read(LARGEST_PROBLEM_BYTES)
            raise _refused(where, response.status, problem_of(body))
        except (aiohttp.ClientError, OSError) as error:
            raise LinkEndedError(reason_of(error)) from error
        finally:
            response.close()

    async def read(self) -> ServerMessage | str:
        """See Link."""
        while True:
            while self._blocks:
                found = self._take(self._blocks.pop())
                if found is not None:
                    return found
            await self._fill()

    async def _fill(self) -> None:
        try:
            async with asyncio.timeout(self._options.silence_seconds):
                chunk = await self._response.content.readany()
        except TimeoutError:
            raise LinkEndedError("silence") from None
        except (aiohttp.ClientError, OSError) as error:
            raise LinkEndedError(reason_of(error), retry_seconds=self._retry_seconds) from error
        if not chunk:
            raise LinkEndedError("the stream ended", retry_seconds=self._retry_seconds)
        text = (self._rest + chunk).replace(b"\r\n", b"\n")
        *blocks, self._rest = text.split(b"\n\n")
        self._blocks = blocks[::-1]
        if len(self._rest) > LARGEST_MESSAGE_BYTES:
            raise ProtocolError(self._where, "a message without an end")

    def _take(self, block: bytes) -> ServerMessage | str | None:
        data: list[bytes] = []
        cursor = ""
        for line in block.split(b"\n"):
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"data":
                data.append(value)
            elif name == b"id":
                cursor = value.decode("ascii", "replace")
            elif name == b"retry" and value.isdigit():
                # The first one is for clients that are cut later. Only another one, or one that ends the stream before
                # its first message, says when to come back.
                self._retry_seconds = int(value) / 1000
        if not data:
            return cursor or None
        if not self._has_begun:
            self._has_begun, self._retry_seconds = True, None
        return parsed(b"\n".join(data), cursor or None, self._where)

    async def close(self) -> None:
        """See Link."""
        self._response.close()


def parsed(text: str | bytes, cursor: str | None, where: str) -> ServerMessage:
    """Return the message in a text. Raises ProtocolError."""
    try:
        return parse_message(text, cursor)
    except ValueError as error:
        raise ProtocolError(where, str(error)) from error


def reason_of(error: BaseException) -> str:
    """Return what is wrong with a connection, in words that contain no address with a password."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.strerror or type(error.os_error).__name__
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "connection lost"
    return type(error).__name__


def _refused(where: str, status: int, problem: Problem | None) -> Exception:
    refusal = ConnectionRefused(where, status=status, problem=problem)
    if status >= 500 or status in LATER:
        return LinkEndedError(f"status {status}", refusal=refusal)
    return refusal
