"""Request bodies: read first, within limits, whether or not a route uses them.

Quart calls the route at once and buffers the body in the background. A body that no route reads then grows without
limit, and one that never ends occupies its route for as long as the peer likes. Here the route starts only when the
body is complete: at most 64 KB, within 10 seconds, and with a limit on the number of bodies at a time.
"""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from quart import Quart, Request
from quart.asgi import ASGIHTTPConnection

from quart_odds.routes.access.limits import ConnectionLimits, TooManyConnectionsError
from quart_odds.routes.access.problems import Problem
from quart_odds.routes.access.same_origin import REFUSAL, check_host, client_of
from quart_odds.services import EXTENSION, Services

if TYPE_CHECKING:
    from hypercorn.typing import ASGIReceiveCallable, ASGIReceiveEvent, ASGISendCallable

MAX_BODY_BYTES = 64 * 1024
BODY_SECONDS = 10.0
"""Time from the head of the request to the end of its body."""
MOST_BODIES = 50
"""Incomplete bodies in total: 3 MB."""
MOST_BODIES_PER_ADDRESS = 5
"""Incomplete bodies per address. Loopback and trusted proxies are exempt, because many clients may be behind them."""
RETRY_SECONDS = 10


def init_app(app: Quart, parts: Services) -> None:
    """Limit the request bodies that this app accepts."""
    parts.bodies = ConnectionLimits(
        MOST_BODIES, MOST_BODIES_PER_ADDRESS, trusted=parts.settings.trusted_proxies, named="unfinished request bodies"
    )
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.config["BODY_TIMEOUT"] = BODY_SECONDS
    app.asgi_http_class = BoundedHTTPConnection


class ClientLeftError(Exception):
    """Raised when the client left before its body was complete."""


class BoundedHTTPConnection(ASGIHTTPConnection):
    """Quart's connection, which calls the app once the body is complete, or with the problem that the body caused."""

    async def __call__(self, receive: "ASGIReceiveCallable", send: "ASGISendCallable") -> None:
        """Serve one request until it ends."""
        is_known = self.scope["http_version"] in ("1.0", "1.1")
        parts: Services = self.app.extensions[EXTENSION]
        if not check_host(self.app, self.scope):
            await super().__call__(_Whole(b"", receive).receive, send)
            return
        if is_known and not may_have_body(self.scope["headers"]):
            await super().__call__(receive, send)
            return
        body = b""
        try:
            if not is_known:
                raise Problem(505, "HTTP version not supported", "Speak HTTP/1.1; a proxy in front may speak HTTP/2.")
            body = await self._read(parts, self._create_request_from_scope(send), receive)
        except ClientLeftError:
            return
        except Problem as problem:
            self.scope[REFUSAL] = problem  # type: ignore[literal-required]
        await super().__call__(_Whole(body, receive).receive, send)

    async def _read(self, parts: Services, asked: Request, receive: "ASGIReceiveCallable") -> bytes:
        """Return the whole body.

        Raises Problem if it is too long or too slow, or if there are too many bodies, and ClientLeftError.
        """
        if (asked.content_length or 0) > MAX_BODY_BYTES:
            raise _too_large()
        try:
            with parts.bodies.admit(client_of(asked, parts.settings.trusted_proxies)):
                async with asyncio.timeout(BODY_SECONDS):
                    return await _whole_body(receive)
        except TooManyConnectionsError as error:
            status, title = (429, "Too many requests") if error.is_of_address else (503, "Too many bodies at once")
            raise Problem(
                status, title, str(error), headers={"Retry-After": str(RETRY_SECONDS), "Connection": "close"}
            ) from None
        except TimeoutError:
            raise Problem(
                408,
                "Request timeout",
                f"The body was not complete within {BODY_SECONDS:.0f} seconds.",
                headers={"Connection": "close"},
            ) from None


class _Whole:
    """What an app receives for a request whose body has already been read."""

    def __init__(self, body: bytes, receive: "ASGIReceiveCallable") -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def receive(self) -> "ASGIReceiveEvent":
        """Return the body, then the client's disconnect. Any remaining data of a refused body is dropped."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        while (event := await self._receive())["type"] == "http.request":
            pass
        return event


def may_have_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether a request with these headers has a body that is not empty."""
    for name, value in headers:
        lower = name.lower()
        if lower == b"transfer-encoding" or (lower == b"content-length" and value.strip(b"0 ")):
            return True
    return False


async def _whole_body(receive: "ASGIReceiveCallable") -> bytes:
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientLeftError
        if event["type"] == "http.request":
            body += event.get("body", b"")
            if len(body) > MAX_BODY_BYTES:
                raise _too_large()
            if not event.get("more_body", False):
                return bytes(body)


def _too_large() -> Problem:
    return Problem(
        413,
        "Content too large",
        f"A body may have at most {MAX_BODY_BYTES} bytes.",
        headers={"Connection": "close"},
    )
