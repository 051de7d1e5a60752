"""Two servers on one PostgreSQL database, and a database that goes away: who writes, who reads, what is kept."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from quart_odds.sandbox import SandboxOptions, sandbox_process
from tests.databases import PostgresServer, make_database, running_postgres
from tests.platforms import FIRST_THREE
from tests.server.serving import Json, Server, at, served
from tests.traffic import traffic

pytestmark = pytest.mark.postgres

PACE = {"betpawa_concurrency": 3, "sportybet_concurrency": 3, "bet9ja_concurrency": 3}
PATIENCE_SECONDS = 40


async def ask(server: Server, path: str, method: str = "GET") -> tuple[int, Any]:
    """Return the status and JSON of a response."""
    async with (
        aiohttp.ClientSession(headers=dict(server.headers)) as session,
        session.request(method, f"{server.url}{path}") as answer,
    ):
        traffic().answer(method, path, answer.status, answer.headers["Content-Type"], await answer.read())
        return answer.status, await answer.json(content_type=None)


async def scrape(server: Server) -> Json:
    """Scrape, and return the row of the whole run."""
    status, started = await ask(server, "/api/scrape", "POST")
    assert status == 202, started
    return await ended(server, started["scrape_run_id"])


async def ended(server: Server, run_id: int) -> Json:
    """Return the row of a run once it has ended."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (row := (await ask(server, f"/api/scrape/{run_id}"))[1])["status"] == "running":
            await asyncio.sleep(0.05)
    return dict(row)


async def until_ready(server: Server, status: int) -> Json:
    """Return the body of /readyz once it answers with this status."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (answer := await ask(server, "/readyz"))[0] != status:
            await asyncio.sleep(0.05)
    return dict(answer[1])


async def matches(server: Server) -> dict[int, set[tuple[str, str]]]:
    """Return which bookmaker events each event id is matched to, as a server shows them."""
    _, page = await ask(server, "/api/events?include_started=true&page_size=100")
    return {
        event["id"]: {(each["bookmaker_slug"], each["external_event_id"]) for each in event["bookmakers"]}
        for event in page["events"]
    }


async def same_matches(one: Server, other: Server) -> dict[int, set[tuple[str, str]]]:
    """Return what both servers show, once they agree."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (shown := await matches(one)) != await matches(other):
            await asyncio.sleep(0.1)
    return shown


@asynccontextmanager
async def two_servers(
    folder: Path, postgres: PostgresServer, more: Mapping[str, object] | None = None
) -> AsyncIterator[tuple[Server, Server, str]]:
    """Yield a server that writes and has scraped once, a server that reads, and the URL of their database."""
    url = await make_database(postgres.url)
    async with sandbox_process(SandboxOptions(events=12, latency_ms=40, move=0.2, bookmakers=FIRST_THREE)) as sandbox:
        settings = {**at(sandbox.urls), **PACE, "database_url": url, "drain_seconds": 1, **(more or {})}
        async with served(folder / "first", settings) as first:
            assert (await scrape(first))["status"] == "completed"
            async with served(folder / "second", settings) as second:
                yield first, second, url


async def test_a_server_that_only_reads_says_so_and_shows_no_old_odds(tmp_path: Path) -> None:
    """It says so in /readyz, /api/health and on the page, and refuses everything that the writer has to do.

    What the writer commits appears within seconds.
    """
    with running_postgres() as postgres:
        async with two_servers(tmp_path, postgres) as (writing, reading, _):
            body = await until_ready(reading, 503)
            assert body["status"] == "reads_only"
            assert "another process writes" in body["detail"]
            assert body["role"] == "standby"
            shown, own = (await ask(reading, "/api/health"))[1], (await ask(writing, "/api/health"))[1]
            assert (shown["writer"], shown["role"]) == (False, "standby")
            assert (own["writer"], own["role"]) == (True, "writer")
            assert (shown["term"], shown["holder"]) == (own["term"], own["holder"])
            async with aiohttp.ClientSession() as session, session.get(f"{reading.url}/") as page:
                assert "This server is read-only" in await page.text()
            for method, path in (
                ("POST", "/api/scrape"),
                ("POST", "/api/events/1/refresh"),
                ("POST", "/api/scheduler/pause"),
                ("POST", "/api/cleanup/execute"),
                ("POST", "/runs"),
                ("GET", "/api/scrape/stream"),
            ):
                status, problem = await ask(reading, path, method)
                assert (status, problem["title"]) == (503, "This server does not write"), path
                assert "another process writes" in problem["detail"]
            # An EventSource would never come back after an error status.
            headers = {"Accept": "text/event-stream"}
            async with (
                aiohttp.ClientSession(headers=headers) as session,
                session.get(f"{reading.url}/api/scrape/stream") as stream,
            ):
                assert (stream.status, (await stream.text()).startswith("retry: ")) == (200, True)
            assert len((await ask(writing, "/api/scrape/runs"))[1]) == 1
            await scrape(writing)
            await same_matches(writing, reading)


async def until_one_writes(first: Server, second: Server) -> tuple[Server, Server]:
    """Return the server that completes a run, and the other one.

    Right after a restart of the database, the one that wrote may not have noticed yet that the other has the lock.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            for writing, reading in ((first, second), (second, first)):
                status, started = await ask(writing, "/api/scrape", "POST")
                if status == 202 and (await ended(writing, started["scrape_run_id"]))["status"] == "completed":
                    return writing, reading
            await asyncio.sleep(0.05)


@pytest.mark.endurance
async def test_a_restart_of_postgresql_and_a_kill_lose_nothing_that_was_confirmed(tmp_path: Path) -> None:
    """One server continues to write. If it is killed during a run, the other ends that run and takes over."""
    with running_postgres() as postgres:
        async with two_servers(tmp_path, postgres) as (first, second, _):
            confirmed = await matches(first)
            postgres.stop()
            postgres.start()
            writing, reading = await until_one_writes(first, second)
            _, started = await ask(writing, "/api/scrape", "POST")
            writing.process.kill()
            await writing.process.wait()
            await until_ready(reading, 200)
            assert (await ask(reading, f"/api/scrape/{started['scrape_run_id']}"))[1]["status"] == "interrupted"
            assert (await scrape(reading))["status"] == "completed"
            shown = await matches(reading)
            assert {event_id: shown[event_id] for event_id in confirmed} == confirmed


@pytest.mark.alone
async def test_a_stop_ends_in_time_though_the_database_hangs(tmp_path: Path) -> None:
    """With a run active and PostgreSQL no longer answering, the process ends within 3 s after its drain time."""
    with running_postgres() as postgres:
        async with two_servers(tmp_path, postgres) as (first, _, _):
            await ask(first, "/api/scrape", "POST")
            postgres.send(signal.SIGSTOP)
            try:
                began = time.monotonic()
                first.process.send_signal(signal.SIGTERM)
                async with asyncio.timeout(15):
                    await first.process.wait()
                took = time.monotonic() - began
                assert took < 1 + 3, "".join(first.said)[-3000:]
            finally:
                postgres.send(signal.SIGCONT)
