"""The scrape itself: discover → fetch → map → store, for all platforms at once. It does not know about listeners.

Each platform has its own pipeline (`scraping.pipeline`) and waits for no other platform. Only the odds are kept, not
the bodies.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Protocol

import structlog

from quart_odds.bookmakers import BookmakerClient
from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import EventHeader, ListedCompetitions, ListedEvent, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunError, ScrapePhase
from quart_odds.errors import (
    CacheFullError,
    NothingFoundError,
)
from quart_odds.odds.event import EventChange
from quart_odds.scraping.pipeline import BodyDecoder, Pipeline, failing_platform
from quart_odds.scraping.progress_tracker import PlatformTracker, RunTracker

MANY_MISSING = 10
"""If this many events vanish from complete lists at once, it is reported as an error: the lists may be wrong."""

MAX_PRICES = 6_000_000
"""Maximum number of prices from one bookmaker in one run: ten times as many as the largest bookmaker has."""

log = structlog.get_logger(__name__)

ClientFactory = Callable[[Platform], AbstractAsyncContextManager[BookmakerClient]]


class OddsSink(Protocol):
    """Takes the odds that a scrape finds. The odds service implements it: cache, notices and database."""

    async def record(self, mapped: MappedEvent, seen_at: datetime) -> object:
        """Record one event's odds. Waits only while the database is far behind."""

    async def mark_missing(
        self, platform: Platform, seen_external_ids: set[str], at: datetime, listed: ListedCompetitions
    ) -> Sequence[EventChange]:
        """Record which events a discovery found. `listed` says which competitions it listed completely.

        An event that a complete list lacks is missed. If another complete list lacks it at least five minutes later, it
        is gone. Returns the changes of both kinds: `is_missed` is True for the former, `is_available` is False for the
        latter.
        """

    async def withdraw(self, platform: Platform, external_id: str, at: datetime) -> object:
        """Mark an event as gone at once: the bookmaker answered that it no longer has it, or the match has begun."""

    async def confirm(self) -> None:
        """Wait until everything recorded is committed. Raises StorageError if it cannot be committed."""


