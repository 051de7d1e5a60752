"""The addresses of the stand-in bookmakers, answered without the contexts and the routing of Quart.

The sandbox shares the machine with what is tried out on it. Half of a request's time went into these.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope
from quart import Quart, Response

from quart_odds.sandbox.sites.answers import Ask, Site
from quart_odds.sandbox.throttle import Throttle

MOST_BYTES = 1_000_000
"""Larger bodies of requests are refused."""


class Sandbox(Quart):
    """A Quart app whose requests to stand-in bookmakers do not go through Quart.

    `throttle` answers what begins with the prefix of a bookmaker. A part of a prefix in angle brackets may be anything.
    """

    def put_in_front(self, throttle: Throttle, sites: Mapping[str, Site]) -> None:
        """Answer for these sites, by the prefixes of their addresses."""
        self._throttle = throttle
        self._prefixes: Sequence[tuple[re.Pattern[str], Site]] = [
            (re.compile(re.sub("<[a-z]+>", "[^/]+", prefix) + "."), site) for prefix, site in sites.items()
        ]

    async def asgi_app(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer a request of any kind."""
        if scope["type"] == "http":
            path = _path(scope)
            for prefix, site in self._prefixes:
                if prefix.match(path) is not None:
                    await self._answer(site, scope, receive, send)
                    return
        await super().asgi_app(scope, receive, send)

    async def _answer(self, site: Site, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        body = await _body(receive)
        if body is None:
            return
        if scope["method"] not in ("GET", "POST"):
            await _send(Response(b"", 405), send)
        elif len(body) > MOST_BYTES:
            await _send(Response(b"", 413), send)
        elif not self._throttle.board.faults:
            await self._reply(site, _ask(scope, body), send)
        else:
            # Faults may take for ever. They end when the client leaves.
            replying = asyncio.ensure_future(self._reply(site, _ask(scope, body), send))
            leaving = asyncio.ensure_future(_left(receive))
            try:
                await asyncio.wait([replying, leaving], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (replying, leaving):
                    task.cancel()
                await asyncio.wait([replying, leaving])
            if not replying.cancelled():
                replying.result()

    async def _reply(self, site: Site, ask: Ask, send: ASGISendCallable) -> None:
        await _send(await self._throttle.answer(site, ask), send)


def _ask(scope: HTTPScope, body: bytes) -> Ask:
    query: dict[str, str] = {}
    for name, value in parse_qsl(scope["query_string"].decode(), keep_blank_values=True):
        query.setdefault(name, value)
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return Ask(scope["method"], _path(scope), query, headers, body)


def _path(scope: HTTPScope) -> str:
    """Return the path. A request of a proxy names the whole address."""
    path = scope["path"]
    return path if path.startswith("/") else urlsplit(path).path


async def _body(receive: ASGIReceiveCallable) -> bytes | None:
    """Return the body of a request, as far as it is not too long; None if the client has left."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message["body"]
        if not message["more_body"] or len(body) > MOST_BYTES:
            return body


async def _left(receive: ASGIReceiveCallable) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(response: Response, send: ASGISendCallable) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    async with response.response as body:
        async for chunk in body:
            await send({"type": "http.response.body", "body": bytes(chunk), "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
