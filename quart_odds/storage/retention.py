"""Clean-up: counts what is too old to keep, and removes it in small transactions that never hold up a scrape."""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, delete, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quart_odds.domain.runs import RunMode, RunStatus
from quart_odds.odds.retention import CleanUpState, Removal
from quart_odds.storage.alert_rules import remove_alerts, remove_states
from quart_odds.storage.database import Database
from quart_odds.storage.odds_rows import quote_at
from quart_odds.storage.openings import shorten_openings
from quart_odds.storage.past_opportunities import PastOpportunityRows
from quart_odds.storage.revisions import NEW_DATABASE
from quart_odds.storage.sweep_hours import SweepHourRows
from quart_odds.storage.tables import (
    alerts,
    events,
    notes,
    odds_history,
    quote_openings,
    quote_prices,
    quotes,
    runs,
    sweep_hours,
)

QUOTES_AT_ONCE = 50
EVENTS_AT_ONCE = 50
RUNS_AT_ONCE = 100
ALERTS_AT_ONCE = 100

_QUOTES = select(quotes.c.id, quotes.c.event_id, quotes.c.platform)

CLEAN_UPS = "clean_ups"
"""Key of the CleanUpState in the table `notes`."""


class RetentionRows(SweepHourRows, PastOpportunityRows, ABC):
    """The part of the store that removes old data. Every method raises StorageError."""

    database: Database

    @abstractmethod
    async def set_value(self, name: str, value: str | None) -> None:
        """Store a value that survives restarts; None deletes it."""

    async def clean_up_state(self) -> CleanUpState | None:
        """Return the state of clean-ups, or None for a database that was upgraded and has had no clean-up since."""
        async with self.database.reading() as connection:
            rows = await connection.execute(select(notes).where(notes.c.name.in_([CLEAN_UPS, NEW_DATABASE])))
            kept = {row.name: row.value for row in rows}
        if CLEAN_UPS in kept:
            return CleanUpState.model_validate_json(kept[CLEAN_UPS])
        if kept.get(NEW_DATABASE) == self.database.head:
            return CleanUpState(revision=self.database.head)
        return None

    async def save_clean_up_state(self, state: CleanUpState) -> None:
        """Store the state of clean-ups."""
        await self.set_value(CLEAN_UPS, state.model_dump_json())

    async def preview_removal(self, odds_before: datetime, runs_before: datetime) -> Removal:
        """Return what `remove_old` would remove."""
        async with self.database.reading() as connection:
            over = set((await connection.scalars(_over(odds_before))).all())
            listings: Counter[str] = Counter()
            rows_by: Counter[str] = Counter()
            for quote in (await connection.execute(_QUOTES)).all():
                listings[quote.platform] += quote.event_id in over
                until = None if quote.event_id in over else odds_before
                rows_by[quote.platform] += await connection.scalar(_count_history(quote.id, until)) or 0
            return Removal(
                listings=listings,
                rows_by=rows_by,
                events=len(over),
                history_rows=rows_by.total(),
                openings=await connection.scalar(_old_openings(odds_before).with_only_columns(func.count())) or 0,
                runs=await connection.scalar(_old_runs(runs_before).with_only_columns(func.count())) or 0,
            )

    async def remove_old(self, odds_before: datetime, runs_before: datetime, term: int | None) -> Removal:
        """Remove events and price changes older than `odds_before`, and runs that started before `runs_before`.

        An event counts as older if it kicked off before that time and has not been seen since. Running runs are kept.
        Sweeps are folded, and their hourly figures go with the runs of that age, as alerts do; past opportunities go
        with the odds. None of these is counted.

        Each batch is a separate transaction, and the writer can write between two batches. Raises NotWriterError
        if `term` is not the current term of the database.
        """
        rows_by: Counter[str] = Counter()
        removed_events, listings = await self._remove_events(odds_before, term, rows_by)
        await self._remove_history(odds_before, term, rows_by)
        removed_openings = 0
        while ids := await self._page(_old_openings(odds_before).limit(QUOTES_AT_ONCE)):
            async with self.database.writing_as(term) as connection:
                await shorten_openings(connection, ids, int(odds_before.timestamp()))
            removed_openings += len(ids)
        removed_runs = 0
        while ids := await self._page(_old_runs(runs_before).limit(RUNS_AT_ONCE)):
            async with self.database.writing_as(term) as connection:
                await connection.execute(delete(runs).where(runs.c.id.in_(ids)))
            removed_runs += len(ids)
        await self._remove_sweeps(runs_before, term)
        await self._remove_alerts(runs_before, term)
        await self.remove_past_opportunities(odds_before, term)
        return Removal(removed_events, rows_by.total(), removed_openings, removed_runs, listings, rows_by)

    async def _remove_sweeps(self, before: datetime, term: int | None) -> None:
        """Remove the figures of the hours that began before this moment, once all their sweeps are folded.

        No hour may outlast its full runs: the ids of those would be taken for sweeps.
        """
        await self.fold_sweeps(before, term)
        old = sweep_hours.c.hour < before
        if await self._page(select(sweep_hours.c.first_id).where(old).limit(1)):
            async with self.database.writing_as(term) as connection:
                await connection.execute(delete(sweep_hours).where(old))

    async def _remove_alerts(self, before: datetime, term: int | None) -> None:
        """Remove the alerts that fired before this moment, and states that say nothing any more. Neither is counted."""
        old = select(alerts.c.id).where(alerts.c.fired_at < before).limit(ALERTS_AT_ONCE)
        while ids := await self._page(old):
            async with self.database.writing_as(term) as connection:
                await remove_alerts(connection, ids)
        async with self.database.writing_as(term, is_new=False) as connection:
            await remove_states(connection, before)

    async def _remove_events(
        self, before: datetime, term: int | None, rows_by: "Counter[str]"
    ) -> "tuple[int, Counter[str]]":
        """Remove events, and return how many, and the bookmakers' entries of them. `rows_by` is added to."""
        removed = 0
        listings: Counter[str] = Counter()
        while event_ids := await self._page(_over(before).limit(EVENTS_AT_ONCE)):
            async with self.database.writing_as(term) as connection:
                found = (await connection.execute(_QUOTES.where(quotes.c.event_id.in_(event_ids)))).all()
                for quote in found:
                    rows_by[quote.platform] += await _delete_history(connection, quote.id, None)
                    listings[quote.platform] += 1
                ids = [quote.id for quote in found]
                for table in (quote_openings, quote_prices):
                    await connection.execute(delete(table).where(table.c.quote_id.in_(ids)))
                await connection.execute(delete(quotes).where(quotes.c.id.in_(ids)))
                await connection.execute(delete(events).where(events.c.id.in_(event_ids)))
            removed += len(event_ids)
            await asyncio.sleep(0)
        return removed, listings

    async def _remove_history(self, before: datetime, term: int | None, rows_by: "Counter[str]") -> None:
        last = 0
        while True:
            async with self.database.reading() as connection:
                page = _QUOTES.where(quotes.c.id > last).order_by(quotes.c.id).limit(QUOTES_AT_ONCE)
                found = (await connection.execute(page)).all()
            if not found:
                return
            async with self.database.writing_as(term) as connection:
                for quote in found:
                    rows_by[quote.platform] += await _delete_history(connection, quote.id, before)
            last = found[-1].id
            await asyncio.sleep(0)

    async def _page(self, statement: "Select[int]") -> Sequence[int]:
        async with self.database.reading() as connection:
            return (await connection.scalars(statement)).all()


