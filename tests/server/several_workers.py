"""A served supervisor with two workers, its log lines, and which worker answers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.redis_servers import TestRedis
from tests.server.serving import SERVE, Json, Server, served

PATIENCE_SECONDS = 100
"""Up to four processes start in a test, and each needs some seconds of a core."""
DRAIN_SECONDS = 1
LISTENERS = 14
"""So many that each of two workers has one, except once in 8,000 times."""


def log_lines(server: Server) -> list[Json]:
    """Return the log lines of all processes. Other output fails the test, except the address and the stand-ins."""
    return [
        json.loads(line) for line in server.said if not line.startswith("Quart Odds is at ") and " sandbox." not in line
    ]


def lines_of(server: Server, event: str) -> list[Json]:
    """Return the log lines of an event."""
    return [each for each in log_lines(server) if each["event"] == event]


async def until_said(server: Server, event: str, count: int = 1, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until a line has been logged so many times."""
    try:
        async with asyncio.timeout(seconds):
            while len(lines_of(server, event)) < count:
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{event} was not logged {count} times: {''.join(server.said)[-5000:]}") from None


@asynccontextmanager
async def two_workers(folder: Path, engine: TestRedis, *options: str, **more: object) -> AsyncIterator[Server]:
    """Run a supervisor with two workers, and wait until both are ready."""
    settings = {"engine_url": engine.url, "log_format": "json", "drain_seconds": DRAIN_SECONDS, **more}
    command = [*SERVE, "--workers", "2", *options]
    async with served(folder, settings, command, start_seconds=PATIENCE_SECONDS) as server:
        await until_said(server, "worker.ready", 2)
        yield server


async def processes(server: Server) -> dict[int, int]:
    """Return the process id of each worker by its number, as /api/health says on many connections."""
    found: dict[int, int] = {}
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(
        headers=dict(server.headers), connector=connector, timeout=aiohttp.ClientTimeout(20)
    ) as session:
        for _ in range(LISTENERS):
            async with session.get(f"{server.url}/api/health") as answer:
                process = (await answer.json())["process"]
            assert found.setdefault(process["worker"], process["pid"]) == process["pid"]
    return found


async def until_gone(pids: list[int]) -> None:
    """Wait until none of these processes runs. They are no children of this process."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while any(Path(f"/proc/{pid}").exists() for pid in pids):
            await asyncio.sleep(0.02)
