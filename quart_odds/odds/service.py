"""The odds service: the one way in for odds, and the one place to ask for them.

A fetch is recorded here: it goes into the cache, which finds out what changed, and from there to the listener (the
notices) and to the writer (the database).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import EventHeader, ListedCompetitions, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import NotWriterError, StorageError
from quart_odds.odds.cache import EVERY_COMPETITION, OddsCache
from quart_odds.odds.delays import ChangeDelays
from quart_odds.odds.event import CachedEvent, EventChange
from quart_odds.odds.lease import nothing_of, nothing_to_do, regain, renewing
from quart_odds.odds.operations import (
    Discovered,
    Forgotten,
    Operation,
    Recalled,
    Recorded,
    Withdrawn,
    carry_out,
)
from quart_odds.odds.ports import OddsStore, StoredEvent
from quart_odds.odds.retention import Removal
from quart_odds.odds.served import ServedOdds

log = structlog.get_logger(__name__)

KEEP = timedelta(hours=48)
"""How long an event stays in memory after its kick-off and after it was last seen. Older events stay in the database.
"""

BELIEVE_MISSING_AFTER = timedelta(minutes=5)
"""An event is gone when two complete lists lack it that are at least this far apart."""

FOLLOW_SECONDS = 1.0
"""How often a process renews the writer lease, or checks whether it can take it and whether the writer has written."""

FOLLOW_SHARE = 10
"""Reading everything again may take one part in this many of the time at most."""

CONFIRM_SECONDS = 30.0
"""How long a confirmation may take."""

CLOSE_SECONDS = 0.3
"""How long `close` waits for the task that follows the writer."""

LEASE_RAN_OUT = "the database does not answer, so this process cannot tell whether it is still the writer"

TAKEN_OVER = "another process took over before these odds were stored"

Listener = Callable[[EventChange], None]


class OddsService:
    """Owns the cache, the detection of changes, the writer and the notices.

    `on_change` is called with every change worth publishing, before it is written. `on_take_over` is called when this
    process takes over the writing from another one, before it writes anything. `on_step_down` is called with the reason
    when another one has taken over from this process, and `on_read_again` when this process has read again what the
    writer committed.

    `on_applied` is called with every change at all, right after the cache took it and before `on_change`. Of several
    events that one list lacks, it is called when the cache has taken all of them. `on_recalled` is called with an event
    that was only in the database and is in the cache again, `on_reloaded` when the whole cache was read again.

    `on_operation` is called with every operation on the cache, in order, in the same turn of the loop and before
    `on_applied` and `on_recalled`. The operations since `on_reloaded`, or since a snapshot, make an equal cache
    elsewhere (`odds.operations`).

    `on_term` is called with the number of a term before this process writes in it. With `is_replicated`, the odds reach
    processes that do not write on a log of their own, and the cache is read from the database only to write.
    """

    def __init__(
        self,
        store: OddsStore,
        *,
        on_change: Listener | None = None,
        clock: Callable[[], datetime] = utc_now,
        confirm_seconds: float = CONFIRM_SECONDS,
        is_replicated: bool = False,
    ) -> None:
        self.store = store
        self.cache = OddsCache()
        self.writer = store.odds_writer(self.cache, on_refused=self.refuse, confirm_seconds=confirm_seconds)
        self.on_change = on_change
        self.on_take_over: Callable[[], Awaitable[object]] = nothing_to_do
        self.on_step_down: Callable[[str], object] = nothing_of
        self.on_read_again: Callable[[], Awaitable[object]] = nothing_to_do
        self.on_applied: Callable[[EventChange], object] | None = None
        self.on_recalled: Callable[[CachedEvent], object] | None = None
        self.on_reloaded: Callable[[], object] | None = None
        self.on_term: Callable[[int | None], object] = nothing_of
        self.on_operation: Callable[[Operation, Sequence[EventChange]], object] | None = None
        self.unmapped = self.cache.unmapped
        self.served = ServedOdds(store, self.cache)
        self.delays = ChangeDelays()
        self._clock = clock
        self._archived = self.cache.archived
        self._may_write = False
        self._is_replicated = is_replicated
        self._reason: str | None = None
        self._confirm_seconds = confirm_seconds
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
        """Whether this process may write now: it holds the writer lease and has read everything before its term."""
        return self._may_write and self.store.holds_lease

    @property
    def read_only_reason(self) -> str | None:
        """Why this process does not write; None if it does."""
        return None if self.is_writer else self._reason or LEASE_RAN_OUT

    async def load(self) -> None:
        """Fill the cache from the database, and take the writer lock if it is free. Raises StorageError."""
        async with self._changing:
            try:
                is_ours = await self.store.take_writer_lock()
                self._reason = None if is_ours else str(NotWriterError())
            except StorageError as error:
                # Such as a full disk: what is stored can be read all the same.
                is_ours, self._reason = False, str(error)
            if is_ours or not self._is_replicated:
                async with renewing(self.store):
                    await self._fill()
            self.on_term(self.store.term)
            self._begin_term()
            self._may_write = is_ours
        if not is_ours:
            log.warning("odds.reads_only", reason=self._reason)

    async def take_over(self) -> None:
        """Make sure that this process holds the writer lease, by asking the database. Raises NotWriterError if not.

        If another process has written in the meantime, everything is read again first.
        """
        async with self._changing:
            try:
                is_ours = await self.store.take_writer_lock()
            except StorageError as error:
                # Nobody knows then who writes. What this process writes is still checked against its term.
                if not self.is_writer:
                    self._reason = str(error)
                raise
            if not is_ours:
                refused = NotWriterError()
                self._stop_writing(str(refused))
                raise refused
            if self.store.term != self._term:
                self._step_down(TAKEN_OVER)
                await self.writer.give_up(NotWriterError(TAKEN_OVER))
                async with renewing(self.store):
                    await self._fill()
                    self.on_term(self.store.term)
                    await self.on_take_over()
                self._begin_term()
                log.info("odds.took_over", term=self._term, events=len(self.cache.events))
            self._may_write, self._reason = True, None

    async def _regain(self) -> None:
        await regain(self.take_over, is_lost=lambda: not self._may_write, seconds=self._confirm_seconds)

    def follow(self) -> None:
        """Start to renew the lease every second. While another process writes, read what it has written."""
        if self._following is None:
            self._following = asyncio.create_task(self._follow(), name="odds-follow")

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        read_at = loop.time()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FOLLOW_SECONDS):
                    await self._look_now.wait()
            if self._is_closing:
                return
            self._look_now.clear()
            try:
                await self.take_over()
            except NotWriterError:
                began = loop.time()
                if began >= read_at:
                    await self._read_again()
                    read_at = loop.time() + FOLLOW_SHARE * (loop.time() - began)
            except StorageError as error:
                log.debug("odds.follow_failed", reason=error.for_operator)
            except Exception:
                log.exception("odds.follow_broke")

    async def _read_again(self) -> None:
        """Read what the writer has committed since this process last read."""
        try:
            async with self._changing:
                revision = await self.store.odds_revision()
                if self._may_write or revision == self._revision:
                    return
                if self._is_replicated:
                    self._revision = revision
                else:
                    await self.writer.give_up(NotWriterError(TAKEN_OVER))
                    await self._fill()
                    self._term = None
                    self.writer.begin(None)
                await self.on_read_again()
        except StorageError as error:
            log.debug("odds.follow_failed", reason=error.for_operator)

    @property
    def term(self) -> int | None:
        """The term in which this process writes; None if it does not."""
        return self._term

    def refuse(self, error: NotWriterError) -> None:
        """Stop writing, because another process does. This process takes over again as soon as it can."""
        self._stop_writing(str(error))

    def _begin_term(self) -> None:
        self._term = self.store.term
        self.writer.begin(self._term)

    def _stop_writing(self, reason: str) -> None:
        if self._may_write:
            log.warning("odds.reads_only", reason=reason)
            self._look_now.set()
        self._step_down(reason)
        self._reason = reason

    def _step_down(self, reason: str) -> None:
        if self._may_write:
            self._may_write = False
            self.on_step_down(reason)

    async def _fill(self) -> None:
        """Replace the cache by the database's content in one turn of the loop, so that nobody sees half of it."""
        stored = await self.store.load(self._clock() - KEEP)
        stored.restore(self.cache)
        self._revision = stored.revision
        if self.on_reloaded is not None:
            self.on_reloaded()

    # What a scrape records.

    async def record(self, mapped: MappedEvent, seen_at: datetime) -> EventChange:
        """Record one healthy fetch, of an event or of a list: into the cache, to the listener, to the writer.

        `seen_at` is when the answer arrived. What a later answer said of a market and line stays.
        Waits only while the database is far behind, and raises StorageError if it stays so. The cache has the odds by
        then.
        """
        await self._ready_for(mapped.header)
        (change,) = self._carry_out(Recorded(mapped, seen_at, self._clock()))
        self.delays.note(change, mapped.source_changed, self._clock())
        await self.writer.room()
        return change

    def knows(self, platform: Platform, external_id: str) -> bool:
        """Return whether odds of this bookmaker's event are in memory."""
        return self.cache.knows(platform, external_id)

    async def mark_missing(
        self,
        platform: Platform,
        seen: Mapping[str, datetime],
        at: datetime,
        listed: ListedCompetitions = EVERY_COMPETITION,
    ) -> list[EventChange]:
        """Record a discovery: an event that it should have listed and did not is missing, and gone the second time.

        `seen` says when each event was listed, `at` when the discovery began to read lists. The second time counts
        BELIEVE_MISSING_AFTER the first, or later. `listed` says which competitions the discovery listed completely.
        """
        while not self.is_writer:
            await self._regain()
        changes = self._carry_out(Discovered(platform, seen, at, listed, BELIEVE_MISSING_AFTER, self._clock()))
        await self.writer.room()
        return changes

    async def withdraw(self, platform: Platform, external_id: str, at: datetime) -> EventChange | None:
        """Mark an event as gone at once, because its bookmaker says so; None if it was not there."""
        while not self.is_writer:
            await self._regain()
        changes = self._carry_out(Withdrawn(platform, external_id, at, self._clock()))
        if not changes:
            return None
        await self.writer.room()
        return changes[0]

    async def confirm(self) -> None:
        """Return when everything recorded before is committed.

        Raises StorageError if that takes too long, or if odds of the current recording (`odds.ownership`) were refused.
        """
        await self.writer.confirm()

    def _carry_out(self, operation: Operation) -> list[EventChange]:
        changes = carry_out(self.cache, operation)
        if self.on_operation is not None:
            self.on_operation(operation, changes)
        for change in changes:
            self._publish(change)
        return changes

    def _publish(self, change: EventChange) -> None:
        self.writer.put(change)
        if self.on_applied is not None:
            self.on_applied(change)
        if self.on_change is not None and change.is_change:
            self.on_change(change)

    # Events that only the database has.

    async def archive(self) -> int:
        """Drop events from memory that are long over, once their odds are committed; the number dropped.

        Raises NotWriterError if another process writes.
        """
        if not self.is_writer:
            await self._regain()
        await self.writer.confirm()
        return self._archive_before(self._clock() - KEEP)

    async def remove_old(self, odds_before: datetime, runs_before: datetime) -> Removal:
        """Delete everything older than these moments for good: see `OddsStore.remove_old`. Raises StorageError."""
        if not self.is_writer:
            await self._regain()
        await self.writer.confirm()
        self._archive_before(odds_before)
        removed = await self.store.remove_old(odds_before, runs_before, self._term)
        log.info(
            "storage.retention.removed", events=removed.events, history_rows=removed.history_rows, runs=removed.runs
        )
        return removed

    def _archive_before(self, before: datetime) -> int:
        if not self.is_writer:
            raise NotWriterError(self.read_only_reason)
        events = self.cache.events.values()
        over = tuple(event.id for event in events if event.header.kickoff < before and event.seen_at < before)
        if over:
            self._carry_out(Forgotten(over))
        return len(over)

    async def _ready_for(self, header: EventHeader) -> None:
        """Return in a turn of the loop in which this process may write and everything the event concerns is here."""
        while True:
            if not self.is_writer:
                await self._regain()
            elif (event_id := self._archived.find(header)) is not None:
                await self._recall(event_id)
            else:
                return

    async def _recall(self, event_id: int) -> None:
        """Bring an archived event that is listed again back into memory. A second caller waits for the first."""
        async with self._recalling:
            if event_id not in self._archived:
                return
            epoch = self.cache.epoch
            stored = await self.store.load_event(event_id)
            if self.cache.epoch != epoch or not self.is_writer:
                return  # everything was read again in the meantime, or will be
            is_only_stored = stored is not None and not self._is_here(stored)
            self._carry_out(Recalled(event_id, stored if is_only_stored else None, self._clock()))
            event = self.cache.get(event_id)
            if is_only_stored and event is not None and self.on_recalled is not None:
                self.on_recalled(event)

    def _is_here(self, stored: StoredEvent) -> bool:
        """Whether the cache has the event, or any of its event odds: what it has is newer than what was stored."""
        return stored.event.id in self.cache.events or any(self.cache.event_odds(each.id) for each in stored.odds)

    async def close(self, timeout_seconds: float | None = None) -> None:
        """Write what is waiting, as far as time allows, and close the writer. The store stays open."""
        following, self._following = self._following, None
        self._is_closing = True
        self._look_now.set()
        await self.writer.close(timeout_seconds)
        if following is not None:
            # It may be waiting for a server that neither answers nor notices that the question was cancelled.
            await asyncio.wait([following], timeout=CLOSE_SECONDS)
            following.cancel()
