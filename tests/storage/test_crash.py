"""After kill -9 at any moment, the database opens, and holds only complete events and everything confirmed."""

import asyncio
import random
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from quart_odds.domain.platforms import Platform
from quart_odds.odds import OddsService
from quart_odds.odds.event_odds import GONE
from quart_odds.odds.history import GONE_ODDS
from quart_odds.storage import Store, open_store
from quart_odds.storage.tables import quotes
from tests.storage.crash_writer import EVENTS, HOME

ROOT = Path(__file__).parents[2]


async def scrape_and_die(database_url: str, first_scrape: int, more_seconds: float) -> int:
    """Run the writer until it confirms a scrape and for a while longer, then kill it.

    Returns the number of the last confirmed scrape.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.storage.crash_writer",
        database_url,
        str(first_scrape),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            await process.stdout.readline()
        await asyncio.sleep(more_seconds)
    finally:
        process.send_signal(signal.SIGKILL)
        left = await process.stdout.read()
        await process.wait()
    return int(left.split()[-1]) if left.split() else first_scrape


async def check_whole(store: Store, odds_service: OddsService, confirmed: int) -> int:
    """Check that all event odds are complete and none are older than what was confirmed.

    Returns the number of the newest scrape that any of them have.
    """
    newest = confirmed
    for event in odds_service.cache.events.values():
        for event_odds in event.odds.values():
            past = await store.price_history(event_odds.id, list(event_odds.keys))
            replayed = dict(past.opening)
            for _, key, odds in past.changes:
                replayed[key] = replayed[key] | GONE if odds == GONE_ODDS else odds
            assert replayed == {key: value for key, value, _ in event_odds}, (
                "the history does not lead to the current odds"
            )
            scrape = round((event_odds.values[event_odds.keys.index(HOME)] >> 1) - 1500)
            assert scrape >= confirmed
            newest = max(newest, scrape)
    return newest


async def crash(database_url: str, times: int, seed: int) -> None:
    """Kill the writer `times` times on one database, and check the database each time."""
    moments = random.Random(seed)
    scrape = 0
    for number in range(1, times + 1):
        confirmed = await scrape_and_die(database_url, scrape, moments.uniform(0, 0.5))
        store = await open_store(database_url)
        if store.database.is_sqlite:
            async with store.database.reading() as connection:
                assert (await connection.execute(text("PRAGMA integrity_check"))).scalar_one() == "ok"
                assert (await connection.execute(text("PRAGMA foreign_key_check"))).all() == []
        odds_service = OddsService(store)
        await odds_service.load()
        assert len(odds_service.cache.events) == EVENTS
        async with store.database.reading() as connection:
            assert (await connection.execute(select(func.count()).select_from(quotes))).scalar_one() == len(
                Platform
            ) * EVENTS
        scrape = 1 + await check_whole(store, odds_service, confirmed)
        interrupted = await store.interrupt_running(datetime.now(UTC))
        assert [run.id for run in interrupted] == [number]
        await odds_service.close()
        await store.aclose()


async def test_kill_9_leaves_whole_events(database_url: str) -> None:
    """The writer is killed three times on one database, at random moments."""
    await crash(database_url, 3, seed=7)


@pytest.mark.endurance
@pytest.mark.timeout(600)
async def test_kill_9_twenty_times_leaves_whole_events(database_url: str) -> None:
    """The writer is killed twenty times on one database, at random moments."""
    await crash(database_url, 20, seed=11)
