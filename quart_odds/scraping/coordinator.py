"""The scrape itself: discover → fetch → map → store, for all platforms at once. It does not know about listeners.

Each platform has its own pipeline (`scraping.pipeline`) and waits for no other platform. Only the odds are kept, not
the bodies.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Container
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from datetime import datetime
from functools import partial

import structlog

from quart_odds import tracing
from quart_odds.bookmakers import BookmakerClient
from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import EventHeader, ListedEvent, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunError, RunMode, ScrapePhase
from quart_odds.errors import CacheFullError, NothingFoundError, QuartOddsError
from quart_odds.scraping.deadline import BudgetMeter, BudgetRoom
from quart_odds.scraping.pipeline import BodyDecoder, Pipeline, failing_platform
from quart_odds.scraping.progress_tracker import PlatformTracker, RunTracker
from quart_odds.scraping.rounds import Round, Rounds
from quart_odds.scraping.sink import OddsSink, believable, mark_missing
from quart_odds.scraping.sweep import sweep_platform

MAX_PRICES = 6_000_000
"""Maximum number of prices from one bookmaker in one run: ten times as many as the largest bookmaker has."""

REST_SECONDS = 0.5
"""How long a platform's part that is cut off waits for the last odds of its lists to be recorded."""

log = structlog.get_logger(__name__)

ClientFactory = Callable[[Platform], AbstractAsyncContextManager[BookmakerClient]]


