"""nginx in front of several workers that are restarted, and of a server that is stopped, under many listeners."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import redis.asyncio

from quart_odds.broadcast.engines.records import MESSAGE, read_record
from quart_odds.sandbox import SandboxOptions, sandbox_process
from tests.cluster.several import PACE
from tests.databases import make_database
from tests.deploy.listening import EventSourceListener, Listener, WebSocketListener
from tests.deploy.proxies import HOST, Certificate, Proxy, running_proxy
from tests.platforms import FIRST_THREE
from tests.redis_servers import TestRedis, running_redis
from tests.server.serving import Server, at
from tests.server.several_workers import two_workers, until_said
from tests.tokens import HEADERS

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(600)]

PATIENCE_SECONDS = 100
RESTART_SECONDS = 250
"""Two workers start one after the other, beside those that run, on whatever cores there are."""
LISTENERS = 200
TOPICS = "scrape_progress,odds_updates"
SANDBOX = SandboxOptions(events=12, latency_ms=60, move=0.3, markets=20, bookmakers=FIRST_THREE)
NOT_STARTED = {409, 503}
"""A run is active, or the writer is being replaced."""


@dataclass
class Front:
    """A proxy, the servers behind it, its listeners, and what others were answered."""

    proxy: Proxy
    servers: Sequence[Server]
    engine: TestRedis
    listeners: list[Listener]
    tasks: "list[asyncio.Task[None]]" = field(default_factory=list)
    asked: Counter[int] = field(default_factory=Counter)
    started: Counter[int] = field(default_factory=Counter)

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait for a condition while all clients go on. A client that has ended fails the test."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await condition():
                    for each in self.tasks:
                        assert not each.done() or each.cancelled(), each.exception()
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{self.asked} {self.started} {self.met()}") from None

    def met(self) -> tuple[Counter[str], Counter[str]]:
        """Return how connections of listeners ended, and how listeners were refused."""
        ends = Counter(end for each in self.listeners for end in each.ends.elements())
        return ends, Counter(refusal for each in self.listeners for refusal in each.refusals)

    async def until_connected(self) -> None:
        """Wait until each listener has been acknowledged."""

        async def are_connected() -> bool:
            return all(each.connections for each in self.listeners)

        await self.until(are_connected)

    async def restart(self, *servers: Server) -> None:
        """Restart the workers of these servers one after the other, and wait until that is done."""
        before = [sum("workers.restarted" in line for line in each.said) for each in servers]
        for each in servers:
            each.process.send_signal(signal.SIGHUP)
        for each, count in zip(servers, before, strict=True):
            await until_said(each, "workers.restarted", count + 1, seconds=RESTART_SECONDS)

    async def more_runs(self, count: int) -> None:
        """Wait until so many more runs have been started."""
        wanted = self.started[202] + count

        async def are_started() -> bool:
            return self.started[202] >= wanted

        await self.until(are_started)

    async def published(self) -> list[str]:
        """Return the cursors of all messages that are on the log in Redis, in order. There must be one epoch."""
        client: Any = redis.asyncio.Redis(port=self.engine.port)
        try:
            [key] = [each async for each in client.scan_iter("quart-odds:*:log:*")]
            entries = await client.xrange(key)
        finally:
            await client.aclose()
        epoch = key.decode().rpartition(":")[2]
        records = [(entry_id.partition(b"-")[0].decode(), read_record(fields)) for entry_id, fields in entries]
        topics = TOPICS.split(",")
        return [f"{epoch}-{seq}" for seq, each in records if each.kind == MESSAGE and each.topic in topics]

    async def assert_nobody_missed_anything(self) -> None:
        """Assert that each listener received every message of the log once, in order, and was never refused.

        No more runs are started. Nothing is awaited between the comparison of the last messages and that of all.
        """
        self.tasks[-1].cancel()
        published: list[str] = []

        async def have_the_last() -> bool:
            nonlocal published
            published = await self.published()
            return all(each.cursors[-1:] == published[-1:] for each in self.listeners)

        await self.until(have_the_last)
        ends, refusals = self.met()
        assert not refusals, refusals
        assert ends.keys() <= {"1012", "end of stream"}, ends
        for each in self.listeners:
            assert each.faults == []
            first = published.index(each.cursors[0])
            assert each.cursors == published[first:]
        errors = (self.proxy.log.parent / "error.log").read_text()[-3000:]
        assert self.asked.keys() == {200}, errors
        assert self.started.keys() <= {202, *NOT_STARTED}, (self.started, errors)


@asynccontextmanager
async def front(folder: Path, postgres: str, certificate: Certificate, servers: int = 1) -> AsyncIterator[Front]:
    """Run nginx as documented in front of servers with two workers each, with listeners, and runs one after another."""
    database = await make_database(postgres)
    with running_redis() as engine:
        async with sandbox_process(SANDBOX) as bookmakers, AsyncExitStack() as stack:
            settings = {
                **at(bookmakers.urls),
                **PACE,
                "database_url": database,
                "allowed_hosts": HOST,
                "trusted_proxies": "127.0.0.1",
                "max_connections_per_address": 0,
                "drain_seconds": 3,
            }
            opened = [
                await stack.enter_async_context(two_workers(folder / f"server-{number}", engine, **settings))
                for number in range(servers)
            ]
            proxy = stack.enter_context(running_proxy("nginx", folder, certificate, [each.port for each in opened]))
            session = await stack.enter_async_context(
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=0, force_close=True),
                    timeout=aiohttp.ClientTimeout(total=None, connect=30),
                )
            )
            listeners: list[Listener] = []
            for number in range(LISTENERS):
                if number % 2:
                    listeners.append(EventSourceListener(proxy, TOPICS, "", session))
                else:
                    listeners.append(WebSocketListener(proxy, TOPICS, ""))
            behind = Front(proxy, opened, engine, listeners)
            tasks = behind.tasks
            tasks += [asyncio.create_task(each.listen()) for each in listeners]
            try:
                await behind.until_connected()
                sent = (
                    repeat(behind, "GET", "/api/scheduler/status", behind.asked, 0.01),
                    repeat(behind, "POST", "/api/scrape", behind.started, 0.1),
                )
                tasks += [asyncio.create_task(each) for each in sent]
                yield behind
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


async def repeat(behind: Front, method: str, path: str, answered: Counter[int], pause_seconds: float) -> None:
    """Send a request again and again through the proxy, which keeps its connections to the servers, for ever."""
    async with client(behind.proxy) as session:
        while True:
            async with session.request(method, path, server_hostname=behind.proxy.host) as answer:
                answered[answer.status] += 1
                await answer.read()
            await asyncio.sleep(pause_seconds)


@asynccontextmanager
async def client(proxy: Proxy) -> AsyncIterator[aiohttp.ClientSession]:
    """Return a client of the HTTP API behind a proxy."""
    async with aiohttp.ClientSession(
        f"https://127.0.0.1:{proxy.port}",
        headers={"Host": f"{proxy.host}:{proxy.port}", **HEADERS},
        connector=aiohttp.TCPConnector(ssl=proxy.certificate.context),
        timeout=aiohttp.ClientTimeout(60),
    ) as session:
        yield session


@pytest.mark.endurance
async def test_a_rolling_restart_behind_nginx_loses_no_message(
    tmp_path: Path, postgres: str, certificate: Certificate
) -> None:
    """200 listeners of both kinds are told to reconnect, resume exactly, and none is refused."""
    async with front(tmp_path, postgres, certificate) as behind:
        await behind.more_runs(1)
        await behind.restart(*behind.servers)
        await behind.more_runs(1)
        await behind.assert_nobody_missed_anything()
        assert all(each.connections >= 2 for each in behind.listeners)


@pytest.mark.endurance
@pytest.mark.timeout(1800)
async def test_restarts_in_a_row_and_the_stop_of_one_of_two_servers_lose_no_message(
    tmp_path: Path, postgres: str, certificate: Certificate
) -> None:
    """Also when the workers of both servers are restarted at the same time, and when the server that writes is gone."""
    async with front(tmp_path, postgres, certificate, servers=2) as behind:
        first, second = behind.servers
        for servers in ([first], [second], [first, second], [first]):
            await behind.more_runs(1)
            await behind.restart(*servers)
        await behind.more_runs(1)
        first.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await first.process.wait() == 0
        await behind.more_runs(2)
        await behind.assert_nobody_missed_anything()
        assert sum(each.connections for each in behind.listeners) > 4 * LISTENERS
