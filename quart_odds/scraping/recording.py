"""A recording of the real sites: what each bookmaker lists, and the bodies of some events, for `sandbox --replay`.

It asks as a scrape does, with the same clients, limits and retries, and maps and stores nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from quart_odds.bookmakers import BookmakerClient, ClientPool, Recorder
from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import EventHeader, MappedEvent, Prices
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunError, ScrapePhase
from quart_odds.errors import BlockedError, BookmakerError, NothingFoundError
from quart_odds.scraping.faults import error_context, run_error
from quart_odds.scraping.progress_tracker import PlatformTracker, RunTracker
from quart_odds.scraping.schemas import ScrapeProgress
from quart_odds.settings import Settings

TELL_SECONDS = 0.2

Tell = Callable[[ScrapeProgress], None]
Headers = Mapping[Platform, Sequence[EventHeader]]


async def record(
    settings: Settings, folder: Path, platforms: Sequence[Platform], most_events: int | None, tell: Tell
) -> ScrapeProgress:
    """Record into a folder, adding to what is there, and tell how it goes; the last progress says what came of it.

    With `most_events` so many events are recorded: those that most bookmakers have, the next to kick off first.
    """
    trackers = {each: PlatformTracker(each, on_phase=lambda tracker: tell(_told(tracker))) for each in platforms}
    async with (
        Recorder(folder) as recorder,
        ClientPool(lambda: settings, recorder) as pool,
        AsyncExitStack() as opened,
        _telling(trackers, tell),
    ):
        clients = {each: await opened.enter_async_context(pool.client(each)) for each in platforms}
        found = await asyncio.gather(*(_discover(clients[each], trackers[each]) for each in platforms))
        wanted = chosen(dict(zip(platforms, found, strict=True)), most_events)
        fetched = (_fetch(clients[each], wanted[each], trackers[each], settings) for each in platforms)
        await asyncio.gather(*fetched)
    last = _last(RunTracker(tuple(trackers.values())), folder)
    tell(last)
    return last


def chosen(found: Headers, most_events: int | None) -> dict[Platform, list[EventHeader]]:
    """Which of the events that were found to record, at each bookmaker."""
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


async def _discover(client: BookmakerClient, tracker: PlatformTracker) -> list[EventHeader]:
    tracker.enter(ScrapePhase.DISCOVERING)
    try:
        found = [header async for header in client.discover()]
        if not found:
            raise NothingFoundError(client.platform, "no event was found, and there always are some")
    except BookmakerError as error:
        tracker.fail(run_error(error))
        return []
    tracker.note_lists(client.discovery_errors)
    return found


async def _fetch(
    client: BookmakerClient, headers: Sequence[EventHeader], tracker: PlatformTracker, settings: Settings
) -> None:
    if tracker.phase.is_final:
        return
    for _ in headers:
        tracker.count_found()
    tracker.is_discovered = True
    tracker.enter(ScrapePhase.SCRAPING)
    left = iter(headers)
    try:
        async with asyncio.timeout(settings.platform_deadline_seconds), asyncio.TaskGroup() as group:
            for _ in range(settings.concurrency(client.platform)):
                group.create_task(_fetch_each(client, left, tracker))
    except TimeoutError:
        words = f"{client.platform.display_name} did not finish within {settings.platform_deadline_seconds:g} s"
        tracker.fail(RunError("deadline", words, utc_now(), client.platform, recoverable=True))
    if tracker.phase is ScrapePhase.SCRAPING:
        worst = tracker.faults.commonest()
        if worst is not None and not tracker.fetched:
            tracker.fail(worst)
        else:
            tracker.enter(ScrapePhase.COMPLETED)


async def _fetch_each(client: BookmakerClient, left: Iterator[EventHeader], tracker: PlatformTracker) -> None:
    for header in left:
        if tracker.phase is ScrapePhase.FAILED:
            return
        try:
            client.release(await client.fetch(header))
        except BookmakerError as error:
            tracker.count_failed(error)
            # A recording is not worth being shut out for: the first refusal is the last request.
            if isinstance(error, BlockedError) and tracker.phase is ScrapePhase.SCRAPING:
                tracker.fail(run_error(error))
        else:
            tracker.count_fetched(MappedEvent(header, Prices()))


@asynccontextmanager
async def _telling(trackers: Mapping[Platform, PlatformTracker], tell: Tell) -> AsyncIterator[None]:
    async def report() -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            for each in trackers.values():
                if not each.is_told:
                    tell(_told(each))

    reporter = asyncio.create_task(report(), name="report-recording")
    try:
        yield
    finally:
        reporter.cancel()


def _told(tracker: PlatformTracker) -> ScrapeProgress:
    tracker.is_told = True
    return tracker.progress()


def _last(tracker: RunTracker, folder: Path) -> ScrapeProgress:
    is_failed = len(tracker.failed_platforms) == len(tracker.platforms)
    bodies = f"{tracker.fetched} bodies of events are in {folder}"
    progress = tracker.progress(ScrapePhase.FAILED if is_failed else ScrapePhase.COMPLETED, bodies)
    failures = [each.error for each in tracker.failed_platforms]
    return progress.model_copy(update={"error": error_context(failures[0]) if failures else None})
