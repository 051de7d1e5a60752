"""Where a scrape hands in odds: the book, those who listen to it, and the writer, as one object."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import structlog

from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import ListedCompetitions, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import StorageError
from quart_odds.odds.book import OddsBook
from quart_odds.odds.event import BookedEvent, EventChange
from quart_odds.odds.matching import lone_key, match_key
from quart_odds.odds.unmapped import UnmappedMarkets
from quart_odds.storage.odds_load import KeptEvent, restored
from quart_odds.storage.retention import Removal
from quart_odds.storage.store import Store
from quart_odds.storage.tables import MAX_ID
from quart_odds.storage.writer import CONFIRM_SECONDS, OddsWriter

log = structlog.get_logger(__name__)

KEEP = timedelta(hours=48)
"""How long an event stays in memory after it kicked off and after it was last seen; older ones wait in the database."""

Listener = Callable[[EventChange], None]
_ALL = ListedCompetitions(is_tree_whole=True)


class OddsDesk:
    """The current odds, kept. `on_change` is called with every change that is worth telling, before it is written."""

    def __init__(
        self,
        store: Store,
        *,
        on_change: Listener | None = None,
        clock: Callable[[], datetime] = utc_now,
        confirm_seconds: float = CONFIRM_SECONDS,
    ) -> None:
        self.store = store
        self.book = OddsBook()
        self.writer = OddsWriter(store.write, self.book, confirm_seconds=confirm_seconds)
        self.on_change = on_change
        self._clock = clock
        self.unmapped = UnmappedMarkets()
        self._archived: dict[str, int] = {}
        self._may_write = False
        self._taking_over = asyncio.Lock()

    async def load(self) -> None:
        """Fills the book from the database, and takes the right to write, if it is to be had. Raises StorageError."""
        self._may_write = await self.store.database.claim()
        if not self._may_write:
            log.warning("storage.desk.reads_only", reason="another process writes to this database")
        await self._fill()

    async def _take_over(self) -> None:
        """Takes the right to write, and what another process has written. Raises StorageError if it still does."""
        async with self._taking_over:
            if self._may_write:
                return
            if not await self.store.database.claim():
                raise StorageError("another process writes to this database: stop it, or give this one its own")
            self.book.clear()
            self._archived.clear()
            await self._fill()
            self._may_write = True

    async def _fill(self) -> None:
        kept = await self.store.load(self._clock() - KEEP)
        for competition_id, platform, external_id in kept.competitions:
            self.book.restore_competition(competition_id, platform, external_id)
        self.book.start_ids_after(kept.last_event_id, kept.last_quote_id)
        for start in range(0, len(kept.events), 200):
            self._restore(await asyncio.to_thread(_unpacked, kept.events[start : start + 200]))
        for event_id, key, platform_slug, external_id in kept.archived:
            self._archived[key] = self._archived[lone_key(Platform(platform_slug), external_id)] = event_id

    async def record(self, mapped: MappedEvent, seen_at: datetime) -> EventChange:
        """Takes one healthy fetch: into the book, to the listener, to the writer.

        Waits only while the database is far behind. Raises StorageError if it stays so; the book has the odds then.
        """
        if not self._may_write:
            await self._take_over()
        if self._archived:
            await self._recall(mapped)
        change = self.book.apply(mapped, seen_at)
        self.unmapped.note(change.quote_id, mapped)
        self._hand_on(change)
        await self.writer.room()
        return change

    async def mark_missing(
        self,
        platform: Platform,
        seen_external_ids: Iterable[str],
        at: datetime,
        listed: ListedCompetitions = _ALL,
    ) -> list[EventChange]:
        """Marks the events of a bookmaker gone that a trusted discovery no longer lists."""
        if not self._may_write:
            await self._take_over()
        seen = set(seen_external_ids)
        for event in self.book.events.values():
            quote = event.quotes.get(platform)
            if quote is not None and not listed.covers(quote.header.competition.external_id):
                seen.add(quote.header.external_id)
        changes = self.book.mark_missing(platform, seen, at)
        for change in changes:
            self._hand_on(change)
        await self.writer.room()
        return changes

    async def withdraw(self, platform: Platform, external_id: str, at: datetime) -> list[EventChange]:
        """Marks one event of a bookmaker gone, on the bookmaker's own word."""
        others = {
            quote.header.external_id
            for event in self.book.events.values()
            if (quote := event.quotes.get(platform)) is not None
        }
        return await self.mark_missing(platform, others - {external_id}, at)

    async def find(self, event_id: int) -> BookedEvent | None:
        """An event of the book, or one that only the database still has."""
        event = self.book.get(event_id)
        if event is not None or not 0 < event_id <= MAX_ID:
            return event
        kept = await self.store.load_event(event_id)
        return None if kept is None else (await asyncio.to_thread(_unpacked, [kept]))[0].whole

    async def confirm(self) -> None:
        """Returns when all that was recorded before is committed. Raises StorageError if it is not."""
        await self.writer.confirm()

    async def tidy(self) -> int:
        """Takes events out of memory that are long over, after their odds are committed; gives how many."""
        await self.writer.confirm()
        return self._put_away(self._clock() - KEEP)

    async def remove_old(self, odds_before: datetime, runs_before: datetime) -> Removal:
        """Removes what is older than these moments for good: see `Store.remove_old`. Raises StorageError."""
        if not self._may_write:
            await self._take_over()
        await self.writer.confirm()
        self._put_away(odds_before)
        removed = await self.store.remove_old(odds_before, runs_before)
        log.info(
            "storage.retention.removed", events=removed.events, history_rows=removed.history_rows, runs=removed.runs
        )
        return removed

    def _put_away(self, before: datetime) -> int:
        over = [
            event for event in self.book.events.values() if event.header.kickoff < before and event.seen_at < before
        ]
        for event in over:
            self._archived[event.key] = event.id
            for quote in event.quotes.values():
                self._archived[lone_key(quote.header.platform, quote.header.external_id)] = event.id
                self.unmapped.forget(quote.id)
            self.book.forget(event.id)
        return len(over)

    async def close(self) -> None:
        """Writes what waits and closes the writer; the store stays open."""
        await self.writer.close()

    def _hand_on(self, change: EventChange) -> None:
        self.writer.put(change)
        if self.on_change is not None and change.is_change:
            self.on_change(change)

    def _restore(self, events: list[KeptEvent]) -> None:
        for kept in events:
            self.book.restore(kept.event, [quote for quote, _ in kept.quotes])

    async def _recall(self, mapped: MappedEvent) -> None:
        """Brings events back into memory that are listed again after a long time."""
        header = mapped.header
        keys = [lone_key(header.platform, header.external_id)]
        if header.sportradar_id:
            keys.append(match_key(header.sportradar_id))
        for key in keys:
            event_id = self._archived.get(key)
            if event_id is None:
                continue
            kept = await self.store.load_event(event_id)
            if kept is not None and event_id not in self.book.events:
                self._restore(await asyncio.to_thread(_unpacked, [kept]))
            self._archived = {key: other for key, other in self._archived.items() if other != event_id}


def _unpacked(events: list[KeptEvent]) -> list[KeptEvent]:
    for kept in events:
        restored(kept)
    return events
