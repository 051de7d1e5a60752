"""The logs of runs in a real Redis: what they do at the end."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from quart_odds.broadcast.engines import LogKeys
from quart_odds.cluster import RedisServer, RunLogs, run_logs
from quart_odds.domain.runs import RunMode
from quart_odds.scraping.broadcaster import ProgressBroadcaster
from quart_odds.scraping.schemas import ScrapePhase, ScrapeProgress
from tests.redis_servers import TestRedis, running_redis

PROGRESS = 450
"""More than two batches."""


@pytest.fixture
def server() -> Iterator[TestRedis]:
    """A Redis server that the test may stop."""
    with running_redis() as running:
        yield running


def logs_at(server: TestRedis) -> RunLogs:
    """Return the logs of one process."""
    return RunLogs(
        RedisServer(server.url).connect,
        LogKeys("here"),
        lambda run_id, mode, epoch: ProgressBroadcaster(run_id, mode, epoch=epoch),
    )


def publish(logs: RunLogs) -> None:
    """Publish the progress of a run that has not ended."""
    broadcaster = ProgressBroadcaster(7, RunMode.FULL)
    logs.mirror(broadcaster)
    for current in range(PROGRESS):
        broadcaster.publish(ScrapeProgress(phase=ScrapePhase.SCRAPING, current=current, total=PROGRESS))


async def test_a_close_ends_as_soon_as_redis_has_everything(server: TestRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not wait for the rest of its time, and nothing that was published is missing."""
    monkeypatch.setattr(run_logs, "CLOSE_SECONDS", 60)
    logs, reader = logs_at(server), logs_at(server)
    publish(logs)
    async with asyncio.timeout(20):
        await logs.close()
        found = await reader.open(7)
        await reader.close()
    assert found is not None
    assert len(found.log) == PROGRESS


async def test_a_close_gives_up_a_redis_that_does_not_answer(
    server: TestRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop waits no longer than its time."""
    monkeypatch.setattr(run_logs, "CLOSE_SECONDS", 0.2)
    logs = logs_at(server)
    os.kill(server.pid, signal.SIGSTOP)
    publish(logs)
    async with asyncio.timeout(5):
        await logs.close()


async def test_a_close_without_anything_to_write_ends_at_once(
    server: TestRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither before the first run, nor when everything has been written."""
    monkeypatch.setattr(run_logs, "CLOSE_SECONDS", 60)
    async with asyncio.timeout(20):
        await logs_at(server).close()
        logs = logs_at(server)
        publish(logs)
        reader = logs_at(server)
        while (found := await reader.open(7)) is None or len(found.log) < PROGRESS:
            await asyncio.sleep(0.02)
        await reader.close()
        await logs.close()


async def test_a_reader_ends_at_any_moment(server: TestRedis) -> None:
    """Even if it is cancelled just as redis-py has sent a command, where Python 3.11 loses the cancellation."""
    logs = logs_at(server)
    publish(logs)
    async with asyncio.timeout(60):
        await logs.close()
        for turns in range(0, 40, 2):
            reader = logs_at(server)
            await reader.open(7)
            for _ in range(turns):
                await asyncio.sleep(0)
            await reader.close()
