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
from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import EventHeader, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunError, ScrapePhase
from quart_odds.errors import BlockedError, BookmakerError, NothingFoundError, QuartOddsError
from quart_odds.scraping.tally import PlatformTally, RunTally, run_error

MOST_REFUSALS_IN_A_ROW = 20
"""A bookmaker that refuses so many requests running is left alone for the rest of the run."""

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

    async def mark_missing(self, platform: Platform, seen_external_ids: set[str], at: datetime) -> object:
        """Mark gone what a healthy, whole discovery no longer lists."""

    async def confirm(self) -> None:
        """Return once all that was recorded is committed. Raises StorageError when it cannot be."""


class Coordinator:
    """Runs one scrape at a time over the platforms that a tally names; what comes of it stands in the tally."""

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

    async def scrape(self, tally: RunTally, last_found: dict[Platform, int]) -> None:
        """Scrape all platforms of the tally at once; one that fails leaves the others alone.

        `last_found` is what each platform's last discovery found, to tell when one has shrunk.
        """
        async with asyncio.TaskGroup() as group:
            for platform_tally in tally.platforms:
                group.create_task(
                    self._scrape_platform(platform_tally, last_found.get(platform_tally.platform)),
                    name=f"scrape-{platform_tally.platform}",
                )

    async def confirm(self) -> None:
        """Wait until everything recorded is committed. Raises StorageError when it cannot be."""
        await self._sink.confirm()

    async def _scrape_platform(self, tally: PlatformTally, last_found: int | None) -> None:
        platform = tally.platform
        try:
            async with asyncio.timeout(self._platform_deadline_seconds), self._open_client(platform) as client:
                tally.enter(ScrapePhase.DISCOVERING)
                seen = await self._pipeline(client, tally)
                self._judge(tally, client.discovery_errors, last_found)
                if tally.phase is not ScrapePhase.FAILED:
                    tally.enter(ScrapePhase.STORING)
                    if not tally.is_shrunken and not client.discovery_errors:
                        await self._sink.mark_missing(platform, seen, self._now())
                    tally.enter(ScrapePhase.COMPLETED)
        except TimeoutError:
            reason = f"{platform.display_name} did not finish within {self._platform_deadline_seconds:g} s"
            tally.fail(RunError("deadline", reason, self._now(), platform, recoverable=True))
        except Exception as error:
            first = _first(error)
            if not isinstance(first, QuartOddsError):
                log.exception("scrape.platform_broke", platform=platform)
            tally.fail(run_error(first, platform))

    async def _pipeline(self, client: BookmakerClient, tally: PlatformTally) -> set[str]:
        """Move every event that the discovery lists through fetch, map and store; the external ids that it listed."""
        fetchers = self._fetchers(client.platform)
        headers: asyncio.Queue[EventHeader | None] = asyncio.Queue(maxsize=4 * fetchers)
        bodies: asyncio.Queue[RawBody | None] = asyncio.Queue(maxsize=2 * RECORDERS + fetchers // 2)
        seen: set[str] = set()
        async with asyncio.TaskGroup() as recording:
            for _ in range(RECORDERS):
                recording.create_task(self._record(bodies, tally))
            async with asyncio.TaskGroup() as fetching:
                refusals = _Refusals()
                for _ in range(fetchers):
                    fetching.create_task(self._fetch(client, headers, bodies, tally, refusals))
                await self._discover(client, headers, tally, seen)
                for _ in range(fetchers):
                    await headers.put(None)
            for _ in range(RECORDERS):
                await bodies.put(None)
        return seen

    async def _discover(
        self,
        client: BookmakerClient,
        headers: asyncio.Queue[EventHeader | None],
        tally: PlatformTally,
        seen: set[str],
    ) -> None:
        async with _closing(client.discover()) as found:
            async for header in found:
                if header.external_id not in seen:
                    seen.add(header.external_id)
                    tally.count_found()
                    await headers.put(header)
        for error in client.discovery_errors:
            tally.faults.add(run_error(error, client.platform))
        if not seen and not client.discovery_errors:
            raise NothingFoundError(client.platform, "no event was found, and there always are some")
        tally.is_discovered = True
        _scrapes_now(tally)

    async def _fetch(
        self,
        client: BookmakerClient,
        headers: asyncio.Queue[EventHeader | None],
        bodies: asyncio.Queue[RawBody | None],
        tally: PlatformTally,
        refusals: "_Refusals",
    ) -> None:
        while (header := await headers.get()) is not None:
            try:
                raw = await client.fetch(header)
            except BookmakerError as error:
                tally.count_failed(error)
                refusals.count(error)
            else:
                refusals.forget()
                await bodies.put(raw)

    async def _record(self, bodies: asyncio.Queue[RawBody | None], tally: PlatformTally) -> None:
        while (raw := await bodies.get()) is not None:
            try:
                mapped = await self._decoder.decode(raw)
            except BookmakerError as error:
                tally.count_failed(error)
            else:
                await self._sink.record(mapped, self._now())
                tally.count_fetched(mapped)
                _scrapes_now(tally)

    def _judge(self, tally: PlatformTally, discovery_errors: Sequence[BookmakerError], last_found: int | None) -> None:
        """Say what the platform came to: failed when most of what it listed could not be got for worse than a 404."""
        trouble = tally.failed - tally.gone
        if trouble * 2 > tally.found or not tally.fetched:
            worst = tally.faults.commonest()
            assert worst is not None
            tally.fail(worst)
            return
        if last_found and tally.found * 2 <= last_found:
            tally.is_shrunken = True
            reason = f"only {tally.found} events were found, {last_found} the time before; nothing is marked gone yet"
            tally.faults.add(RunError("shrunken", reason, self._now(), tally.platform, recoverable=True))
        if discovery_errors:
            log.warning("scrape.discovery_incomplete", platform=tally.platform, failures=len(discovery_errors))


class _Refusals:
    """Counts refusals in a row, over all fetchers of one platform."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def count(self, error: BookmakerError) -> None:
        """Raises the error itself when there were too many: the bookmaker wants to be left alone."""
        self._in_a_row = self._in_a_row + 1 if isinstance(error, BlockedError) else 0
        if self._in_a_row >= MOST_REFUSALS_IN_A_ROW:
            raise error

    def forget(self) -> None:
        """One request went well."""
        self._in_a_row = 0


def _scrapes_now(tally: PlatformTally) -> None:
    """Discovery and fetching overlap: a platform is said to scrape from the first odds on, or once all is listed."""
    if tally.phase is ScrapePhase.DISCOVERING:
        tally.enter(ScrapePhase.SCRAPING)


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
