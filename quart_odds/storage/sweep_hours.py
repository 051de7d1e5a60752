"""Sweeps that ended long ago, folded into hourly figures: the table of runs does not fill with them.

A sweep is added to its hour and its row is deleted in the same transaction, so no sweep is counted twice or lost,
whatever interrupts the folding.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quart_odds.domain.runs import RunMode, RunStatus, ScrapePhase
from quart_odds.storage.database import Database
from quart_odds.storage.tables import MAX_ID, run_results, runs, sweep_hours

SWEEPS_AT_ONCE = 200

WHOLE = "all"
"""Stands for the runs as a whole, where other rows have a bookmaker."""

_MILLISECOND = timedelta(milliseconds=1)
_MICROSECOND = timedelta(microseconds=1)

Key = tuple[datetime, str]
Figures = dict[str, int]


class SweepHourRows:
    """The part of the store that holds the hourly figures of sweeps. Every method raises StorageError."""

    database: Database

    async def fold_sweeps(self, before: datetime, term: int | None) -> int:
        """Fold the sweeps that ended before this moment into hourly figures, and return how many they were.

        Each batch is a separate transaction, and the writer can write between two batches. Raises NotWriterError if
        `term` is not the current term of the database.
        """
        folded = 0
        while ids := await self._foldable(before):
            async with self.database.writing_as(term) as connection:
                folded += await _fold(connection, ids)
            await asyncio.sleep(0)
        return folded

    async def folded_hour(self, run_id: int) -> datetime | None:
        """Return when the hour of a folded sweep began, None if the id is not that of a folded sweep.

        Call it only for an id without a row: the runs of an hour are known by their first and their last id.
        """
        if not 0 < run_id <= MAX_ID:
            return None
        statement = (
            select(sweep_hours.c.hour)
            .where(
                sweep_hours.c.platform == WHOLE,
                sweep_hours.c.first_id <= run_id,
                sweep_hours.c.last_id >= run_id,
            )
            .order_by(sweep_hours.c.hour)
            .limit(1)
        )
        async with self.database.reading() as connection:
            return await connection.scalar(statement)

    async def _foldable(self, before: datetime) -> Sequence[int]:
        statement = (
            select(runs.c.id)
            .where(
                runs.c.mode == RunMode.SWEEP.value,
                runs.c.status != RunStatus.RUNNING.value,
                runs.c.completed_at < before,
            )
            .order_by(runs.c.id)
            .limit(SWEEPS_AT_ONCE)
        )
        async with self.database.reading() as connection:
            return (await connection.scalars(statement)).all()


async def _fold(connection: AsyncConnection, ids: Sequence[int]) -> int:
    """Add those of these sweeps that still have a row to their hours, and delete the rows."""
    rows = (await connection.execute(select(runs).where(runs.c.id.in_(ids)))).all()
    results = (await connection.execute(select(run_results).where(run_results.c.run_id.in_(ids)))).all()
    hours: dict[Key, Figures] = {}
    members: dict[Key, list[int]] = defaultdict(list)
    for run_id, key, figures in _figures(rows, results):
        members[key].append(run_id)
        sums = hours.setdefault(key, dict.fromkeys(figures, 0))
        for name, value in figures.items():
            sums[name] += value
    for key, sums in hours.items():
        await _add(connection, key, sums, min(members[key]), max(members[key]))
    await connection.execute(delete(runs).where(runs.c.id.in_(ids)))
    return len(rows)


def _figures(rows: Sequence[Any], results: Sequence[Any]) -> Iterator[tuple[int, Key, Figures]]:
    """Yield the id, the key and the figures of each sweep as a whole, and at each bookmaker."""
    hours = {row.id: row.started_at.replace(minute=0, second=0, microsecond=0) for row in rows}
    found: dict[int, int] = defaultdict(int)
    for result in results:
        found[result.run_id] += result.found
        is_completed = result.phase == ScrapePhase.COMPLETED.value
        duration = None if result.duration_ms is None else result.duration_ms * _MILLISECOND
        events = (result.found, result.fetched, result.failed)
        yield result.run_id, (hours[result.run_id], result.platform), _sums(is_completed, False, events, duration)
    for row in rows:
        status = RunStatus(row.status)
        duration = max(timedelta(), row.completed_at - row.started_at)
        events = (found[row.id], row.events_scraped, row.events_failed)
        is_completed, is_partial = status is RunStatus.COMPLETED, status is RunStatus.PARTIAL
        yield row.id, (hours[row.id], WHOLE), _sums(is_completed, is_partial, events, duration)


def _sums(is_completed: bool, is_partial: bool, events: tuple[int, int, int], duration: timedelta | None) -> Figures:
    found, scraped, failed = events
    return {
        "sweeps": 1,
        "completed": int(is_completed),
        "partial": int(is_partial),
        "failed": int(not is_completed and not is_partial),
        "events_found": found,
        "events_scraped": scraped,
        "events_failed": failed,
        "timed": int(duration is not None),
        "duration_us": 0 if duration is None else duration // _MICROSECOND,
    }


async def _add(connection: AsyncConnection, key: Key, sums: Figures, first_id: int, last_id: int) -> None:
    """Add figures to the row of an hour, or make the row."""
    hour, platform = key
    of = sweep_hours.c
    values: dict[str, object] = {name: of[name] + value for name, value in sums.items()}
    values["first_id"] = case((of.first_id < first_id, of.first_id), else_=first_id)
    values["last_id"] = case((of.last_id > last_id, of.last_id), else_=last_id)
    done = await connection.execute(update(sweep_hours).where(of.hour == hour, of.platform == platform).values(values))
    if done.rowcount == 0:
        row = {"hour": hour, "platform": platform, "first_id": first_id, "last_id": last_id, **sums}
        await connection.execute(insert(sweep_hours).values(row))