class Coordinator:
    """Scrapes the platforms that a tracker names, one scrape of each mode at a time. The tracker holds the results.

    `trouble` tells why a bookmaker gets fewer requests than configured, None if it does not.
    """

    def __init__(
        self,
        open_client: ClientFactory,
        decoder: BodyDecoder,
        sink: OddsSink,
        *,
        platform_deadline_seconds: float,
        fetchers: Callable[[Platform], int],
        rounds: Rounds | None = None,
        trouble: Callable[[Platform], str | None] = lambda _: None,
        open_sweep_client: ClientFactory | None = None,
        budget: Callable[[Platform], BudgetMeter | None] = lambda _: None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._open_client = open_client
        self._decoder = decoder
        self._sink = sink
        self._platform_deadline_seconds = platform_deadline_seconds
        self._fetchers = fetchers
        self._rounds = rounds
        self._trouble = trouble
        self._open_sweep_client = open_sweep_client or open_client
        self._budget = budget
        self._now = now

    async def scrape(
        self,
        tracker: RunTracker,
        last_found: dict[Platform, int],
        mode: RunMode = RunMode.FULL,
        *,
        is_round: bool = False,
    ) -> None:
        """Scrape all platforms of the tracker at once. A platform that fails does not affect the others.

        `last_found` is the number of events that each platform's last discovery found. If a platform now has at most
        half as many in a full scrape, that is reported as an error. With `is_round`, a sweep is a round of polling: it
        reads what the budget of requests allows, details included. Otherwise it reads all lists, and nothing else.
        """
        async with asyncio.TaskGroup() as group:
            for each in tracker.platforms:
                is_full = mode is RunMode.FULL
                found = last_found.get(each.platform)
                work = self._scrape_platform(each, found) if is_full else self._sweep(each, is_round=is_round)
                group.create_task(work, name=f"{'scrape' if is_full else 'sweep'}-{each.platform}")

    async def confirm(self) -> None:
        """Wait until everything recorded is committed. Raises StorageError if it cannot be committed."""
        await self._sink.confirm()

    async def _scrape_platform(self, tracker: PlatformTracker, last_found: int | None) -> None:
        platform = tracker.platform
        with tracing.span("platform", bookmaker=str(platform)):
            await self._scrape_traced(tracker, last_found)

    async def _scrape_traced(self, tracker: PlatformTracker, last_found: int | None) -> None:
        platform = tracker.platform
        async with (
            self._failing(tracker) as room,
            self._open_client(platform) as client,
        ):
            room.count(lambda: client.requests)
            client.forget_refusals()
            tracker.enter(ScrapePhase.DISCOVERING)
            work = _PlatformScrape(client, tracker, self._sink, self._now)
            pipeline = Pipeline(client, tracker, self._decoder, fetchers=self._fetchers(platform), now=self._now)
            try:
                await pipeline.run(work.listed(), partial(self._record, work))
            except asyncio.CancelledError:
                # A deadline or a cancellation. Of a bookmaker that fails, only what was fetched counts.
                await self._keep_rest(work, pipeline.not_found)
                raise
            finally:
                tracker.slow_down(self._trouble(platform))
            self._judge(work, last_found)
            if tracker.phase is not ScrapePhase.FAILED:
                tracker.enter(ScrapePhase.STORING)
                await self._take_away(work, pipeline.not_found)
                tracker.enter(ScrapePhase.COMPLETED)

    async def _sweep(self, tracker: PlatformTracker, *, is_round: bool) -> None:
        part = self._rounds.begin(tracker.platform) if is_round and self._rounds is not None else None
        with tracing.span("sweep", bookmaker=str(tracker.platform)):
            await self._sweep_traced(tracker, part)

    async def _sweep_traced(self, tracker: PlatformTracker, part: Round | None) -> None:
        async with (
            self._failing(tracker) as room,
            self._open_sweep_client(tracker.platform) as client,
        ):
            room.count(lambda: client.requests)
            await sweep_platform(client, tracker, self._sink, self._now, self._decoder, part, self._trouble)

    def _failing(self, tracker: PlatformTracker) -> AbstractAsyncContextManager[BudgetRoom]:
        budget = partial(self._budget, tracker.platform)
        return failing_platform(tracker, self._platform_deadline_seconds, self._now, budget)

    async def _record(self, work: "_PlatformScrape", mapped: MappedEvent) -> None:
        if mapped.is_in_play:
            work.unrecorded.pop(mapped.header.external_id, None)
            work.in_play[mapped.header.external_id] = work.time_of(mapped)
            work.tracker.count_in_play(mapped.header)
            return
        work.count_prices(mapped)
        await self._sink.record(mapped, work.time_of(mapped))
        work.unrecorded.pop(mapped.header.external_id, None)
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

    async def _keep_rest(self, work: "_PlatformScrape", not_found: Container[str]) -> None:
        """Record what the lists had of new events, although the platform's part ends before their own bodies came.

        Somebody waits for its end, so this takes no longer than REST_SECONDS.
        """
        try:
            async with asyncio.timeout(REST_SECONDS):
                await work.record_rest(besides=not_found)
        except (TimeoutError, QuartOddsError) as error:
            log.warning(
                "scrape.listed_odds_lost",
                platform=work.tracker.platform,
                events=len(work.unrecorded),
                reason=str(error) or "the database is far behind",
            )

    async def _take_away(self, work: "_PlatformScrape", not_found: dict[str, datetime]) -> None:
        """Report to the sink which events the bookmaker no longer has, as far as that is certain."""
        platform, tracker = work.client.platform, work.tracker
        await mark_missing(self._sink, tracker, work.seen, work.began_at, work.client.listed)
        withdrawn = believable(not_found, tracker.found)
        for external_id in withdrawn:
            work.unrecorded.pop(external_id, None)
        await work.record_rest()
        for external_id, at in (withdrawn | believable(work.playing, tracker.found) | work.in_play).items():
            await self._sink.withdraw(platform, external_id, at)


class _PlatformScrape:
    """One platform's part of a scrape: the client, the counters, and the events that were listed or in play.

    `began_at` is when it began to read lists, `seen` when each event was listed, by id. `in_play` are those in play by
    their own bodies, `playing` by a list.

    The odds that a list carries are recorded at once for events that are known. A new event begins with its own body,
    which follows soon; `unrecorded` has the list's odds, and when they were read, until then.
    """

    def __init__(
        self, client: BookmakerClient, tracker: PlatformTracker, sink: OddsSink, now: Callable[[], datetime]
    ) -> None:
        self.client = client
        self.tracker = tracker
        self.unrecorded: dict[str, tuple[MappedEvent, datetime]] = {}
        self._sink = sink
        self._now = now
        self.began_at = now()
        self.seen: dict[str, datetime] = {}
        self.in_play: dict[str, datetime] = {}
        self.playing: dict[str, datetime] = {}
        self._prices = 0

    async def listed(self) -> AsyncGenerator[EventHeader, None]:
        """Yield the events that the bookmaker lists, each once. The odds that a list carries are recorded at once.

        Raises NothingFoundError if there are no upcoming events at all.
        """
        began, parent = time.monotonic(), tracing.current()
        try:
            async for header in self._listed():
                yield header
        finally:
            # A block would be the current span in whatever takes the events.
            seconds = time.monotonic() - began
            tracing.add_span("discover", seconds, parent=parent, events=len(self.seen))

    async def _listed(self) -> AsyncGenerator[EventHeader, None]:
        async with aclosing(self.client.discover()) as found:
            async for listed in found:
                header = listed.header
                if header.external_id not in self.seen:
                    self.seen[header.external_id] = self.time_of(listed)
                    self.tracker.count_found()
                    if listed.is_in_play:
                        self.playing[header.external_id] = self.time_of(listed)
                        self.tracker.count_in_play(header)
                        continue
                    if listed.odds is not None:
                        if self._sink.knows(self.client.platform, header.external_id):
                            await self._record_listed(listed.odds, self.time_of(listed.odds))
                        else:
                            self.unrecorded[header.external_id] = listed.odds, self.time_of(listed.odds)
                    yield header
        self.tracker.note_lists(self.client.discovery_errors)
        if len(self.seen) == len(self.playing) and not self.client.discovery_errors:
            raise NothingFoundError(self.client.platform, "no event was found, although there always are some")

    def time_of(self, found: ListedEvent | MappedEvent) -> datetime:
        """Return when the answer arrived."""
        return found.fetched_at or self._now()

    async def record_rest(self, besides: Container[str] = ()) -> None:
        """Record the list's odds of the new events whose own bodies failed or were not fetched, except `besides`."""
        for external_id, (odds, at) in list(self.unrecorded.items()):
            if external_id not in besides:
                await self._record_listed(odds, at)
            del self.unrecorded[external_id]

    async def _record_listed(self, odds: MappedEvent, at: datetime) -> None:
        # If there is no room for them, the event's own body meets the same limit and is counted as failed.
        with suppress(CacheFullError):
            self.count_prices(odds)
            await self._sink.record(odds, at)

    def count_prices(self, mapped: MappedEvent) -> None:
        """Count one more event's prices. Raises CacheFullError if the run would have too many."""
        if self._prices + len(mapped.prices) > MAX_PRICES:
            where = f"event {mapped.header.external_id}"
            raise CacheFullError(self.client.platform, f"over {MAX_PRICES} prices in one run", where=where)
        self._prices += len(mapped.prices)
