"""A server that hangs or is cut off: a standby takes over within seconds, and nothing is lost or written twice."""

import asyncio
import contextlib
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from quart_odds.sandbox import SandboxOptions, sandbox_process
from quart_odds.storage.writer_lease import LEASE_SECONDS
from tests.databases import make_database
from tests.platforms import FIRST_THREE
from tests.server.serving import Json, Server, at, served
from tests.server.test_two_servers import PACE, PATIENCE_SECONDS, ask, ended, matches, same_matches, scrape, until_ready

TAKE_OVER_SECONDS = LEASE_SECONDS + 15
"""How long a take-over may take, on a busy machine: the lease, a watch of a second, and reading everything again."""


async def errors_of(server: Server, run_id: int) -> list[str]:
    """Return the types of a run's errors."""
    return [each["error_type"] for each in (await ask(server, f"/api/scrape/{run_id}"))[1]["errors"]]


async def term(server: Server) -> int:
    """Return the term that a server knows of."""
    return int((await ask(server, "/api/health"))[1]["term"])


async def told(server: Server, run_id: int) -> Json:
    """Return the terminal progress of a run, once a server publishes it on the WebSocket."""
    async with server.websocket("?topics=scrape_progress") as websocket, asyncio.timeout(PATIENCE_SECONDS):
        async for text in websocket:
            message = orjson.loads(text)
            data = message.get("data", {})
            if message["type"] == "scrape_progress" and data["scrape_run_id"] == run_id and data["phase"] == "failed":
                return dict(data)
    raise AssertionError("the connection ended")


@asynccontextmanager
async def writer_and_standby(
    folder: Path, database_url: str, writer_url: str | None = None
) -> AsyncIterator[tuple[Server, Server]]:
    """Yield a server that has scraped once, and a standby. `writer_url` is another way to the same database."""
    async with sandbox_process(SandboxOptions(events=12, latency_ms=150, move=0.2, bookmakers=FIRST_THREE)) as sandbox:
        settings = {**at(sandbox.urls), **PACE, "database_url": database_url, "drain_seconds": 0.2}
        async with served(folder / "first", settings | {"database_url": writer_url or database_url}) as first:
            assert (await scrape(first))["status"] == "completed"
            async with served(folder / "second", settings) as second:
                body = await until_ready(second, 503)
                assert (body["status"], body["role"]) == ("reads_only", "standby")
                yield first, second


@pytest.mark.postgres
async def test_a_writer_that_is_suspended_during_a_run_is_replaced(tmp_path: Path, postgres: str) -> None:
    """Its run ends as interrupted on both servers, its late writes are refused, and it becomes a standby."""
    url = await make_database(postgres)
    async with writer_and_standby(tmp_path, url) as (first, second):
        began_in = await term(first)
        _, started = await ask(first, "/api/scrape", "POST")
        run_id = started["scrape_run_id"]
        telling = asyncio.create_task(told(second, run_id))
        first.process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        await until_ready(second, 200)
        assert time.monotonic() - stopped < TAKE_OVER_SECONDS
        assert (await telling)["error"]["error_type"] == "interrupted"
        assert (await ended(second, run_id))["status"] == "interrupted"
        assert await term(second) == began_in + 1
        row = await scrape(second)
        assert row["status"] == "completed"
        telling = asyncio.create_task(told(first, run_id))
        first.process.send_signal(signal.SIGCONT)
        assert (await until_ready(first, 503))["role"] == "standby"
        assert (await telling)["error"]["error_type"] == "interrupted"
        assert await ended(first, run_id) == await ended(second, run_id)
        assert await errors_of(second, run_id) == ["interrupted"]
        assert [each["id"] for each in (await ask(first, "/api/scrape/runs"))[1]] == [row["scrape_run_id"], run_id, 1]
        await same_matches(first, second)
        # And back: the second one is killed.
        second.process.kill()
        await second.process.wait()
        await until_ready(first, 200)
        assert await term(first) == began_in + 2
        assert (await scrape(first))["status"] == "completed"


@pytest.mark.endurance
async def test_a_writer_of_a_sqlite_file_that_is_suspended_is_replaced(tmp_path: Path) -> None:
    """The lock that it keeps does not hold up the standby, which writes in its place."""
    url = f"sqlite:///{tmp_path / 'odds.db'}"
    async with writer_and_standby(tmp_path, url) as (first, second):
        await suspend_between_transactions(first, tmp_path / "odds.db")
        await until_ready(second, 200)
        row = await scrape(second)
        assert row["status"] == "completed"
        first.process.send_signal(signal.SIGCONT)
        await until_ready(first, 503)
        status, problem = await ask(first, "/api/scrape", "POST")
        assert (status, problem["title"]) == (503, "This server does not write")
        assert [each["id"] for each in (await ask(first, "/api/scrape/runs"))[1]] == [row["scrape_run_id"], 1]
        confirmed = await same_matches(first, second)
        await until_ready(second, 200)
        second.process.kill()
        await second.process.wait()
        await until_ready(first, 200)
        assert await matches(first) == confirmed


async def suspend_between_transactions(server: Server, file: Path) -> None:
    """Suspend a server while it has no transaction open: SQLite's own lock could not be taken from it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            server.process.send_signal(signal.SIGSTOP)
            with contextlib.closing(sqlite3.connect(file, timeout=0.2)) as connection:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError:
                    server.process.send_signal(signal.SIGCONT)
                    await asyncio.sleep(0.05)
                else:
                    connection.rollback()
                    return


class Cable:
    """A TCP connection to PostgreSQL that can be cut: then nothing passes, and nobody is told."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._is_up = asyncio.Event()
        self._is_up.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    def cut(self) -> None:
        """Let nothing pass from now on. Connections stay open at both ends."""
        self._is_up.clear()

    def mend(self) -> None:
        """Let everything pass again, late."""
        self._is_up.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._is_up.wait()
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.close()
            return
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                await self._is_up.wait()
                sink.write(data)
                await sink.drain()
        sink.close()

    @asynccontextmanager
    async def laid(self) -> AsyncIterator["Cable"]:
        """Listen during the block."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.mend()
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.mark.endurance
@pytest.mark.postgres
async def test_a_writer_that_is_cut_off_from_its_database_is_replaced(tmp_path: Path, postgres: str) -> None:
    """It stops by its own clock, the standby takes over, and once it is connected again it is a standby itself."""
    url = await make_database(postgres)
    async with Cable(int(url.rpartition(":")[2].partition("/")[0])).laid() as cable:
        there = f"postgresql://test@127.0.0.1:{cable.port}/{url.rpartition('/')[2]}"
        async with writer_and_standby(tmp_path, url, there) as (first, second):
            _, started = await ask(first, "/api/scrape", "POST")
            cable.cut()
            await until_ready(second, 200)
            assert (await ask(first, "/api/health"))[1]["writer"] is False
            assert (await ended(second, started["scrape_run_id"]))["status"] == "interrupted"
            row = await scrape(second)
            assert row["status"] == "completed"
            cable.mend()
            assert (await until_ready(first, 503))["role"] == "standby"
            assert await ended(first, started["scrape_run_id"]) == await ended(second, started["scrape_run_id"])
            await same_matches(first, second)
            assert (await ask(second, "/api/health"))[1]["role"] == "writer"
