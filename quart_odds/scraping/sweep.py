"""A sweep of one bookmaker: reads its lists alone, and records the main-market odds that are in them.

An event whose list entry has no prices is found all the same: what is missing is decided as in a full run.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from quart_odds.bookmakers import BookmakerClient
from quart_odds.domain.odds import ListedEvent, MappedEvent
from quart_odds.domain.runs import ScrapePhase
from quart_odds.errors import BookmakerError, NothingFoundError
from quart_odds.scraping.progress_tracker import PlatformTracker
from quart_odds.scraping.sink import OddsSink, mark_missing


async def sweep_platform(
    client: BookmakerClient, tracker: PlatformTracker, sink: OddsSink, now: Callable[[], datetime]
) -> None:
    """Read the lists of a bookmaker and record their odds, from the phase DISCOVERING to COMPLETED.

    Raises BookmakerError if the tree of lists cannot be read or no event was found, and StorageError.
    """
    tracker.enter(ScrapePhase.DISCOVERING)
    sweep = _Sweep(tracker, sink, now)
    async with _closing(client.sweep(None)) as found:
        async for listed in found:
            await sweep.take(listed)
    tracker.is_discovered = True
    tracker.note_lists(client.discovery_errors)
    if not sweep.seen:
        raise _nothing_found(client)
    sweep.tell_without()
    tracker.enter(ScrapePhase.STORING)
    at = now()
    await mark_missing(sink, tracker, sweep.seen, at, client.listed)
    for external_id in sweep.in_play:
        await sink.withdraw(tracker.platform, external_id, at)
    tracker.enter(ScrapePhase.COMPLETED)


class _Sweep:
    """The events of a sweep: all that were listed, and those that are in play."""

    def __init__(self, tracker: PlatformTracker, sink: OddsSink, now: Callable[[], datetime]) -> None:
        self.seen: set[str] = set()
        self.in_play: list[str] = []
        self._tracker = tracker
        self._sink = sink
        self._now = now

    async def take(self, listed: ListedEvent) -> None:
        """Count a listed event, the first time, and record its odds if its list entry has any."""
        external_id = listed.header.external_id
        if external_id in self.seen:
            return
        self.seen.add(external_id)
        self._tracker.count_found()
        if self._tracker.phase is ScrapePhase.DISCOVERING:
            self._tracker.enter(ScrapePhase.SCRAPING)
        if listed.odds is None:
            self._tracker.count_without()
        elif listed.odds.is_in_play:
            self.in_play.append(external_id)
            self._tracker.count_in_play(listed.odds)
        else:
            await self._record(listed.odds)

    def tell_without(self) -> None:
        """Note how many events had no prices in the lists."""
        if self._tracker.without:
            self._tracker.note(f"{self._tracker.without} events have no prices in the lists")

    async def _record(self, odds: MappedEvent) -> None:
        try:
            await self._sink.record(odds, self._now())
        except BookmakerError as error:
            self._tracker.count_failed(error)
        else:
            self._tracker.count_fetched(odds)


def _nothing_found(client: BookmakerClient) -> BookmakerError:
    """Return why no event was found: the first error of a list, or that all lists are empty."""
    if client.discovery_errors:
        return client.discovery_errors[0]
    return NothingFoundError(client.platform, "no event was found, although there always are some")


@contextlib.asynccontextmanager
async def _closing(found: AsyncIterator[ListedEvent]) -> AsyncIterator[AsyncIterator[ListedEvent]]:
    try:
        yield found
    finally:
        if (aclose := getattr(found, "aclose", None)) is not None:
            await aclose()
