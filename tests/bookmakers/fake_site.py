"""A small real HTTP server that answers a client from a script, on a free local port."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from quart_odds.domain.platforms import Platform
from quart_odds.settings import Settings, load_settings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeSite:
    """Records its requests and answers them with `handler`. `connections` counts the sockets it has seen."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.started_at: list[float] = []
        self.connections: set[object] = set()
        self.under_way = 0
        self.most_under_way = 0
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Record and answer one request."""
        self.requests.append(request)
        self.started_at.append(asyncio.get_running_loop().time())
        self.connections.add(request.transport)
        self.bodies.append(await request.read())
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self.handler(request)
        finally:
            self.under_way -= 1


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[FakeSite]:
    """Run a FakeSite."""
    site = FakeSite(handler)
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", site.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        tcp = web.TCPSite(runner, "127.0.0.1", 0)
        await tcp.start()
        site.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield site
    finally:
        await runner.cleanup()


def closed_port() -> str:
    """Return the URL of a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def settings_for(url: str, **overrides: object) -> Settings:
    """Return settings with all bookmakers at one URL and with short waits."""
    values: dict[str, object] = {f"{platform}_url": url for platform in Platform}
    values |= {"request_timeout_seconds": 5, "retry_wait_seconds": 0.01, "retry_wait_max_seconds": 0.02}
    return load_settings({}, **(values | overrides))
