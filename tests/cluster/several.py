"""Several served processes on one PostgreSQL and one Redis, over stand-in bookmakers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import orjson
from websockets.exceptions import WebSocketException

from quart_odds.sandbox import SandboxOptions, sandbox_process
from tests.databases import make_database
from tests.hosts import Network
from tests.platforms import FIRST_THREE
from tests.redis_servers import TestRedis, running_redis
from tests.server.serving import Json, Server, at, serve_at, served
from tests.server.test_two_servers import ask, until_ready
from tests.traffic import traffic

WAIT_SECONDS = 60
ANSWER_SECONDS = 10
"""How long a process may take to say its role, on a machine that does much else."""
LOOPBACK_ALONE = Network()
SANDBOX = SandboxOptions(events=12, latency_ms=30, move=0.3, markets=20, bookmakers=FIRST_THREE)
PACE: Mapping[str, object] = {
    "betpawa_concurrency": 2,
    "sportybet_concurrency": 2,
    "bet9ja_concurrency": 2,
    "refresh_cooldown_seconds": 0,
    "request_tries": 1,
    "drain_seconds": 1,
    "log_level": "info",
}


class Cluster:
    """The processes. The first one that was started writes until it ends."""

    def __init__(
        self,
        folder: Path,
        network: Network,
        redis: TestRedis | None,
        settings: Mapping[str, object],
        command: Sequence[str] | None,
        stack: AsyncExitStack,
    ) -> None:
        self._network = network
        self._redis = redis
        self.servers: list[Server] = []
        self._started = 0
        self._folder = folder
        self._settings = settings
        self._command = command
        self._stack = stack

    @property
    def redis(self) -> TestRedis:
        """The Redis that they share, unless it is a test's own."""
        assert self._redis is not None
        return self._redis

    @property
    def engine_url(self) -> str:
        """How they reach the Redis that they share."""
        return str(self._settings["engine_url"])

    async def start(self) -> Server:
        """Start another process, at the next host, and return when it is ready."""
        host = self._network.hosts[self._started % len(self._network.hosts)]
        self._started += 1
        folder = self._folder / f"process-{self._started}"
        server = await self._stack.enter_async_context(served(folder, self._settings, self._command or serve_at(host)))
        self.servers.append(server)
        await until_ready(server, 200)
        return server

    async def kill(self, server: Server) -> None:
        """Kill a process, which is none of the cluster's any more."""
        self.servers.remove(server)
        server.process.kill()
        await server.process.wait()

    async def writer(self) -> Server:
        """Return the process that writes, once there is one that is not suspended."""
        found: list[Server] = []

        async def look(server: Server) -> None:
            """One that is suspended does not answer. A busy one may take seconds."""
            with contextlib.suppress(TimeoutError, aiohttp.ClientError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    if (await ask(server, "/api/health"))[1]["role"] == "writer":
                        found.append(server)

        async def is_found() -> bool:
            tasks = {asyncio.create_task(look(each)) for each in self.servers}
            try:
                while tasks and not found:
                    _, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            return bool(found)

        try:
            await self.until(is_found)
        except TimeoutError:
            said = "\n".join(f"{each.url}:\n{''.join(each.said[-20:])}" for each in self.servers)
            raise AssertionError(f"nobody writes:\n{said}") from None
        return found[0]

    @asynccontextmanager
    async def apart(self) -> AsyncIterator[Server]:
        """Run a process without Redis during the block: it shows what the database has, and never writes."""
        self._started += 1
        settings = {**self._settings, "engine_url": None}
        async with served(self._folder / f"process-{self._started}", settings) as server:
            await until_ready(server, 503)
            yield server

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait for a condition."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not await condition():
                await asyncio.sleep(0.1)

    async def events(self, server: Server) -> dict[int, Json]:
        """Return the events that a process serves, with all their odds."""
        _, page = await ask(server, "/api/events?include_started=true&page_size=100")
        return {each["id"]: (await ask(server, f"/api/events/{each['id']}"))[1] for each in page["events"]}

    async def same_events(self, *servers: Server) -> dict[int, Json]:
        """Return what all these processes serve, once they agree."""
        shown: dict[int, Json] = {}

        async def agree() -> bool:
            nonlocal shown
            shown, *others = [await self.events(each) for each in servers]
            return all(each == shown for each in others)

        await self.until(agree)
        return shown


@asynccontextmanager
async def cluster(
    folder: Path,
    postgres: str,
    count: int,
    *,
    sandbox: SandboxOptions = SANDBOX,
    command: Sequence[str] | None = None,
    keeps_data: bool = False,
    network: Network = LOOPBACK_ALONE,
    engine_url: str | None = None,
    **settings: object,
) -> AsyncIterator[Cluster]:
    """Run this many processes, ready, on a new database of a PostgreSQL server. The first one writes.

    With `keeps_data`, what Redis has survives it. They are at the hosts of the network in turn, and share a new Redis
    unless they are given another one.
    """
    url = await make_database(postgres)
    with ExitStack() as engines:
        redis = None
        if engine_url is None:
            redis = engines.enter_context(running_redis(keeps_data=keeps_data, address=network.engine_address))
            engine_url = redis.url
        async with sandbox_process(sandbox, host=network.address) as bookmakers, AsyncExitStack() as stack:
            given = {**at(bookmakers.urls), **PACE, "database_url": url, "engine_url": engine_url, **settings}
            opened = Cluster(folder, network, redis, given, command, stack)
            for _ in range(count):
                await opened.start()
            yield opened


class Listener:
    """A WebSocket client of the progress that notes what it receives, with cursors."""

    def __init__(self, topics: str = "scrape_progress,odds_updates") -> None:
        self.messages: list[Json] = []
        self.cursor = ""
        self.acks: list[Json] = []
        self._wanted = f"topics={topics}"
        self._task: asyncio.Task[None] | None = None

    async def listen(self, server: Server) -> None:
        """Listen at a process from the cursor on, until `leave`. Returns once it is acknowledged."""
        acknowledged = len(self.acks)
        self._task = asyncio.create_task(self._listen(server))
        async with asyncio.timeout(WAIT_SECONDS):
            while len(self.acks) == acknowledged:
                await asyncio.sleep(0.01)

    async def leave(self) -> None:
        """Cut the connection."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _listen(self, server: Server) -> None:
        with contextlib.suppress(WebSocketException, OSError):
            async with server.websocket(self._query()) as connection:
                try:
                    async for text in connection:
                        message = orjson.loads(text)
                        traffic().message(message, "/api/ws")
                        self._take(message, message.get("id", self.cursor))
                finally:
                    # A close handshake would wait for a process that is suspended.
                    connection.transport.abort()

    def _query(self) -> str:
        since = f"&since={self.cursor}" if self.cursor else ""
        return f"?{self._wanted}&cursor=1{since}"

    def _take(self, message: Json, cursor: str) -> None:
        """Note a message, and the cursor after it."""
        self.cursor = cursor
        if message["type"] == "connection_ack":
            self.acks.append(message["data"])
        else:
            self.messages.append(message)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition():
                await asyncio.sleep(0.02)

    @property
    def ends(self) -> list[tuple[int, str]]:
        """The runs that have ended, with their phases."""
        return [
            (each["data"]["scrape_run_id"], each["data"]["phase"])
            for each in self.messages
            if each["type"] == "scrape_progress"
            and each["data"]["platform"] is None
            and each["data"]["phase"] in ("completed", "failed", "cancelled", "interrupted")
        ]
