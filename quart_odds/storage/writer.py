"""Writes what the cache learns to the database, off the scrape's path: coalesced, in batches, confirmed on request.

What waits is bounded: a quote waits once, however often it changed, as a reference to the cache; only rows of history
add up, and `room` makes a scrape wait when too many do. A batch that fails is kept and tried again; what the database
refuses for what it is, is set aside and told to whoever recorded it (`odds.ownership`), and to nobody else.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol
from weakref import WeakKeyDictionary

import structlog

from quart_odds.errors import NotWriterError, StorageError
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.event import EventChange
from quart_odds.odds.history import GONE_ODDS, LISTING_KEY
from quart_odds.odds.ownership import Recording, current_recording
from quart_odds.storage.database_errors import is_refusal
from quart_odds.storage.odds_rows import EncodedBatch, encode, quote_at
from quart_odds.storage.waiting import Waiting, make_batch

log = structlog.get_logger(__name__)

MAX_HISTORY_ROWS = 100_000
"""Rows that may wait before a scrape has to: more than a whole scrape changes, and about 20 MB."""

BATCH_QUOTES = 200
BATCH_ROWS = 5_000
LINGER_SECONDS = 0.05
CONFIRM_SECONDS = 30.0
CLOSE_SECONDS = 0.3
"""How long closing waits for a write that is under way, once it has been cancelled."""

_FIRST_WAIT_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 5.0


class BatchStore(Protocol):
    """Where batches go: the store."""

    async def write(self, batch: EncodedBatch, term: int | None) -> None:
        """Commit a batch, or nothing of it. Raises NotWriterError when this process is not the writer of `term`."""


class OddsWriter:
    """Takes changes of `cache` and has the store commit them; one task, started by the first change."""

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
        """How many quotes wait to be committed."""
        return len(self._waiting.keys() | self._writing.keys())

    @property
    def is_full(self) -> bool:
        """Whether so many rows wait that `room` would."""
        return self._history_rows > self._max_history_rows

    @property
    def _refused(self) -> StorageError | None:
        """The oldest refusal that nobody has been told yet."""
        return next(iter(self._refusals.values()), self._refused_to_nobody)

    def begin(self, term: int | None) -> None:
        """Write in this term from now on. A batch in another term is refused: its ids may have been used twice."""
        self._term = term

    def put(self, change: EventChange) -> None:
        """Takes a change that the cache has just made, for the current recording. Never waits: call `room` after it."""
        if self._is_closed:
            raise StorageError("the writer is closed")
        self._puts += 1
        self._emptied.update(change.emptied)
        for odds_id in change.moved:
            self._entry(odds_id).is_seen_only = False
        entry = self._entry(change.odds_id)
        event_odds = self._cache.event_odds(change.odds_id)
        if change.is_new and event_odds is not None:
            entry.opening = (change.moment, event_odds.prices())
        if change.is_change or change.is_header_changed or change.moved or change.is_miss_noted:
            entry.is_seen_only = False
        entry.with_prices |= change.is_new or bool(change.changed)
        if change.redated_after:
            self._history_rows -= entry.date_back(change.redated_after)
            entry.is_seen_only, entry.with_prices = False, True
        if not change.is_new:
            self._add_history(entry, change)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="odds-writer")
        self._wanted.set()

    async def room(self) -> None:
        """Returns when few enough rows wait. Raises StorageError when that takes longer than a confirmation may."""
        if self.is_full:
            self._hurry.set()
            await self._until(lambda: not self.is_full, "has not kept up")

    async def confirm(self, timeout_seconds: float | None = None) -> None:
        """Returns when all that was put before is committed. Raises StorageError if it is not in time.

        Raises it, once, where odds of the current recording were refused; those of others are told to them.
        """
        target = self._puts
        self._hurry.set()
        await self._until(lambda: self._oldest_put() > target, "has not taken all odds", timeout_seconds)
        recording = current_recording()
        if recording is not None:
            refused = self._refusals.pop(recording, None)
        else:
            refused, self._refused_to_nobody = self._refused_to_nobody, None
        if refused is not None:
            raise refused

    async def give_up(self, reason: StorageError) -> None:
        """Drops what waits, because it may not be written any more, and tells its recordings the reason.

        Whatever is under way is over when this returns. The next change begins anew.
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
        """Drops all that waits, and what was being written: for good."""
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
        """Writes what waits, as far as the database lets it in time, and ends. Logs what had to be left."""
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
            # What was refused before is written as it is now, so that memory and database agree again.
            entry = self._set_aside.pop(odds_id, None) or Waiting(self._puts)
            entry.first_put = self._puts
            self._waiting[odds_id] = entry
        entry.recordings.add(current_recording())
        return entry

    def _refuse(self, entry: Waiting, error: StorageError) -> None:
        """Remembers an error for those whose odds these are, until they ask."""
        for recording in entry.recordings:
            if recording is None:
                self._refused_to_nobody = self._refused_to_nobody or error
            else:
                self._refusals.setdefault(recording, error)

    def _put_aside(self, odds_id: int, entry: Waiting) -> None:
        """Sees to it that the next write of a refused quote writes all that this one should have, but its history."""
        entry = replace(entry, recordings=set(), history=[])
        newer = self._waiting.get(odds_id)
        if newer is None:
            self._set_aside[odds_id] = entry
            return
        newer.include_refused(entry)

    def _add_history(self, entry: Waiting, change: EventChange) -> None:
        at = quote_at(change.odds_id, change.moment)
        rows = [(at, key, GONE_ODDS if new is None else new) for key, _, new in change.changed]
        if change.is_available is not None:
            rows.append((at, LISTING_KEY, 0 if change.is_available else GONE_ODDS))
        if self._history_rows + len(rows) > 2 * self._max_history_rows:
            # Nobody heeded `room`, and the database is long gone: the odds as they are survive in the cache.
            self.rows_lost += len(rows)
            self._refuse(entry, StorageError(f"{self.rows_lost} changes of odds were lost: the database was gone"))
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
        """Gives a batch time to fill, unless it is full or someone waits."""
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
        """Joins what failed with what has come since, the older first."""
        for odds_id, newer in self._waiting.items():
            older = self._writing.get(odds_id)
            if older is None:
                self._writing[odds_id] = newer
            else:
                self._history_rows -= older.join(newer)
        self._waiting = self._writing

    async def _commit(self, entries: dict[int, Waiting]) -> None:
        """Commits these quotes; one that the database refuses for what it is, is told and set aside."""
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
                self._refuse(entry, StorageError(f"the database refused the odds of quote {odds_id}: {error}"))
                self._put_aside(odds_id, entry)
        else:
            self._emptied.difference_update(emptied)
            self.rows_written += rows
            self.batches_written += 1
        self._history_rows -= rows
