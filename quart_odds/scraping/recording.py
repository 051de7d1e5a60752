"""Records the real sites for `sandbox --replay`: the bookmakers' lists, and the bodies of some events.

Requests are made as in a scrape, with the same clients, limits and retries. Nothing is mapped or stored in the
database.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from quart_odds.bookmakers import BookmakerClient, ClientPool, RawBody, Recorder
from quart_odds.domain.odds import EventHeader, MappedEvent, Prices
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import ScrapePhase
from quart_odds.errors import NothingFoundError
from quart_odds.scraping.faults import error_context
from quart_odds.scraping.pipeline import Pipeline, failing_platform
from quart_odds.scraping.progress_tracker import PlatformTracker, RunTracker
from quart_odds.scraping.reporter import ProgressReporter, Publish
from quart_odds.scraping.schemas import ScrapeProgress
from quart_odds.settings import Settings

Headers = Mapping[Platform, Sequence[EventHeader]]


async def record(
    settings: Settings, folder: Path, platforms: Sequence[Platform], most_events: int | None, publish: Publish
) -> ScrapeProgress:
    """Record into a folder, adding to what is there, and publish the progress. Returns the last progress.

    `most_events` limits the number of events. The events that the most bookmakers have come first, then the earliest.
    """
    tracker = RunTracker([PlatformTracker(each) for each in platforms])
    reporter = ProgressReporter(tracker, publish, with_overall=False)
    async with (
        Recorder(folder) as recorder,
        ClientPool(lambda: settings, recorder) as pool,
        AsyncExitStack() as opened,
        reporter.reporting(),
    ):
        clients = {each: await opened.enter_async_context(pool.client(each)) for each in platforms}
        trackers = {each.platform: each for each in tracker.platforms}
        found = await asyncio.gather(*(_discover(clients[each], trackers[each], settings) for each in platforms))
        wanted = chosen(dict(zip(platforms, found, strict=True)), most_events)
        fetched = (_fetch(clients[each], wanted[each], trackers[each], settings) for each in platforms)
        await asyncio.gather(*fetched)
    last = _last(tracker, folder)
    publish(last)
    return last


def chosen(found: Headers, most_events: int | None) -> dict[Platform, list[EventHeader]]:
    """Return which of the events found at each bookmaker to record."""
    matches: dict[str, list[EventHeader]] = {}
    for headers in found.values():
        for header in headers:
            key = header.sportradar_id or f"{header.platform}:{header.external_id}"
            matches.setdefault(key, []).append(header)
    ordered = sorted(matches.values(), key=lambda headers: (-len(headers), min(each.kickoff for each in headers)))
    wanted: dict[Platform, list[EventHeader]] = {each: [] for each in found}
    for headers in ordered[:most_events]:
        for header in headers:
            wanted[header.platform].append(header)
    return wanted


async def _discover(client: BookmakerClient, tracker: PlatformTracker, settings: Settings) -> list[EventHeader]:
    found: list[EventHeader] = []
    async with failing_platform(tracker, settings.platform_deadline_seconds):
        tracker.enter(ScrapePhase.DISCOVERING)
        found += [listed.header async for listed in client.discover() if not listed.is_in_play]
        if not found:
            raise NothingFoundError(client.platform, "no event was found, although there always are some")
        tracker.note_lists(client.discovery_errors)
    return [] if tracker.phase.is_final else found


async def _fetch(
    client: BookmakerClient, headers: Sequence[EventHeader], tracker: PlatformTracker, settings: Settings
) -> None:
    if tracker.phase.is_final:
        return

    async def listed() -> AsyncGenerator[EventHeader, None]:
        for header in headers:
            tracker.count_found()
            yield header

    async def count(mapped: MappedEvent) -> None:
        tracker.count_fetched(mapped)

    # A recording is not worth getting blocked: the first refusal ends it.
    pipeline = Pipeline(client, tracker, _Unread(), fetchers=settings.concurrency(client.platform), most_refusals=1)
    async with failing_platform(tracker, settings.platform_deadline_seconds):
        await pipeline.run(listed(), count)
        worst = tracker.faults.commonest()
        if worst is not None and not tracker.fetched:
            tracker.fail(worst)
        else:
            tracker.enter(ScrapePhase.COMPLETED)


class _Unread:
    """Does not decode bodies: the recorder has kept them, and they are mapped when they are replayed."""

    async def decode(self, raw: RawBody) -> MappedEvent:
        """Return the event without any prices."""
        return MappedEvent(raw.header, Prices())


def _last(tracker: RunTracker, folder: Path) -> ScrapeProgress:
    is_failed = len(tracker.failed_platforms) == len(tracker.platforms)
    bodies = f"{tracker.fetched} bodies of events are in {folder}"
    progress = tracker.progress(ScrapePhase.FAILED if is_failed else ScrapePhase.COMPLETED, bodies)
    failures = [each.error for each in tracker.failed_platforms]
    return progress.model_copy(update={"error": error_context(failures[0]) if failures else None})
