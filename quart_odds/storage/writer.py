"""Writes what the book learns to the database, off the scrape's path: coalesced, in batches, confirmed on request.

What waits is bounded: a quote waits once, however often it changed, as a reference to the book; only rows of history
add up, and `room` makes a scrape wait when too many do. A batch that fails is kept and tried again.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import DataError, IntegrityError

from quart_odds.domain.odds import Prices
from quart_odds.errors import StorageError
from quart_odds.odds.book import OddsBook
from quart_odds.odds.event import EventChange
from quart_odds.odds.history import GONE_ODDS, LISTING_KEY
from quart_odds.storage.odds_rows import (
    Batch,
    EncodedBatch,
    HistoryRow,
    encode,
    event_row,
    quote_at,
)

log = structlog.get_logger(__name__)

MAX_HISTORY_ROWS = 100_000
"""Rows that may wait before a scrape has to: more than a whole scrape changes, and about 20 MB."""

BATCH_QUOTES = 200
BATCH_ROWS = 5_000
LINGER_SECONDS = 0.05
CONFIRM_SECONDS = 30.0
_FIRST_WAIT_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 5.0

Write = Callable[[EncodedBatch], Awaitable[None]]


@dataclass(slots=True)
class _Waiting:
    """What has to be written of one quote."""

    first_put: int
    is_seen_only: bool = True
    with_prices: bool = False
    opening: tuple[int, Prices] | None = None
    history: list[HistoryRow] = field(default_factory=list)


class OddsWriter:
    """Takes changes of `book` and has `write` (`Store.write`) commit them; one task, started by the first change."""

    def __init__(
        self,
        write: Write,
        book: OddsBook,
        *,
        max_history_rows: int = MAX_HISTORY_ROWS,
        confirm_seconds: float = CONFIRM_SECONDS,
        linger_seconds: float = LINGER_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._write = write
        self._book = book
        self._max_history_rows = max_history_rows
        self._confirm_seconds = confirm_seconds
        self._linger_seconds = linger_seconds
        self._sleep = sleep
        self._waiting: dict[int, _Waiting] = {}
        self._writing: dict[int, _Waiting] = {}
        self._emptied: set[int] = set()
        self._history_rows = 0
        self._puts = 0
        self._task: asyncio.Task[None] | None = None
        self._progress = asyncio.Condition()
        self._wanted = asyncio.Event()
        self._hurry = asyncio.Event()
        self._is_closed = False
        self._failure: StorageError | None = None
        self._refused: StorageError | None = None
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

    def put(self, change: EventChange) -> None:
        """Takes a change that the book has just made. Never waits: call `room` after it."""
        if self._is_closed:
            raise StorageError("the writer is closed")
        self._puts += 1
        self._emptied.update(change.emptied)
        for quote_id in change.moved:
            self._entry(quote_id).is_seen_only = False
        entry = self._entry(change.quote_id)
        quote = self._book.quote(change.quote_id)
        if change.is_new and quote is not None:
            entry.opening = (change.moment, quote.prices())
        if change.is_change or change.is_header_changed or change.moved:
            entry.is_seen_only = False
        entry.with_prices |= change.is_new or bool(change.changed)
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
        """Returns when all that was put before is committed. Raises StorageError if it is not in time, or never."""
        target = self._puts
        self._hurry.set()
        await self._until(lambda: self._oldest_put() > target, "has not taken all odds", timeout_seconds)
        refused, self._refused = self._refused, None
        if refused is not None:
            raise refused

    async def close(self, timeout_seconds: float | None = None) -> None:
        """Writes what waits, as far as the database lets it, and ends. Logs what had to be left."""
        if self._is_closed:
            return
        try:
            await self.confirm(timeout_seconds)
        except StorageError as error:
            log.warning("storage.writer.left", quotes=self.waiting, history_rows=self._history_rows, error=str(error))
        finally:
            self._is_closed = True
            if self._task is not None:
                self._task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([self._task])

    def _entry(self, quote_id: int) -> _Waiting:
        entry = self._waiting.get(quote_id)
        if entry is None:
            entry = self._waiting[quote_id] = _Waiting(self._puts)
        return entry

    def _add_history(self, entry: _Waiting, change: EventChange) -> None:
        at = quote_at(change.quote_id, change.moment)
        rows = [(at, key, GONE_ODDS if new is None else new) for key, _, new in change.changed]
        if change.is_available is not None:
            rows.append((at, LISTING_KEY, 0 if change.is_available else GONE_ODDS))
        if self._history_rows + len(rows) > 2 * self._max_history_rows:
            # Nobody heeded `room`, and the database is long gone: the odds as they are survive in the book.
            self.rows_lost += len(rows)
            self._refused = StorageError(f"{self.rows_lost} changes of odds were lost, because the database was gone")
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
            except StorageError as error:
                self._failure = error
                log.warning("storage.write.failed", quotes=len(self._writing), error=str(error))
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
        for quote_id in list(self._waiting)[:BATCH_QUOTES]:
            entry = self._writing[quote_id] = self._waiting.pop(quote_id)
            rows += len(entry.history)
            if rows >= BATCH_ROWS:
                break

    def _put_back(self) -> None:
        """Joins what failed with what has come since, the older first."""
        for quote_id, newer in self._waiting.items():
            older = self._writing.get(quote_id)
            if older is None:
                self._writing[quote_id] = newer
                continue
            older.is_seen_only &= newer.is_seen_only
            older.with_prices |= newer.with_prices
            older.history += newer.history
        self._waiting = self._writing

    async def _commit(self, entries: dict[int, _Waiting]) -> None:
        """Commits these quotes; one that the database refuses for what it is, is told and not tried again."""
        emptied = [] if self._waiting else sorted(self._emptied)
        rows = sum(len(entry.history) for entry in entries.values())
        try:
            await self._write(await asyncio.to_thread(encode, self._batch(entries, emptied)))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if isinstance(error, StorageError) and not isinstance(error.__cause__, (IntegrityError, DataError)):
                raise
            if len(entries) > 1:
                for quote_id in list(entries):
                    await self._commit({quote_id: entries[quote_id]})
                    entries[quote_id] = _Waiting(self._puts)
                return
            log.exception("storage.write.refused", quote_ids=list(entries), history_rows=rows)
            self.rows_lost += rows
            self._refused = StorageError(f"the database refused the odds of quote {list(entries)}: {error}")
        else:
            self._emptied.difference_update(emptied)
            self.rows_written += rows
            self.batches_written += 1
        self._history_rows -= rows

    def _batch(self, entries: dict[int, _Waiting], emptied: list[int]) -> Batch:
        batch = Batch(emptied=emptied)
        for quote_id, entry in entries.items():
            quote = self._book.quote(quote_id)
            event = None if quote is None else self._book.get(quote.event_id)
            if quote is None or event is None:
                continue  # forgotten since, which `OddsDesk` does only to what is committed
            if entry.is_seen_only:
                batch.seen.append((quote_id, quote.seen_at))
            else:
                batch.rows.append(
                    event_row(event, quote, with_prices=entry.with_prices, opening=entry.opening, history=entry.history)
                )
        return batch