def _over(before: datetime) -> "Select[int]":
    """Select the events that kicked off before this moment and have not been seen at any bookmaker since."""
    seen_since = exists().where(
        quotes.c.event_id == events.c.id, (quotes.c.seen_at >= before) | (quotes.c.listed_at >= before)
    )
    return select(events.c.id).where(events.c.kickoff < before, ~seen_since)


def _old_runs(before: datetime) -> "Select[int]":
    return select(runs.c.id).where(
        runs.c.started_at < before, runs.c.mode == RunMode.FULL.value, runs.c.status != RunStatus.RUNNING.value
    )


def _old_openings(before: datetime) -> "Select[int]":
    """Select openings with prices older than the kept history, because the gap between the two would go unnoticed."""
    return select(quote_openings.c.quote_id).where(quote_openings.c.at < int(before.timestamp()))


def _range(odds_id: int, before: datetime | None) -> tuple[int, int]:
    end = quote_at(odds_id + 1, 0) if before is None else quote_at(odds_id, max(int(before.timestamp()), 0))
    return quote_at(odds_id, 0), end


def _count_history(odds_id: int, before: datetime | None) -> "Select[int]":
    start, end = _range(odds_id, before)
    return select(func.count()).where(odds_history.c.quote_at >= start, odds_history.c.quote_at < end)


async def _delete_history(connection: AsyncConnection, odds_id: int, before: datetime | None) -> int:
    start, end = _range(odds_id, before)
    done = await connection.execute(
        delete(odds_history).where(odds_history.c.quote_at >= start, odds_history.c.quote_at < end)
    )
    return done.rowcount
