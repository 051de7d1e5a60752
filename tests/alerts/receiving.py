"""A receiver of webhooks in this process, which answers what a test wants."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(frozen=True)
class Received:
    """A request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What arrived. The next answers have `statuses`, in order, and those after them `status`."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    status: int = 200
    requests: list[Received] = field(default_factory=list)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, count: int) -> list[Received]:
        """Wait until that many requests have arrived, and return all."""
        async with asyncio.timeout(30), self.arrived:
            await self.arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests

    async def handle(self, request: web.Request) -> web.Response:
        """Answer a request, with a redirect to another path if the status is one."""
        received = Received(request.path, dict(request.headers), await request.read())
        status = self.statuses.pop(0) if self.statuses else self.status
        async with self.arrived:
            self.requests.append(received)
            self.arrived.notify_all()
        return web.Response(status=status, headers={"Location": f"{self.url}/elsewhere"} if status // 100 == 3 else {})


@contextlib.asynccontextmanager
async def receiving(*statuses: int) -> AsyncIterator[Receiver]:
    """Run a receiver on loopback, on a free port."""
    receiver = Receiver(statuses=list(statuses))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}"
    try:
        yield receiver
    finally:
        await runner.cleanup()
