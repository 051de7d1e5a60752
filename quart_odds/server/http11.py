"""HTTP/1.1 only, with limits on the work that a peer can cause in the parser.

Hypercorn switches to HTTP/2 if a connection starts with the HTTP/2 preface, or asks for it with `Upgrade: h2c`. A peer
could then freeze the process with half a megabyte of PRIORITY frames, or keep gigabytes in memory with a window of
zero. Here it never switches: a proxy speaks HTTP/2 to browsers, and HTTP/1.1 to this server.
"""

import asyncio
from contextvars import ContextVar
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import h11
import orjson
from hypercorn.events import Closed, RawData
from hypercorn.events import Event as ServerEvent
from hypercorn.protocol.events import Body, Event, StreamClosed
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.http_stream import HTTPStream

from quart_odds.routes.access.limits import TokenBucket
from quart_odds.routes.access.refusals import refusals
from quart_odds.server.connection import current_connection, open_connections
from quart_odds.server.metering import (
    MOST_BODY_PARTS,
    PIPELINED_A_SECOND,
    PIPELINED_AT_ONCE,
    SLICE_BODY_PARTS,
)

if TYPE_CHECKING:
    from hypercorn.typing import ASGISendEvent, H11SendableEvent

VERSIONS = (b"1.0", b"1.1")
NOSNIFF = (b"x-content-type-options", b"nosniff")
"""The app adds this to its own responses. It is added here to those that the server makes itself."""
CLOSE = (b"connection", b"close")
UNREADABLE = {
    HTTPStatus.BAD_REQUEST: "This is no HTTP request that can be read.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "The address and the headers of this request are too long together.",
}
"""What is said of what the parser does not take as a request, by status."""


def new_pipeline() -> TokenBucket:
    """Return the limit on requests of a connection that are sent before the response to the previous one."""
    return TokenBucket(PIPELINED_A_SECOND, PIPELINED_AT_ONCE)


early_requests: ContextVar[TokenBucket | None] = ContextVar("quart_odds.early_requests", default=None)
"""The limit for a connection that begins with a request which was sent before the previous response had ended."""


