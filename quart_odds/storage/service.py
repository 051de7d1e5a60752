"""Where a scrape hands in odds: the cache, those who listen to it, and the writer, as one object."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta

import structlog

from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import EventHeader, ListedCompetitions, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import NotWriterError, StorageError
from quart_odds.odds.cache import EVERY_COMPETITION, OddsCache
from quart_odds.odds.event import CachedEvent, EventChange
from quart_odds.odds.matching import genius_key, lone_key, match_key
from quart_odds.odds.retention import Removal
from quart_odds.odds.unmapped import UnmappedMarkets
from quart_odds.storage.odds_load import KeptEvent, restored
from quart_odds.storage.odds_rows import EncodedBatch
from quart_odds.storage.store import Kept, Store
from quart_odds.storage.tables import MAX_ID
from quart_odds.storage.writer import CLOSE_SECONDS, CONFIRM_SECONDS, OddsWriter

log = structlog.get_logger(__name__)

KEEP = timedelta(hours=48)
"""How long an event stays in memory after it kicked off and after it was last seen; older ones wait in the database."""

BELIEVE_MISSING_AFTER = timedelta(minutes=5)
"""An event is gone when two complete lists lack it that are at least so far apart."""

FOLLOW_SECONDS = 1.0
"""How often a process looks whether it has the right to write, and whether another one has written anything."""

FOLLOW_SHARE = 10
"""Reading everything anew may take this part of the time at most."""

Listener = Callable[[EventChange], None]


class OddsService:
    """The current odds, kept. `on_change` is called with every change that is worth telling, before it is written.

    `on_take_over` is called when this process takes over the writing from another one, before it writes anything.
    """

    def __init__(
        self,
        store: Store,
        *,
        on_change: Listener | None = None,
        clock: Callable[[], datetime] = utc_now,
        confirm_seconds: float = CONFIRM_SECONDS,
    ) -> None:
        self.store = store
        self.cache = OddsCache()
        self.writer = OddsWriter(self._write, self.cache, confirm_seconds=confirm_seconds)
        self.on_change = on_change
        self.on_take_over: Callable[[], Awaitable[object]] = _nothing_to_do
        self.read_only_reason: str | None = None
        self.unmapped = UnmappedMarkets()
        self._clock = clock
        self._archived: dict[str, int] = {}
        self._may_write = False
        self._term: int | None = None
        self._revision: int | None = None
        self._changing = asyncio.Lock()
        self._recalling = asyncio.Lock()
        self._following: asyncio.Task[None] | None = None
        self._is_closing = False
        self._look_now = asyncio.Event()

    # Who writes.

    @property
    def is_writer(self) -> bool:
        """Whether this process writes, as far as it knows. Where it does not, `read_only_reason` says why."""
        return self._may_write

    async def load(self) -> None:
        """Fills the cache from the database, and takes the right to write, if it is to be had. Raises StorageError."""
        async with self._changing:
            try:
                is_ours = await self.store.database.take_writer_lock()
                self.read_only_reason = None if is_ours else str(NotWriterError())
            except StorageError as error:
                # Such as a full disk: what is there can be read all the same.
                is_ours, self.read_only_reason = False, str(error)
            await self._fill()
            self._term = self.store.database.term
            self._may_write = is_ours
        if not is_ours:
            log.warning("storage.odds.reads_only", reason=self.read_only_reason)

    async def take_over(self) -> None:
        """Sees to it that this process has the right to write, by asking the database. Raises NotWriterError if not.

        After another process has written, everything is read anew first.
        """
        async with self._changing:
            try:
                is_ours = await self.store.database.take_writer_lock()
            except StorageError as error:
                # Nobody knows then who writes. What this process writes is still checked against its term.
                if not self._may_write:
                    self.read_only_reason = str(error)
                raise
            if not is_ours:
                refused = NotWriterError()
                self._stop_writing(str(refused))
                raise refused
            if self.store.database.term != self._term:
                self._may_write = False
                await self.writer.give_up(NotWriterError("another process took over before these odds were stored"))
                await self._fill()
                await self.on_take_over()
                self._term = self.store.database.term
                log.info("storage.odds.took_over", term=self._term, events=len(self.cache.events))
            self._may_write, self.read_only_reason = True, None

    def follow(self) -> None:
        """Begins to look, every few seconds, whether this process writes; where another one does, to read after it."""
        if self._following is None:
            self._following = asyncio.create_task(self._follow(), name="odds-follow")

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        pause = FOLLOW_SECONDS
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._look_now.wait()
            if self._is_closing:
                return
            self._look_now.clear()
            began = loop.time()
            try:
                await self.take_over()
            except NotWriterError:
                await self._read_again()
            except StorageError as error:
                log.debug("storage.odds.follow_failed", reason=error.for_operator)
            except Exception:
                log.exception("storage.odds.follow_broke")
            pause = max(FOLLOW_SECONDS, FOLLOW_SHARE * (loop.time() - began))

    async def _read_again(self) -> None:
        """Reads what the writer has committed since this process last did."""
        try:
            async with self._changing:
                if not self._may_write and await self.store.database.revision() != self._revision:
                    await self.writer.give_up(NotWriterError("another process took over before these odds were stored"))
                    await self._fill()
                    self._term = None
        except StorageError as error:
            log.debug("storage.odds.follow_failed", reason=error.for_operator)

    def _stop_writing(self, reason: str) -> None:
        if self._may_write:
            log.warning("storage.odds.reads_only", reason=reason)
            self._look_now.set()
        self._may_write, self.read_only_reason = False, reason

    async def _write(self, batch: EncodedBatch) -> None:
        """Commits a batch in the term in which its ids were given, and in no other."""
        try:
            await self.store.write(batch, self._term)
        except NotWriterError as error:
            self._stop_writing(str(error))
            raise

    async def _fill(self) -> None:
        """Replace what the cache has by what the database has, in one turn of the loop: nobody sees a half."""
        since = self._clock() - KEEP
        kept = await self.store.load(since)
        for start in range(0, len(kept.events), 200):
            await asyncio.to_thread(_unpacked, kept.events[start : start + 200])
        self._put_in(kept)

    def _put_in(self, kept: Kept) -> None:
        self.cache.clear()
        self._archived.clear()
        for competition_id, platform, external_id in kept.competitions:
            self.cache.restore_competition(competition_id, platform, external_id)
        self.cache.start_ids_after(kept.last_event_id, kept.last_odds_id)
        self._restore(kept.events)
        for archived in kept.archived:
            self._note_archived(
                archived.event_id, archived.key, archived.platform, archived.external_id, archived.genius_id
            )
        self._revision = kept.revision

    # What a scrape hands in.

    async def record(self, mapped: MappedEvent, seen_at: datetime) -> EventChange:
        """Takes one healthy fetch: into the cache, to the listener, to the writer.

        Waits only while the database is far behind. Raises StorageError if it stays so; the cache has the odds then.
        """
        await self._ready_for(mapped.header)
        change = self.cache.apply(mapped, seen_at)
        self.unmapped.note(change.odds_id, mapped)
        self._hand_on(change)
        await self.writer.room()
        return change

    async def mark_missing(
        self,
        platform: Platform,
        seen_external_ids: Iterable[str],
        at: datetime,
        listed: ListedCompetitions = EVERY_COMPETITION,
    ) -> list[EventChange]:
        """Takes a discovery: what it should have listed and did not is missed, and gone when it is missed again.

        The second time counts five minutes after the first, or later. `listed` says which competitions it listed whole.
        """
        while not self._may_write:
            await self.take_over()
        changes = self.cache.mark_missing(
            platform, seen_external_ids, at, listed=listed, believe_after=BELIEVE_MISSING_AFTER
        )
        for change in changes:
            self._hand_on(change)
        await self.writer.room()
        return changes

    async def withdraw(self, platform: Platform, external_id: str, at: datetime) -> EventChange | None:
        """Marks an event gone at once, because its bookmaker says so; None where it was not there."""
        while not self._may_write:
            await self.take_over()
        change = self.cache.withdraw(platform, external_id, at)
        if change is not None:
            self._hand_on(change)
            await self.writer.room()
        return change

    async def find(self, event_id: int) -> CachedEvent | None:
        """An event of the cache, or one that only the database still has."""
        event = self.cache.get(event_id)
        if event is not None or not 0 < event_id <= MAX_ID:
            return event
        kept = await self.store.load_event(event_id)
        return None if kept is None else (await asyncio.to_thread(_unpacked, [kept]))[0].whole

    async def confirm(self) -> None:
        """Returns when all that was recorded before is committed.

        Raises StorageError if it is not in time, or if odds of the current recording (`odds.ownership`) were refused.
        """
        await self.writer.confirm()

    async def archive(self) -> int:
        """Takes events out of memory that are long over, after their odds are committed; gives how many."""
        await self.writer.confirm()
        return self._archive_before(self._clock() - KEEP)

    async def remove_old(self, odds_before: datetime, runs_before: datetime) -> Removal:
        """Removes what is older than these moments for good: see `Store.remove_old`. Raises StorageError."""
        if not self._may_write:
            await self.take_over()
        await self.writer.confirm()
        self._archive_before(odds_before)
        removed = await self.store.remove_old(odds_before, runs_before, self._term)
        log.info(
            "storage.retention.removed", events=removed.events, history_rows=removed.history_rows, runs=removed.runs
        )
        return removed

    def _archive_before(self, before: datetime) -> int:
        over = [
            event for event in self.cache.events.values() if event.header.kickoff < before and event.seen_at < before
        ]
        for event in over:
            for event_odds in event.odds.values():
                header = event_odds.header
                self._note_archived(event.id, event.key, header.platform, header.external_id, header.genius_id)
                self.unmapped.forget(event_odds.id)
            self.cache.forget(event.id)
        return len(over)

    def _note_archived(
        self, event_id: int, key: str, platform: Platform, external_id: str, genius_id: str | None
    ) -> None:
        """Remembers by which keys an event that only the database has is found again."""
        self._archived[key] = self._archived[lone_key(platform, external_id)] = event_id
        if genius_id:
            self._archived[genius_key(genius_id)] = event_id

    async def close(self, timeout_seconds: float | None = None) -> None:
        """Writes what waits, as far as that goes in time, and closes the writer; the store stays open."""
        following, self._following = self._following, None
        self._is_closing = True
        self._look_now.set()
        await self.writer.close(timeout_seconds)
        if following is not None:
            # Its question may be with a server that does not answer, nor hears that it is not asked any more.
            await asyncio.wait([following], timeout=CLOSE_SECONDS)
            following.cancel()

    def _hand_on(self, change: EventChange) -> None:
        self.writer.put(change)
        if self.on_change is not None and change.is_change:
            self.on_change(change)

    def _restore(self, events: list[KeptEvent]) -> None:
        for kept in events:
            self.cache.restore(kept.event, [event_odds for event_odds, _ in kept.odds])

    async def _ready_for(self, header: EventHeader) -> None:
        """Returns in a turn of the loop in which this process may write, and all that the event concerns is here."""
        while True:
            if not self._may_write:
                await self.take_over()
            elif self._archived and (event_id := self._archived_for(header)) is not None:
                await self._recall(event_id)
            else:
                return

    def _archived_for(self, header: EventHeader) -> int | None:
        keys = [lone_key(header.platform, header.external_id)]
        if header.sportradar_id:
            keys.append(match_key(header.sportradar_id))
        if header.genius_id:
            keys.append(genius_key(header.genius_id))
        return next((self._archived[key] for key in keys if key in self._archived), None)

    async def _recall(self, event_id: int) -> None:
        """Brings an event back into memory that is listed again after a long time; whoever comes second, waits."""
        async with self._recalling:
            if event_id not in self._archived.values():
                return
            epoch = self.cache.epoch
            kept = await self.store.load_event(event_id)
            if kept is not None:
                await asyncio.to_thread(_unpacked, [kept])
            if self.cache.epoch != epoch:
                return  # everything was read anew meanwhile
            if kept is not None and not self._is_here(kept):
                self._restore([kept])
            self._archived = {key: other for key, other in self._archived.items() if other != event_id}

    def _is_here(self, kept: KeptEvent) -> bool:
        """Whether the cache has the event, or any of its quotes: what it has is newer than what was kept."""
        return kept.event.id in self.cache.events or any(
            self.cache.event_odds(event_odds.id) for event_odds, _ in kept.odds
        )


async def _nothing_to_do() -> None:
    return None


def _unpacked(events: list[KeptEvent]) -> list[KeptEvent]:
    for kept in events:
        restored(kept)
    return events
