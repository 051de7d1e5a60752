"""A sweep of one bookmaker: reads its lists, and records the main-market odds that are in them.

An event whose list entry has no prices is found all the same: what is missing is decided as in a full run. A sweep that
is part of a round of polling reads the lists that its plan chooses, and then fetches the details that it chooses.
"""

import contextlib
from collections.abc import AsyncGenerator, Callable
from datetime import datetime

from quart_odds.bookmakers import BookmakerClient
from quart_odds.domain.odds import EventHeader, ListedEvent, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import ScrapePhase
from quart_odds.errors import BookmakerError, NothingFoundError
from quart_odds.scraping.pipeline import BodyDecoder, Pipeline
from quart_odds.scraping.progress_tracker import PlatformTracker
from quart_odds.scraping.rounds import Round
from quart_odds.scraping.sink import OddsSink, believable, mark_missing


async def sweep_platform(
    client: BookmakerClient,
    tracker: PlatformTracker,
    sink: OddsSink,
    now: Callable[[], datetime],
    decoder: BodyDecoder,
    part: Round | None = None,
    trouble: Callable[[Platform], str | None] = lambda _: None,
) -> None:
    """Read the lists of a bookmaker and record their odds, from the phase DISCOVERING to COMPLETED.

    `part` is the bookmaker's part of a round of polling; None reads all lists and nothing else. A round whose budget
    has no request for lists fetches details only. `trouble` tells why a bookmaker gets fewer requests than configured,
    None if it does not. Raises BookmakerError if the tree of lists cannot be read or no event was found, and
    StorageError.
    """
    tracker.enter(ScrapePhase.DISCOVERING)
    began_at = now()
    sweep = _Sweep(tracker, sink, now, part)
    has_lists = part is None or part.may_read_lists
    not_found: dict[str, datetime] = {}
    try:
        if has_lists:
            await _read_lists(client, sweep, tracker, part)
        tracker.is_discovered = True
        if part is not None:
            not_found = await sweep.fetch_details(client, decoder, part)
    finally:
        tracker.slow_down(trouble(tracker.platform))
    tracker.enter(ScrapePhase.STORING)
    if has_lists:
        await mark_missing(sink, tracker, sweep.seen, began_at, client.listed)
    for external_id, at in (not_found | believable(sweep.playing, len(sweep.seen)) | sweep.in_play).items():
        await sink.withdraw(tracker.platform, external_id, at)
    tracker.enter(ScrapePhase.COMPLETED)


async def _read_lists(client: BookmakerClient, sweep: "_Sweep", tracker: PlatformTracker, part: Round | None) -> None:
    """Read the lists and record their odds. What they took is charged to the round, also if they fail."""
    before = client.requests
    choose = None if part is None else lambda names: part.choose(names, client.requests - before)
    try:
        async with contextlib.aclosing(client.sweep(choose)) as found:
            async for listed in found:
                await sweep.take(listed)
    finally:
        if part is not None:
            part.spend_on_lists(client.requests - before)
    tracker.note_lists(client.discovery_errors)
    # The lists that a round chooses may be empty: the others have events.
    if len(sweep.seen) == len(sweep.playing) and (part is None or client.discovery_errors or not client.lists_read):
        raise _nothing_found(client)
    sweep.tell_without()
    if part is not None:
        part.note_lists(client.lists_read)


class _Sweep:
    """The events of a sweep: all that were listed, and those in play, by a list or their own bodies."""

    def __init__(
        self, tracker: PlatformTracker, sink: OddsSink, now: Callable[[], datetime], part: Round | None
    ) -> None:
        self.seen: dict[str, datetime] = {}
        self.in_play: dict[str, datetime] = {}
        self.playing: dict[str, datetime] = {}
        self._tracker = tracker
        self._sink = sink
        self._now = now
        self._part = part

    async def take(self, listed: ListedEvent) -> None:
        """Count a listed event, the first time, and record its odds if its list entry has any."""
        external_id = listed.header.external_id
        if external_id in self.seen:
            return
        self.seen[external_id] = self._time_of(listed)
        self._tracker.count_found()
        if self._tracker.phase is ScrapePhase.DISCOVERING:
            self._tracker.enter(ScrapePhase.SCRAPING)
        if self._part is not None:
            self._part.note_listed(listed)
        if listed.is_in_play:
            self.playing[external_id] = self._time_of(listed)
            self._tracker.count_in_play(listed.header)
        elif listed.odds is None:
            self._tracker.count_without()
        else:
            await self._record(listed.odds)

    async def fetch_details(self, client: BookmakerClient, decoder: BodyDecoder, part: Round) -> dict[str, datetime]:
        """Fetch and record the details that the round chooses, until it is over.

        Returns the events that the bookmaker no longer has, and when it said so, by id. An earlier round may have asked
        for them.
        """
        if headers := part.details():
            pipeline = Pipeline(
                client,
                self._tracker,
                decoder,
                fetchers=part.fetchers,
                lookahead=1,
                now=self._now,
                on_not_found=part.judge.note_not_found,
            )
            await pipeline.run(_until_over(headers, part), self._record_detail)
        return part.judge.take_gone()

    def tell_without(self) -> None:
        """Note how many events had no prices in the lists."""
        if self._tracker.without:
            self._tracker.note(f"{self._tracker.without} events have no prices in the lists")

    def _time_of(self, found: ListedEvent | MappedEvent) -> datetime:
        return found.fetched_at or self._now()

    async def _record(self, odds: MappedEvent) -> None:
        try:
            change = await self._sink.record(odds, self._time_of(odds))
        except BookmakerError as error:
            self._tracker.count_failed(error)
        else:
            self._tracker.count_fetched(odds)
            if self._part is not None and change is not None:
                self._part.note_change(odds, change)

    async def _record_detail(self, mapped: MappedEvent) -> None:
        if self._part is not None:
            self._part.judge.note_found(mapped.header.external_id)
        if mapped.is_in_play:
            self.in_play[mapped.header.external_id] = self._time_of(mapped)
            return
        change = await self._sink.record(mapped, self._time_of(mapped))
        self._tracker.count_detail()
        if self._part is not None and change is not None:
            self._part.note_change(mapped, change)


def _nothing_found(client: BookmakerClient) -> BookmakerError:
    """Return why no event was found: the first error of a list, or that all lists are empty."""
    if client.discovery_errors:
        return client.discovery_errors[0]
    return NothingFoundError(client.platform, "no event was found, although there always are some")


async def _until_over(headers: list[EventHeader], part: Round) -> AsyncGenerator[EventHeader, None]:
    for header in headers:
        if part.is_over:
            return
        # Noted before the request: then every end but a recorded body counts as a failure, also one that is cut off.
        part.note_attempt(header.external_id)
        yield header
