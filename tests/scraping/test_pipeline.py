"""How events pass through the steps of a bookmaker's pipeline."""

import asyncio
from collections.abc import AsyncGenerator

from quart_odds.domain.odds import EventHeader, MappedEvent
from quart_odds.scraping.pipeline import Pipeline
from quart_odds.scraping.progress_tracker import PlatformTracker
from quart_odds.scraping.schemas import Platform
from tests.scraping.fakes import FakeBookmaker, FakeDecoder, header


async def test_lists_are_complete_long_before_their_events_are_fetched() -> None:
    """However few requests are made at once: otherwise nobody could say until the end how long a run takes."""
    site = FakeBookmaker(Platform.BETPAWA)
    site.released = asyncio.Event()
    tracker = PlatformTracker(Platform.BETPAWA)
    is_listed = asyncio.Event()
    recorded: list[EventHeader] = []

    async def headers() -> AsyncGenerator[EventHeader, None]:
        for number in range(300):
            yield header(Platform.BETPAWA, number)
        is_listed.set()

    async def record(mapped: MappedEvent) -> None:
        recorded.append(mapped.header)

    running = asyncio.create_task(Pipeline(site, tracker, FakeDecoder(), fetchers=2).run(headers(), record))
    async with asyncio.timeout(10):
        await is_listed.wait()
        while not tracker.is_discovered:
            await asyncio.sleep(0)
    assert recorded == []
    site.released.set()
    async with asyncio.timeout(10):
        await running
    assert len(recorded) == 300
