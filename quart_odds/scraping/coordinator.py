"""The scrape itself: discover → fetch → map → store, for each platform at its own pace. It knows no listeners.

Each platform is a pipeline of its own: events flow from discovery through a bounded queue to its fetchers, their bodies
through another to where they are decoded and recorded. Nothing waits for the others, and nothing is kept but the odds.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import Protocol

import structlog

from quart_odds.bookmakers import BookmakerClient, RawBody
from quart_odds.bookmakers.politeness import MOST_REFUSALS_IN_A_ROW
from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import EventHeader, ListedCompetitions, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunError, ScrapePhase
from quart_odds.errors import (
    BlockedError,
    BookmakerError,
    CacheFullError,
    NotFoundError,
    NothingFoundError,
    QuartOddsError,
)
from quart_odds.odds.event import EventChange
from quart_odds.scraping.faults import run_error
from quart_odds.scraping.progress_tracker import PlatformTracker, RunTracker

__all__ = ["MOST_REFUSALS_IN_A_ROW", "BodyDecoder", "ClientFactory", "Coordinator", "OddsSink", "count_refusal"]

MANY_MISSING = 10
"""So many events that vanish from complete lists at once are told as a fault: the lists may be what is wrong."""

MAX_PRICES = 6_000_000
"""Prices of one bookmaker in one run: ten times what the largest has."""

RECORDERS = 4
"""Bodies of one platform that are decoded or recorded at once: enough to hide the way to the decoding process."""

log = structlog.get_logger(__name__)

ClientFactory = Callable[[Platform], AbstractAsyncContextManager[BookmakerClient]]


class BodyDecoder(Protocol):
    """Turns bodies into domain values, off the loop."""

    async def decode(self, raw: RawBody) -> MappedEvent:
        """The event. Raises BookmakerError for a body that cannot be understood."""


class OddsSink(Protocol):
    """Where odds go: the cache, the notices and the database behind it."""

    async def record(self, mapped: MappedEvent, seen_at: datetime) -> object:
        """Take in one event's odds; waits only while the database is far behind."""

    async def mark_missing(
        self, platform: Platform, seen_external_ids: set[str], at: datetime, listed: ListedCompetitions
    ) -> Sequence[EventChange]:
        """Take in what a discovery listed, and how much of it is known to be whole.

        An event that such a list lacks is missed; one that the next such list lacks too is gone, if that is five
        minutes later. Both are given: the former have `is_missed`, the latter `is_available` False.
        """

    async def withdraw(self, platform: Platform, external_id: str, at: datetime) -> object:
        """Take an event away at once: the bookmaker said itself that it has it no more, or the match has begun."""

    async def confirm(self) -> None:
        """Return once all that was recorded is committed. Raises StorageError when it cannot be."""


