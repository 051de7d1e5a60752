"""The logs of runs in a real Redis that loses entries, or has some that nobody can read."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from quart_odds.broadcast.engines import LogKeys
from quart_odds.cluster import RunLogs, open_redis
from quart_odds.domain.runs import RunMode
from quart_odds.scraping.broadcaster import ProgressBroadcaster
from quart_odds.scraping.schemas import ScrapePhase, ScrapeProgress
from tests.redis_servers import TestRedis, running_redis

KEYS = LogKeys("test")
RUN_ID = 7


@pytest.fixture(scope="module")
def server() -> Iterator[TestRedis]:
    """Return a Redis server for the tests of this module."""
    with running_redis() as running:
        yield running


@asynccontextmanager
async def run_logs(server: TestRedis) -> AsyncIterator[RunLogs]:
    """Open the logs of a process."""
    logs = RunLogs(lambda: open_redis(server.url, answer_seconds=3.0), KEYS, replica_of)
    try:
        yield logs
    finally:
        await logs.close()


def replica_of(run_id: int, mode: RunMode, epoch: str) -> ProgressBroadcaster:
    """Return a broadcaster of another process's run."""
    return ProgressBroadcaster(run_id, mode, epoch=epoch)


def progress(current: int, phase: ScrapePhase = ScrapePhase.SCRAPING) -> ScrapeProgress:
    """Return progress of the run as a whole."""
    return ScrapeProgress(phase=phase, current=current, total=5, scrape_run_id=RUN_ID, elapsed_ms=0)


async def opened(reader: RunLogs, published: int) -> ProgressBroadcaster:
    """Return the run at another process, once it has this much."""
    async with asyncio.timeout(10):
        while (found := await reader.open(RUN_ID)) is None or found.log.next_seq <= published:
            await asyncio.sleep(0.02)
    return found


async def completed(broadcaster: ProgressBroadcaster) -> list[ScrapeProgress]:
    """Return what a listener of the run is told until it ends."""
    async with asyncio.timeout(10):
        return [each async for each in broadcaster.subscribe()]


async def test_a_reader_is_told_the_end_of_a_run_though_redis_has_lost_what_was_before_it(server: TestRedis) -> None:
    """Another process ends the run of a dead one, with a number that the reader has already passed."""
    async with run_logs(server) as former, run_logs(server) as later, run_logs(server) as reader:
        running = ProgressBroadcaster(RUN_ID, RunMode.FULL)
        former.mirror(running)
        for current in range(5):
            running.publish(progress(current))
        found = await opened(reader, 5)
        listening = asyncio.create_task(completed(found))
        with server.client() as client:
            left = client.xrange(KEYS.run(RUN_ID), count=2)
            client.delete(KEYS.run(RUN_ID))
            for entry_id, fields in left:
                client.xadd(KEYS.run(RUN_ID), fields, id=entry_id)
        ending = ProgressBroadcaster(RUN_ID, RunMode.FULL)
        later.mirror(ending)
        ending.publish(progress(5, ScrapePhase.FAILED))
        assert (await listening)[-1].phase is ScrapePhase.FAILED


async def test_a_run_whose_log_cannot_be_read_ends_for_its_listeners(server: TestRedis) -> None:
    """They come again, and are told what the database has."""
    async with run_logs(server) as former, run_logs(server) as reader:
        with server.client() as client:
            client.delete(KEYS.run(RUN_ID))
            running = ProgressBroadcaster(RUN_ID, RunMode.FULL)
            former.mirror(running)
            running.publish(progress(0))
            found = await opened(reader, 1)
            listening = asyncio.create_task(completed(found))
            client.xadd(KEYS.run(RUN_ID), {"e": "x", "m": "full", "p": "{", "x": "0"}, id="2-0")
            assert [each.current for each in await listening] == [0]