class RefusedError(Exception):
    """Raised for a request that no app sees. The peer gets a status and a sentence, and the connection is closed."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class MeteredH11Protocol(H11Protocol):
    """Hypercorn's HTTP/1.1, without the switch to HTTP/2."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        given = early_requests.get()
        self._pipelined = given or new_pipeline()
        self._is_early = given is not None
        self._is_first_of_read = True
        self._is_head = False

    async def handle(self, event: ServerEvent) -> None:
        """Process an event from the peer."""
        if isinstance(event, RawData):
            self._is_first_of_read = not self._is_early
            self._is_early = False
        try:
            await super().handle(event)
        except RefusedError as refusal:
            await self._refuse(refusal)
        if isinstance(event, Closed):
            # A reader that waits with the next request for the end of this response would wait forever.
            self.connection.next_event = lambda: h11.NEED_DATA  # type: ignore[method-assign]
            await self.can_read.set()

    @property
    def pipeline(self) -> TokenBucket | None:
        """The limit on requests that come early, as far as it was used; None if it was not."""
        return None if self._pipelined.is_full else self._pipelined

    @property
    def may_continue(self) -> bool:
        """Whether another request may follow this one: it is complete, and nobody wants its response to be the last."""
        return self.connection.their_state is h11.DONE

    def let_go(self) -> bytes:
        """Forget the request, which is not the server's any more. Returns what has arrived after it."""
        connection = self.connection
        self.stream = None
        return bytes(connection.trailing_data[0])

    async def _check_protocol(self, event: h11.Request) -> None:
        """Check a request, where Hypercorn would switch to HTTP/2. An upgrade to h2c is ignored, as HTTP allows."""
        self._is_head = event.method == b"HEAD"
        if event.http_version not in VERSIONS:
            raise RefusedError(
                HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
                "This server speaks HTTP/1.1; put a proxy in front of it for HTTP/2.",
            )
        names = {name for name, _ in event.headers}
        if b"content-length" in names and b"transfer-encoding" in names:
            # A proxy in front may have believed the other header, and take the rest for another client's request.
            raise RefusedError(HTTPStatus.BAD_REQUEST, "Content-Length and Transfer-Encoding exclude each other.")
        if not self._is_first_of_read and not self._pipelined.take():
            raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "Wait for an answer before you send the next request.")
        self._is_first_of_read = False

    async def _maybe_recycle(self) -> None:
        if self.connection.their_state in {h11.SEND_BODY, h11.ERROR}:
            # The response was sent before the body was complete, so the rest of the body is of no use.
            current_connection.get().refuse()
        await super()._maybe_recycle()

    async def _send_h11_event(self, event: "H11SendableEvent") -> None:
        if isinstance(event, h11.Response):
            added = [each for each in (NOSNIFF,) if each not in event.headers]
            if open_connections.is_handed_over and CLOSE not in event.headers:
                added.append(CLOSE)
            event = h11.Response(status_code=event.status_code, headers=[*event.headers.raw_items(), *added])
        await super()._send_h11_event(event)

    async def _send_error_response(self, status_code: int) -> None:
        """Answer what the parser does not take as a request. Hypercorn would send the status alone."""
        current_connection.get().refuse()
        # The parser answers 501 for an unknown transfer coding. Here no input may cause a server error.
        status = HTTPStatus(status_code if status_code in UNREADABLE else HTTPStatus.BAD_REQUEST)
        await self._answer(status, UNREADABLE[status])

    async def _refuse(self, refusal: RefusedError) -> None:
        current_connection.get().refuse()
        refusals.count(f"http_{int(refusal.status)}")
        refusals.tell("peer.refused", f"http {int(refusal.status)}", status=int(refusal.status), reason=str(refusal))
        if self.connection.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            await self._answer(refusal.status, str(refusal))
        await self.send(Closed())

    async def _answer(self, status: HTTPStatus, detail: str) -> None:
        """Send a problem as the last response of the connection."""
        body = orjson.dumps({"type": "about:blank", "title": status.phrase, "status": status, "detail": detail})
        headers: list[tuple[bytes, bytes]] = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            CLOSE,
            *self.config.response_headers("h11"),
        ]
        await self._send_h11_event(h11.Response(status_code=status, headers=headers))
        if not self._is_head:
            await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())


class MeteredHTTPStream(HTTPStream):
    """Hypercorn's request and response, with a limit on body parts. Never waits for an app that no longer reads."""

    _body_parts = 0
    _is_refused = False

    async def handle(self, event: Event) -> None:
        """Process an event from the peer. Raises RefusedError if a body has too many parts."""
        if isinstance(event, Body):
            self._body_parts += 1
            if self._body_parts > MOST_BODY_PARTS:
                self._is_refused = True
                await self._end()
                raise RefusedError(HTTPStatus.BAD_REQUEST, f"A body may have at most {MOST_BODY_PARTS} chunks.")
            if self._body_parts % SLICE_BODY_PARTS == 0:
                await asyncio.sleep(0)
        elif isinstance(event, StreamClosed):
            empty_receive_queue(self.app_put)
        await super().handle(event)

    async def app_send(self, message: "ASGISendEvent | None") -> None:
        """Forward what the app sends."""
        if message is None:
            self.app_put = let_go(self.app_put)
        if not self._is_refused:
            await super().app_send(message)

    async def _end(self) -> None:
        """Tell the app that nothing more comes, and that nobody waits for a response."""
        await self.handle(StreamClosed(stream_id=self.stream_id))


def empty_receive_queue(app_put: Any) -> None:
    """Empty the app's receive queue, which Hypercorn bounds, so that a last message does not have to wait."""
    queue = getattr(app_put, "__self__", None)
    while isinstance(queue, asyncio.Queue) and not queue.empty():
        queue.get_nowait()


def let_go(app_put: Any) -> Any:
    """Return where to put messages for an app that has ended: nowhere. A sender that waits for room continues."""
    empty_receive_queue(app_put)
    return _to_nobody


async def _to_nobody(message: object) -> None:
    """Discard a message."""
