"""A server that is killed at any moment of a scrape, and started again."""

import asyncio
import random
import shutil
import socket
import struct
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox import SandboxOptions, sandbox_process
from tests.platforms import FIRST_THREE
from tests.server.serving import at, curl, served

RUN_SECONDS = 1.5
"""Approximate duration of a scrape in these tests."""


async def get(url: str) -> Any:
    """Return the JSON at an address."""
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
        return await answer.json()


async def odds(url: str) -> dict[int, list[str]]:
    """Return which bookmakers have odds for each event."""
    page = await get(f"{url}/api/events?include_started=true&page_size=100")
    assert page["total"] == len(page["events"])
    return {
        event["id"]: [each["bookmaker_slug"] for each in event["bookmakers"] if each["inline_odds"]]
        for event in page["events"]
    }


async def kill_again_and_again(folder: Path, times: int) -> None:
    """Kill at random moments of a scrape, and check the data after each restart."""
    moments = random.Random(7)
    pace = {"betpawa_concurrency": 4, "sportybet_concurrency": 4, "bet9ja_concurrency": 4}
    async with sandbox_process(SandboxOptions(events=30, latency_ms=60, move=0.2, bookmakers=FIRST_THREE)) as sandbox:
        settings = at(sandbox.urls) | pace
        async with served(folder, settings) as server:
            published = await curl(server, "/api/scrape/stream")
            assert published[-1]["phase"] == "completed"
            confirmed = await odds(server.url)
        for _ in range(times):
            async with served(folder, settings) as server:
                async with aiohttp.ClientSession() as session, session.post(f"{server.url}/api/scrape") as answer:
                    run_id = (await answer.json())["scrape_run_id"]
                await asyncio.sleep(moments.uniform(0, RUN_SECONDS))
                server.process.kill()
                await server.process.wait()
            async with served(folder, settings) as server:
                run = await get(f"{server.url}/api/scrape/{run_id}")
                if run["status"] != "completed":
                    assert run["status"] == "interrupted"
                    assert run["errors"][0]["error_type"] == "interrupted"
                    last = await curl(server, f"/api/scrape/runs/{run_id}/progress")
                    assert [each["phase"] for each in last] == ["failed"]
                assert await odds(server.url) == confirmed
                assert await get(f"{server.url}/api/scrape/runs/active") == []


@pytest.mark.endurance
async def test_a_server_that_is_killed_in_a_scrape_says_so_and_has_all_confirmed_odds(tmp_path: Path) -> None:
    """The run is interrupted and has its terminal progress, and all odds of the run before it are there."""
    await kill_again_and_again(tmp_path, 3)


@pytest.mark.endurance
async def test_twenty_kills_in_a_scrape_lose_nothing_that_was_confirmed(tmp_path: Path) -> None:
    """The same holds for twenty kills."""
    await kill_again_and_again(tmp_path, 20)


async def test_after_a_stop_the_file_alone_is_the_whole_database(tmp_path: Path) -> None:
    """A copy of `odds.db`, without any files beside it, has the run and all its odds."""
    async with sandbox_process(SandboxOptions(events=10, latency_ms=5, bookmakers=FIRST_THREE)) as sandbox:
        settings = at(sandbox.urls)
        async with served(tmp_path / "one", settings) as server:
            assert (await curl(server, "/api/scrape/stream"))[-1]["phase"] == "completed"
            confirmed = await odds(server.url)
            await server.stop()
        (tmp_path / "other").mkdir()
        shutil.copy(tmp_path / "one" / "odds.db", tmp_path / "other")
        async with served(tmp_path / "other", settings) as server:
            assert await odds(server.url) == confirmed
            assert [run["status"] for run in await get(f"{server.url}/api/scrape/runs")] == ["completed"]


async def test_clients_that_leave_while_their_run_starts_leave_no_row_running(tmp_path: Path) -> None:
    """Every run ends without a restart, at whatever moment its connection is reset."""
    moments = random.Random(3)
    urls = dict.fromkeys(Platform, "http://127.0.0.1:9")
    async with served(tmp_path, {**at(urls), "request_tries": 1, "log_level": "error"}) as server:
        for number in range(40):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            verb = "POST /api/scrape" if number % 2 else "GET /api/scrape/stream"
            host = f"127.0.0.1:{server.port}"
            writer.write(f"{verb} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode())
            await asyncio.sleep(moments.uniform(0.001, 0.02))
            writer.transport.abort()
            await asyncio.sleep(0.02)
        async with asyncio.timeout(30):
            while await get(f"{server.url}/api/scrape/runs?status=running"):
                await asyncio.sleep(0.05)
            # The end of a run is committed before it is published.
            while await get(f"{server.url}/api/scrape/runs/active"):
                await asyncio.sleep(0.05)
        assert await get(f"{server.url}/api/scrape/runs")
