"""What is over is collected by the process that writes, and stored in batches."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.errors import NotWriterError, StorageError
from quart_odds.odds import OddsCache, past_opportunities
from quart_odds.odds.opportunities import OpportunityEngine
from quart_odds.odds.past_opportunities import PastOpportunities, PastOpportunity
from tests.odds.making import KICKOFF, NOW, STALE_AFTER, header, key, mapped

OVER, UNDER = key("over_under_ft", "Over", 2.5), key("over_under_ft", "Under", 2.5)


class RecordingStore:
    """A database that may fail."""

    term: int | None = 3

    def __init__(self) -> None:
        self.stored: list[PastOpportunity] = []
        self.failure: Exception | None = None
        self.is_asked, self.go_on = asyncio.Event(), asyncio.Event()
        self.go_on.set()

    async def add_past_opportunities(self, past: Sequence[PastOpportunity], term: int | None) -> None:
        """Store them once `go_on` is set, or fail."""
        assert term == self.term
        self.is_asked.set()
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure
        self.stored += past


class Collected:
    """A match with an engine whose opportunities are collected once they are over."""

    def __init__(self) -> None:
        self.now = NOW
        self.is_writer = True
        self.store = RecordingStore()
        self.past = PastOpportunities(self.store, lambda: self.is_writer)
        self.cache = OddsCache()
        self.engine = OpportunityEngine(self.cache, STALE_AFTER, clock=lambda: self.now)
        self.engine.on_told = self.past.note

    def come_and_go(self, gain: float = 2.1) -> None:
        """Let an opportunity appear, change and end thirty seconds later."""
        for platform, odds in (
            (Platform.BETPAWA, {OVER: gain, UNDER: 1.8}),
            (Platform.SPORTYBET, {OVER: 1.8, UNDER: gain}),
            (Platform.SPORTYBET, {OVER: 1.8, UNDER: 2.0}),
        ):
            self.cache.apply(mapped(header(platform), odds), self.now)
            self.engine.current()
        self.now += timedelta(seconds=30)
        self.cache.apply(mapped(header(Platform.SPORTYBET), {OVER: 1.8, UNDER: 1.85}), self.now)
        self.engine.current()


async def test_what_is_over_is_stored_once_with_its_time_and_its_best_worth() -> None:
    """The prices are those of the end, the event as it was."""
    match = Collected()
    match.come_and_go()
    await match.past.flush()
    await match.past.flush()
    (found,) = [each for each in match.store.stored if each.kind == "arbitrage"]
    assert found == PastOpportunity(
        event_id=1,
        event_name="Arsenal - Chelsea",
        kickoff=KICKOFF,
        kind="arbitrage",
        keys=(OVER, UNDER),
        platforms=(Platform.BETPAWA, Platform.SPORTYBET),
        margin=2.44,
        best_margin=5.0,
        first_seen_at=NOW,
        ended_at=NOW + timedelta(seconds=30),
    )


async def test_only_the_process_that_writes_collects() -> None:
    """Others find the same opportunities, and would store them again."""
    match = Collected()
    match.is_writer = False
    match.come_and_go()
    await match.past.flush()
    assert match.store.stored == []


async def test_what_a_database_did_not_take_is_stored_later() -> None:
    """Unless another process writes by now: that one collects its own."""
    match = Collected()
    match.store.failure = StorageError("the database is busy")
    match.come_and_go()
    await match.past.flush()
    match.store.failure = None
    await match.past.flush()
    count = len(match.store.stored)
    assert count > 0
    match.store.failure = NotWriterError()
    match.come_and_go()
    await match.past.flush()
    match.store.failure = None
    await match.past.flush()
    assert len(match.store.stored) == count


async def test_a_stop_stores_what_is_waiting() -> None:
    """It does not wait for the next time."""
    match = Collected()
    match.past.open()
    match.come_and_go()
    await match.past.close()
    assert [each.kind for each in match.store.stored].count("arbitrage") == 1


async def test_a_stop_in_the_middle_of_a_transaction_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes to its end, and what has ended meanwhile is stored as well."""
    monkeypatch.setattr(past_opportunities, "FLUSH_SECONDS", 0.01)
    match = Collected()
    match.store.go_on.clear()
    match.past.open()
    match.come_and_go()
    await match.store.is_asked.wait()
    match.come_and_go()
    asyncio.get_running_loop().call_soon(match.store.go_on.set)
    await match.past.close()
    assert [each.kind for each in match.store.stored].count("arbitrage") == 2