class Coordinator:
    """Runs one scrape at a time over the platforms that a tracker names; what comes of it stands in the tracker."""

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
        """Scrape all platforms of the tracker at once; one that fails leaves the others alone.

        `last_found` is what each platform's last discovery found, to say so when one has shrunk.
        """
        async with asyncio.TaskGroup() as group:
            for platform_tally in tracker.platforms:
                group.create_task(
                    self._scrape_platform(platform_tally, last_found.get(platform_tally.platform)),
                    name=f"scrape-{platform_tally.platform}",
                )

    async def confirm(self) -> None:
        """Wait until everything recorded is committed. Raises StorageError when it cannot be."""
        await self._sink.confirm()

    async def _scrape_platform(self, tracker: PlatformTracker, last_found: int | None) -> None:
        platform = tracker.platform
        try:
            async with asyncio.timeout(self._platform_deadline_seconds), self._open_client(platform) as client:
                client.forget_refusals()
                tracker.enter(ScrapePhase.DISCOVERING)
                pipe = _Pipe(client, tracker)
                await self._pipeline(pipe)
                self._judge(pipe, last_found)
                if tracker.phase is not ScrapePhase.FAILED:
                    tracker.enter(ScrapePhase.STORING)
                    await self._take_away(pipe)
                    tracker.enter(ScrapePhase.COMPLETED)
        except TimeoutError:
            reason = f"{platform.display_name} did not finish within {self._platform_deadline_seconds:g} s"
            tracker.fail(RunError("deadline", reason, self._now(), platform, recoverable=True))
        except Exception as error:
            first = _first(error)
            if not isinstance(first, QuartOddsError):
                log.exception("scrape.platform_broke", platform=platform)
            tracker.fail(run_error(first, platform))

    async def _pipeline(self, pipe: "_Pipe") -> None:
        """Move every event that the discovery lists through fetch, map and store."""
        fetchers = self._fetchers(pipe.client.platform)
        headers: asyncio.Queue[EventHeader | None] = asyncio.Queue(maxsize=4 * fetchers)
        bodies: asyncio.Queue[RawBody | None] = asyncio.Queue(maxsize=2 * RECORDERS + fetchers // 2)
        async with asyncio.TaskGroup() as recording:
            for _ in range(RECORDERS):
                recording.create_task(self._record(pipe, bodies))
            async with asyncio.TaskGroup() as fetching:
                for _ in range(fetchers):
                    fetching.create_task(self._fetch(pipe, headers, bodies))
                await self._discover(pipe, headers)
                for _ in range(fetchers):
                    await headers.put(None)
            for _ in range(RECORDERS):
                await bodies.put(None)

    async def _discover(self, pipe: "_Pipe", headers: asyncio.Queue[EventHeader | None]) -> None:
        client, tracker = pipe.client, pipe.tracker
        async with _closing(client.discover()) as found:
            async for header in found:
                if header.external_id not in pipe.seen:
                    pipe.seen.add(header.external_id)
                    tracker.count_found()
                    await headers.put(header)
        tracker.note_lists(client.discovery_errors)
        if not pipe.seen and not client.discovery_errors:
            raise NothingFoundError(client.platform, "no event was found, and there always are some")
        tracker.is_discovered = True
        _scrapes_now(tracker)

    async def _fetch(
        self, pipe: "_Pipe", headers: asyncio.Queue[EventHeader | None], bodies: asyncio.Queue[RawBody | None]
    ) -> None:
        while (header := await headers.get()) is not None:
            try:
                raw = await pipe.client.fetch(header)
            except BookmakerError as error:
                pipe.count_failed(header, error)
            else:
                await bodies.put(raw)
                # Not held while this waits for the next event.
                del raw

    async def _record(self, pipe: "_Pipe", bodies: asyncio.Queue[RawBody | None]) -> None:
        while (raw := await bodies.get()) is not None:
            header = raw.header
            try:
                mapped = await self._decoder.decode(raw)
            except BookmakerError as error:
                pipe.count_failed(header, error.bare())
                continue
            finally:
                pipe.client.release(raw)
                del raw
            pipe.client.forget_refusals()
            if mapped.is_in_play:
                pipe.in_play.append(mapped.header.external_id)
                pipe.tracker.count_in_play(mapped)
            else:
                try:
                    pipe.count_prices(mapped)
                    await self._sink.record(mapped, self._now())
                except BookmakerError as error:
                    pipe.count_failed(header, error)
                    continue
                pipe.tracker.count_fetched(mapped)
            _scrapes_now(pipe.tracker)

    def _judge(self, pipe: "_Pipe", last_found: int | None) -> None:
        """Say what the platform came to: failed when most of what it listed could not be got for worse than a 404."""
        tracker = pipe.tracker
        trouble = tracker.failed - tracker.gone
        if trouble * 2 > tracker.found or not (tracker.fetched or pipe.in_play):
            worst = tracker.faults.commonest()
            assert worst is not None
            tracker.fail(worst)
            return
        if last_found and tracker.found * 2 <= last_found:
            tracker.is_shrunken = True
            reason = f"only {tracker.found} events were found, {last_found} the time before"
            tracker.faults.add(RunError("shrunken", reason, self._now(), tracker.platform, recoverable=True))
        if pipe.client.discovery_errors:
            log.warning(
                "scrape.discovery_incomplete", platform=tracker.platform, failures=len(pipe.client.discovery_errors)
            )

    async def _take_away(self, pipe: "_Pipe") -> None:
        """Have the sink take away what the bookmaker has no more, as far as it is known."""
        platform, tracker = pipe.client.platform, pipe.tracker
        now = self._now()
        changes = await self._sink.mark_missing(platform, pipe.seen, now, pipe.client.listed)
        missed = sum(change.is_missed for change in changes)
        gone = sum(change.is_available is False for change in changes)
        tracker.note_missing(missed, gone, is_fault=missed + gone >= MANY_MISSING)
        # Where most of what is listed is said not to be there, it is the address that is not there any more.
        not_found = pipe.not_found if len(pipe.not_found) * 2 <= tracker.found else []
        for external_id in (*not_found, *pipe.in_play):
            await self._sink.withdraw(platform, external_id, now)


class _Pipe:
    """One platform's way through a run: who is asked, the count, and what was learned of single events."""

    def __init__(self, client: BookmakerClient, tracker: PlatformTracker) -> None:
        self.client = client
        self.tracker = tracker
        self.seen: set[str] = set()
        self.prices = 0
        self.not_found: list[str] = []
        self.in_play: list[str] = []

    def count_prices(self, mapped: MappedEvent) -> None:
        """One more event's prices. Raises CacheFullError where the run would have too many."""
        if self.prices + len(mapped.prices) > MAX_PRICES:
            where = f"event {mapped.header.external_id}"
            raise CacheFullError(self.client.platform, f"over {MAX_PRICES} prices in one run", where=where)
        self.prices += len(mapped.prices)

    def count_failed(self, header: EventHeader, error: BookmakerError) -> None:
        """One event could not be got. Raises the error itself after too many refusals in a row."""
        self.tracker.count_failed(error)
        if isinstance(error, NotFoundError):
            self.not_found.append(header.external_id)
        count_refusal(self.client, error)
        if isinstance(error, BlockedError) and self.client.refusals_in_a_row >= MOST_REFUSALS_IN_A_ROW:
            raise error


def count_refusal(client: BookmakerClient, error: BookmakerError) -> None:
    """Count an error that is a refusal, whether the status or only the body showed it."""
    if isinstance(error, BlockedError):
        client.count_refusal()


def _scrapes_now(tracker: PlatformTracker) -> None:
    """Discovery and fetching overlap: a platform is said to scrape from the first odds on, or once all is listed."""
    if tracker.phase is ScrapePhase.DISCOVERING:
        tracker.enter(ScrapePhase.SCRAPING)


@asynccontextmanager
async def _closing(found: AsyncIterator[EventHeader]) -> AsyncIterator[AsyncIterator[EventHeader]]:
    try:
        yield found
    finally:
        if (aclose := getattr(found, "aclose", None)) is not None:
            await aclose()


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
