"""Writes the changes of the cache to the database in the background: coalesced, in batches, confirmed on request.

Memory is bounded. However often an event's odds change, they wait as one entry that refers to the cache. Only history
rows accumulate, and `room` makes a scrape wait when there are too many. A batch that fails is kept and written again.
Odds that the database refuses because of their data are set aside, and the refusal is reported only to the run or
refresh that recorded them (`odds.ownership`).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import replace
from datetime import timedelta
from typing import Protocol
from weakref import WeakKeyDictionary

import structlog

from quart_odds import tracing
from quart_odds.domain.odds import Prices
from quart_odds.errors import NotWriterError, StorageError
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.event import EventChange
from quart_odds.odds.event_odds import EventOdds
from quart_odds.odds.history import GONE_ODDS, KICKOFF_KEY, LISTING_KEY
from quart_odds.odds.ownership import Recording, current_recording
from quart_odds.storage.database_errors import is_refusal
from quart_odds.storage.odds_rows import EncodedBatch, encode, quote_at
from quart_odds.storage.openings import joined, opening_of
from quart_odds.storage.waiting import Waiting, make_batch

log = structlog.get_logger(__name__)

MAX_HISTORY_ROWS = 100_000
"""Number of history rows that may wait before a scrape has to wait: more than one scrape changes, and about 20 MB."""

BATCH_QUOTES = 200
BATCH_ROWS = 5_000
LINGER_SECONDS = 0.05
CONFIRM_SECONDS = 30.0
CLOSE_SECONDS = 0.3
"""How long `close` waits for a write in progress after cancelling it."""

SEEN_EVERY = timedelta(seconds=60)
"""How often it is written that lists have event odds unchanged. After a restart, an age may be this much too great."""

_FIRST_WAIT_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 5.0


class BatchStore(Protocol):
    """Commits batches: the part of the store that the writer uses."""

    async def write(self, batch: EncodedBatch, term: int | None) -> None:
        """Commit a batch as a whole. Raises NotWriterError if `term` is not the current term of the database."""


class OddsWriter:
    """Collects changes of `cache` and lets the store commit them. The first change starts the only task."""

    def __init__(
        self,
        store: BatchStore,
        cache: OddsCache,
        *,
        on_refused: Callable[[NotWriterError], None] = lambda _: None,
        max_history_rows: int = MAX_HISTORY_ROWS,
        confirm_seconds: float = CONFIRM_SECONDS,
        linger_seconds: float = LINGER_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._cache = cache
        self._on_refused = on_refused
        self._term: int | None = None
        self._max_history_rows = max_history_rows
        self._confirm_seconds = confirm_seconds
        self._linger_seconds = linger_seconds
        self._sleep = sleep
        self._waiting: dict[int, Waiting] = {}
        self._writing: dict[int, Waiting] = {}
        self._emptied: set[int] = set()
        self._history_rows = 0
        self._puts = 0
        self._trace: str | None = None
        """The span in which the oldest change that waits was made."""
        self._task: asyncio.Task[None] | None = None
        self._progress = asyncio.Condition()
        self._wanted = asyncio.Event()
        self._hurry = asyncio.Event()
        self._is_closed = False
        self._failure: StorageError | None = None
        self._refusals: WeakKeyDictionary[Recording, StorageError] = WeakKeyDictionary()
        self._refused_to_nobody: StorageError | None = None
        self._set_aside: dict[int, Waiting] = {}
        self.rows_written = 0
        self.batches_written = 0
        self.rows_lost = 0

    @property
    def waiting(self) -> int:
        """The number of event odds that wait to be committed."""
        return len(self._waiting.keys() | self._writing.keys())

    @property
    def waiting_rows(self) -> int:
        """The number of history rows that wait to be committed."""
        return self._history_rows

    @property
    def is_full(self) -> bool:
        """Whether so many history rows wait that `room` would wait."""
        return self._history_rows > self._max_history_rows

    @property
    def _refused(self) -> StorageError | None:
        """The oldest refusal that has not been reported yet, or None."""
        return next(iter(self._refusals.values()), self._refused_to_nobody)

    def begin(self, term: int | None) -> None:
        """Write in this term from now on.

        The database refuses batches of any other term, because another writer may have used their ids.
        """
        self._term = term

    def put(self, change: EventChange) -> None:
        """Add a change that the cache has just made, for the current recording. Never waits: call `room` afterwards.

        That a list has the same prices again is left out if a fetch less than SEEN_EVERY before was added. Raises
        StorageError if the writer is closed.
        """
        if self._is_closed:
            raise StorageError("the writer is closed")
        event_odds = self._cache.event_odds(change.odds_id)
        if event_odds is not None:
            if change.is_listed and change.is_seen_only and _is_noted(event_odds):
                return
            event_odds.noted_at = event_odds.fetched_at
        self._puts += 1
        if not self._waiting:
            self._trace = tracing.current()
        self._emptied.update(change.emptied)
        for odds_id in change.moved:
            self._entry(odds_id).is_seen_only = False
        entry = self._entry(change.odds_id)
        if change.is_new and event_odds is not None:
            entry.is_new, entry.opening = True, opening_of(event_odds.prices(), change.moment)
        if change.is_change or change.is_header_changed or change.moved or change.is_miss_noted:
            entry.is_seen_only = False
        entry.with_prices |= change.is_new or bool(change.changed)
        if change.redated_after:
            self._history_rows -= entry.date_back(change.redated_after)
            entry.is_seen_only, entry.with_prices = False, True
        if change.opened:
            first = Prices.from_pairs(
                (key, new) for key, _, new in change.changed if new is not None and key in change.opened
            )
            entry.opening = joined(entry.opening, opening_of(first, change.moment))
        if not change.is_new:
            self._add_history(entry, change)
        if self._task is None:
            # It outlives the run that happens to start it, and works for others: it must not have that run's context.
            loop = asyncio.get_running_loop()
            self._task = loop.create_task(self._run(), name="odds-writer", context=Context())
        self._wanted.set()

    async def room(self) -> None:
        """Wait until few enough history rows wait. Raises StorageError if that takes longer than `confirm_seconds`."""
        if self.is_full:
            self._hurry.set()
            await self._until(lambda: not self.is_full, "has not kept up")

    async def confirm(self, timeout_seconds: float | None = None) -> None:
        """Wait until everything that was put before is committed. Raises StorageError if that takes too long.

        Also raises StorageError, once, if odds of the current recording were refused. Each other recording learns of
        its own refusals when it calls this.
        """
        target = self._puts
        self._hurry.set()
        await self._until(lambda: self._oldest_put() > target, "has not stored all odds", timeout_seconds)
        recording = current_recording()
        if recording is not None:
            refused = self._refusals.pop(recording, None)
        else:
            refused, self._refused_to_nobody = self._refused_to_nobody, None
        if refused is not None:
            raise refused

    async def give_up(self, reason: StorageError) -> None:
        """Drop what waits, because this process may no longer write it, and report `reason` to its recordings.

        When this returns, no write is in progress. The next change starts a new task.
        """
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._abandon(reason)
        self._writing = {}
        self._failure = None
        self._wanted.clear()
        self._hurry.clear()
        async with self._progress:
            self._progress.notify_all()

    def _abandon(self, reason: StorageError) -> None:
        """Drop everything that waits or was being written, for good."""
        self._put_back()
        dropped, self._waiting = self._waiting, {}
        rows = sum(len(entry.history) for entry in dropped.values())
        self.rows_lost += rows
        self._history_rows -= rows
        self._emptied.clear()
        self._set_aside.clear()
        for entry in dropped.values():
            self._refuse(entry, reason)
        if dropped:
            log.error("storage.write.given_up", quotes=len(dropped), history_rows=rows, reason=reason.for_operator)

    async def close(self, timeout_seconds: float | None = None) -> None:
        """Write what waits as far as the database accepts it in time, then end the task. Logs what is left."""
        if self._is_closed:
            return
        try:
            await self.confirm(timeout_seconds)
        except StorageError as error:
            log.warning(
                "storage.writer.left", quotes=self.waiting, history_rows=self._history_rows, error=error.for_operator
            )
        finally:
            self._is_closed = True
            if self._task is not None:
                self._task.cancel()
                await asyncio.wait([self._task], timeout=CLOSE_SECONDS)
            if self._refused is not None:
                log.warning("storage.writer.refusals_untold", error=self._refused.for_operator)

    def _entry(self, odds_id: int) -> Waiting:
        entry = self._waiting.get(odds_id)
        if entry is None:
            # Odds that were refused before are included as they are now, so that cache and database agree again.
            entry = self._set_aside.pop(odds_id, None) or Waiting(self._puts)
            entry.first_put = self._puts
            self._waiting[odds_id] = entry
        entry.recordings.add(current_recording())
        return entry

    def _refuse(self, entry: Waiting, error: StorageError) -> None:
        """Keep an error for the recordings of this entry until they call `confirm`."""
        for recording in entry.recordings:
            if recording is None:
                self._refused_to_nobody = self._refused_to_nobody or error
            else:
                self._refusals.setdefault(recording, error)

    def _put_aside(self, odds_id: int, entry: Waiting) -> None:
        """Let the next write of refused event odds include everything of this one, except its history."""
        entry = replace(entry, recordings=set(), history=[])
        newer = self._waiting.get(odds_id)
        if newer is None:
            self._set_aside[odds_id] = entry
        else:
            newer.include_refused(entry)

    def _add_history(self, entry: Waiting, change: EventChange) -> None:
        at = quote_at(change.odds_id, change.moment)
        rows = [
            (at, key, GONE_ODDS if new is None else new) for key, _, new in change.changed if key not in change.opened
        ]
        if change.is_available is not None:
            rows.append((at, LISTING_KEY, 0 if change.is_available else GONE_ODDS))
        event_odds = self._cache.event_odds(change.odds_id)
        if change.former and event_odds is not None and change.former.kickoff != event_odds.header.kickoff:
            rows.append((at, KICKOFF_KEY, int(change.former.kickoff.timestamp()) // 60))
        if self._history_rows + len(rows) > 2 * self._max_history_rows:
            # The caller did not wait in `room`, and the database has been gone long. The cache has the current odds.
            self.rows_lost += len(rows)
            self._refuse(
                entry, StorageError(f"{self.rows_lost} changes of odds were lost: the database was unavailable")
            )
            return
        entry.history += rows
        self._history_rows += len(rows)

    def _oldest_put(self) -> int:
        puts = [entry.first_put for waiting in (self._waiting, self._writing) for entry in waiting.values()]
        return min(puts, default=self._puts + 1)

    async def _until(self, is_so: Callable[[], bool], complaint: str, timeout_seconds: float | None = None) -> None:
        seconds = self._confirm_seconds if timeout_seconds is None else timeout_seconds
        try:
            async with asyncio.timeout(seconds), self._progress:
                await self._progress.wait_for(is_so)
        except TimeoutError:
            reason = f": {self._failure}" if self._failure else ""
            raise StorageError(f"the database {complaint} within {seconds:g} s{reason}") from self._failure

    async def _run(self) -> None:
        wait_seconds = _FIRST_WAIT_SECONDS
        while True:
            await self._wanted.wait()
            await self._linger()
            self._take()
            try:
                # A batch has changes of many fetches. It belongs to the one of the oldest.
                with tracing.span("store", parent=self._trace, event_odds=len(self._writing)):
                    await self._commit(self._writing)
            except NotWriterError as error:
                self._on_refused(error)
                self._abandon(error)
            except StorageError as error:
                self._failure = error
                log.warning("storage.write.failed", quotes=len(self._writing), error=error.for_operator)
                self._put_back()
                await self._sleep(wait_seconds)
                wait_seconds = min(2 * wait_seconds, _LONGEST_WAIT_SECONDS)
            else:
                self._failure = None
                wait_seconds = _FIRST_WAIT_SECONDS
            self._writing = {}
            if not self._waiting:
                self._wanted.clear()
                self._hurry.clear()
            async with self._progress:
                self._progress.notify_all()

    async def _linger(self) -> None:
        """Give a batch time to fill, unless it is full or a caller of `room` or `confirm` waits."""
        if len(self._waiting) < BATCH_QUOTES and not self._hurry.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._linger_seconds):
                    await self._hurry.wait()

    def _take(self) -> None:
        rows = 0
        for odds_id in list(self._waiting)[:BATCH_QUOTES]:
            entry = self._writing[odds_id] = self._waiting.pop(odds_id)
            rows += len(entry.history)
            if rows >= BATCH_ROWS:
                break

    def _put_back(self) -> None:
        """Join what failed with what came in since, older changes first."""
        for odds_id, newer in self._waiting.items():
            older = self._writing.get(odds_id)
            if older is None:
                self._writing[odds_id] = newer
            else:
                self._history_rows -= older.join(newer)
        self._waiting = self._writing

    async def _commit(self, entries: dict[int, Waiting]) -> None:
        """Commit these event odds. Those that are refused because of their data are reported and set aside."""
        emptied = [] if self._waiting else sorted(self._emptied)
        rows = sum(len(entry.history) for entry in entries.values())
        try:
            batch = await asyncio.to_thread(encode, make_batch(self._cache, entries, emptied))
            await self._store.write(batch, self._term)
        except Exception as error:
            if not is_refusal(error):
                raise
            if len(entries) > 1:
                for odds_id in list(entries):
                    await self._commit({odds_id: entries[odds_id]})
                    entries[odds_id] = Waiting(self._puts)
                return
            log.exception("storage.write.refused", odds_ids=list(entries), history_rows=rows)
            self.rows_lost += rows
            for odds_id, entry in entries.items():
                self._refuse(entry, StorageError(f"the database refused the event odds {odds_id}: {error}"))
                self._put_aside(odds_id, entry)
        else:
            self._emptied.difference_update(emptied)
            self.rows_written += rows
            self.batches_written += 1
        self._history_rows -= rows


def _is_noted(event_odds: EventOdds) -> bool:
    """Whether the newest fetch is so close to the last one that was added that it need not be written."""
    return event_odds.noted_at is not None and abs(event_odds.fetched_at - event_odds.noted_at) < SEEN_EVERY