class Coordinator:
    """Scrapes the platforms that a tracker names, one scrape at a time. The tracker holds the results."""

    def __init__(
        self,
        open_client: ClientFactory,
        decoder: BodyDecoder,
        sink: OddsSink,
        *,
        platform_deadline_seconds: float,
        fetchers: Callable[[Platform], int],
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._open_client = open_client
        self._decoder = decoder
        self._sink = sink
        self._platform_deadline_seconds = platform_deadline_seconds
        self._fetchers = fetchers
        self._now = now

    async def scrape(self, tracker: RunTracker, last_found: dict[Platform, int]) -> None:
        """Scrape all platforms of the tracker at once. A platform that fails does not affect the others.

        `last_found` is the number of events that each platform's last discovery found. If a platform now has at most
        half as many, that is reported as an error.
        """
        async with asyncio.TaskGroup() as group:
            for platform_tracker in tracker.platforms:
                group.create_task(
                    self._scrape_platform(platform_tracker, last_found.get(platform_tracker.platform)),
                    name=f"scrape-{platform_tracker.platform}",
                )

    async def confirm(self) -> None:
        """Wait until everything recorded is committed. Raises StorageError if it cannot be committed."""
        await self._sink.confirm()

    async def _scrape_platform(self, tracker: PlatformTracker, last_found: int | None) -> None:
        platform = tracker.platform
        async with (
            failing_platform(tracker, self._platform_deadline_seconds, self._now),
            self._open_client(platform) as client,
        ):
            client.forget_refusals()
            tracker.enter(ScrapePhase.DISCOVERING)
            work = _PlatformScrape(client, tracker, lambda odds: self._sink.record(odds, self._now()))
            pipeline = Pipeline(client, tracker, self._decoder, fetchers=self._fetchers(platform))
            await pipeline.run(work.listed(), partial(self._record, work))
            self._judge(work, last_found)
            if tracker.phase is not ScrapePhase.FAILED:
                tracker.enter(ScrapePhase.STORING)
                await self._take_away(work, pipeline.not_found)
                tracker.enter(ScrapePhase.COMPLETED)

    async def _record(self, work: "_PlatformScrape", mapped: MappedEvent) -> None:
        if mapped.is_in_play:
            work.in_play.append(mapped.header.external_id)
            work.tracker.count_in_play(mapped)
            return
        work.count_prices(mapped)
        await self._sink.record(mapped, self._now())
        work.tracker.count_fetched(mapped)

    def _judge(self, work: "_PlatformScrape", last_found: int | None) -> None:
        """Decide how the platform's part ended.

        It failed if no event yielded odds or was in play, or if more than half of the listed events failed, not
        counting those that the bookmaker no longer has and those in play.
        """
        tracker = work.tracker
        trouble = tracker.failed - tracker.gone
        if trouble * 2 > tracker.found or not (tracker.fetched or work.in_play):
            worst = tracker.faults.commonest()
            assert worst is not None
            tracker.fail(worst)
            return
        if last_found and tracker.found * 2 <= last_found:
            tracker.is_shrunken = True
            reason = f"only {tracker.found} events were found, {last_found} in the previous run"
            tracker.faults.add(RunError("shrunken", reason, self._now(), tracker.platform, recoverable=True))
        if work.client.discovery_errors:
            log.warning(
                "scrape.discovery_incomplete", platform=tracker.platform, failures=len(work.client.discovery_errors)
            )

    async def _take_away(self, work: "_PlatformScrape", not_found: list[str]) -> None:
        """Report to the sink which events the bookmaker no longer has, as far as that is certain."""
        platform, tracker = work.client.platform, work.tracker
        now = self._now()
        changes = await self._sink.mark_missing(platform, work.seen, now, work.client.listed)
        missed = sum(change.is_missed for change in changes)
        gone = sum(change.is_available is False for change in changes)
        tracker.note_missing(missed, gone, is_fault=missed + gone >= MANY_MISSING)
        # If most of the listed events are "not found", it is the address that has changed: the events are still there.
        withdrawn = not_found if len(not_found) * 2 <= tracker.found else []
        for external_id in (*withdrawn, *work.in_play):
            await self._sink.withdraw(platform, external_id, now)


class _PlatformScrape:
    """One platform's part of a scrape: the client, the counters, and the events that were listed or in play.

    `record` takes the odds that a list carries.
    """

    def __init__(
        self, client: BookmakerClient, tracker: PlatformTracker, record: Callable[[MappedEvent], Awaitable[object]]
    ) -> None:
        self.client = client
        self.tracker = tracker
        self._record = record
        self.seen: set[str] = set()
        self.in_play: list[str] = []
        self._prices = 0

    async def listed(self) -> AsyncGenerator[EventHeader, None]:
        """Yield the events that the bookmaker lists, each once. The odds that a list carries are recorded at once.

        Raises NothingFoundError if there are no events at all.
        """
        async with _closing(self.client.discover()) as found:
            async for listed in found:
                header = listed.header
                if header.external_id not in self.seen:
                    self.seen.add(header.external_id)
                    self.tracker.count_found()
                    if listed.odds is not None:
                        await self._record_listed(listed.odds)
                    yield header
        self.tracker.note_lists(self.client.discovery_errors)
        if not self.seen and not self.client.discovery_errors:
            raise NothingFoundError(self.client.platform, "no event was found, although there always are some")

    async def _record_listed(self, odds: MappedEvent) -> None:
        # If there is no room for them, the event's own body meets the same limit and is counted as failed.
        with suppress(CacheFullError):
            self.count_prices(odds)
            await self._record(odds)

    def count_prices(self, mapped: MappedEvent) -> None:
        """Count one more event's prices. Raises CacheFullError if the run would have too many."""
        if self._prices + len(mapped.prices) > MAX_PRICES:
            where = f"event {mapped.header.external_id}"
            raise CacheFullError(self.client.platform, f"over {MAX_PRICES} prices in one run", where=where)
        self._prices += len(mapped.prices)


@asynccontextmanager
async def _closing(found: AsyncIterator[ListedEvent]) -> AsyncIterator[AsyncIterator[ListedEvent]]:
    try:
        yield found
    finally:
        if (aclose := getattr(found, "aclose", None)) is not None:
            await aclose()
