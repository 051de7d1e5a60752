"""Clients for a test, and the answers that a FakeSite gives them."""

import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from quart_odds.bookmakers import BookmakerClient, open_client
from quart_odds.bookmakers.transport import Transport
from quart_odds.domain.odds import EventHeader
from quart_odds.domain.platforms import Platform
from quart_odds.settings import Settings
from tests.bookmakers.fake_site import Handler
from tests.bookmakers.wire import (
    BETPAWA_V4,
    asked,
    dumps,
)

EVENT = asked(Platform.BETPAWA, "501")


@asynccontextmanager
async def opened(
    platform: Platform, settings: Settings, transport: Transport | None = None
) -> AsyncIterator[BookmakerClient]:
    """Open a client and close it afterwards."""
    client = open_client(platform, settings, transport=transport)
    try:
        yield client
    finally:
        await client.aclose()


def json_answer(body: object, status: int = 200) -> web.Response:
    """Build a JSON answer."""
    return web.Response(body=dumps(body), status=status, content_type="application/json")


def compressed(plain: bytes) -> web.Response:
    """Build a gzip answer."""
    return web.Response(body=gzip.compress(plain), headers={"content-encoding": "gzip"})


def always(make: Callable[[], web.Response]) -> Handler:
    """Return a handler that answers every request alike."""

    async def answer(request: web.Request) -> web.Response:
        return make()

    return answer


def one_after_another(*makes: Callable[[], web.Response]) -> Handler:
    """Return a handler that gives these answers in order and then repeats the last one."""
    left = list(makes)

    async def answer(request: web.Request) -> web.Response:
        return left.pop(0)() if len(left) > 1 else left[0]()

    return answer


def good() -> web.Response:
    """Return the event that most tests request."""
    return json_answer(BETPAWA_V4)


async def listed(client: BookmakerClient) -> list[EventHeader]:
    """Collect everything that a discovery finds."""
    return [listed.header async for listed in client.discover()]
