"""The records of clean-ups, and what the database holds, for those who decide about one."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, func, insert, literal_column, select, update

from quart_odds.domain.runs import RunMode
from quart_odds.odds.retention import Ages, CleanUp, CleanUpTrigger, Removal
from quart_odds.odds.stored_data import StoredData, TableFigures
from quart_odds.storage.database import Database
from quart_odds.storage.tables import competitions, events, odds_history, quote_openings, quotes, runs
from quart_odds.storage.upkeep_tables import clean_ups

_MOMENT = (1 << 32) - 1
"""The bits of `odds_history.quote_at` that are the epoch second."""

LOST = "the server stopped before it was done"


class CleanUpRows:
    """The part of the store that records clean-ups. Every method raises StorageError.

    Methods that change something raise NotWriterError, with nothing changed, while another process writes.
    """

    database: Database

    async def begin_clean_up(self, trigger: CleanUpTrigger, requested_by: str, ages: Ages, at: datetime) -> int:
        """Record that a clean-up begins, and return its id."""
        row = {
            "trigger": trigger,
            "requested_by": requested_by,
            "odds_days": ages.odds_days,
            "match_days": ages.match_days,
            "started_at": at,
            "status": "running",
            **_counts(Removal()),
        }
        async with self.database.writing_as_writer(is_new=False) as connection:
            return int((await connection.execute(insert(clean_ups).values(row).returning(clean_ups.c.id))).scalar_one())

    async def end_clean_up(self, clean_up_id: int, removal: Removal, at: datetime) -> CleanUp:
        """Record what a clean-up has removed, and what was left as the oldest. Returns the record."""
        async with self.database.writing_as_writer(is_new=False) as connection:
            opened = await connection.scalar(select(func.min(quote_openings.c.at)))
            oldest = {
                "oldest_odds_at": None if opened is None else datetime.fromtimestamp(opened, UTC),
                "oldest_kickoff": await connection.scalar(select(func.min(events.c.kickoff))),
            }
            done = {"status": "completed", "completed_at": at, **_counts(removal), **oldest}
            of_this = clean_ups.c.id == clean_up_id
            return _clean_up(
                (await connection.execute(update(clean_ups).where(of_this).values(done).returning(*clean_ups.c))).one()
            )

    async def fail_clean_up(self, clean_up_id: int, reason: str, at: datetime) -> None:
        """Record that a clean-up did not get to its end."""
        failed = {"status": "failed", "completed_at": at, "error": reason}
        async with self.database.writing_as_writer(is_new=False) as connection:
            await connection.execute(update(clean_ups).where(clean_ups.c.id == clean_up_id).values(failed))

    async def fail_lost_clean_ups(self, at: datetime) -> None:
        """Record that clean-ups of earlier processes did not get to their end. Call it while none is under way."""
        lost = select(clean_ups.c.id).where(clean_ups.c.status == "running")
        async with self.database.reading() as connection:
            ids = (await connection.scalars(lost)).all()
        for each in ids:
            await self.fail_clean_up(each, LOST, at)

    async def clean_ups(self, *, limit: int, offset: int = 0) -> tuple[list[CleanUp], int]:
        """Return a page of clean-ups, the newest first, and how many there are."""
        page = select(clean_ups).order_by(clean_ups.c.id.desc()).limit(limit).offset(offset)
        async with self.database.reading() as connection:
            total = await connection.scalar(select(func.count()).select_from(clean_ups)) or 0
            rows = (await connection.execute(page)).all()
        return [_clean_up(row) for row in rows], total

    async def stored_data(self) -> StoredData:
        """Count what is stored. This reads the whole history."""
        of_quote = odds_history.c.quote_at.op(">>")(literal_column("32"))
        at = odds_history.c.quote_at
        changes = select(of_quote, func.count(), func.min(at), func.max(at)).group_by(of_quote)
        listed = select(
            quotes.c.platform, func.count(), func.min(quotes.c.kickoff), func.max(quotes.c.kickoff)
        ).group_by(quotes.c.platform)
        grouped = select(competitions.c.platform, func.count()).group_by(competitions.c.platform)
        full = runs.c.mode == RunMode.FULL.value
        async with self.database.reading() as connection:
            platforms = {
                row.id: row.platform for row in await connection.execute(select(quotes.c.id, quotes.c.platform))
            }
            by_platform: dict[str, TableFigures] = {}
            for quote_id, count, first, last in await connection.execute(changes):
                figures = TableFigures(count, _second(first), _second(last))
                platform = platforms.get(quote_id, "")
                by_platform[platform] = by_platform.get(platform, TableFigures()).plus(figures)
            return StoredData(
                changes=by_platform,
                listings={row[0]: TableFigures(*row[1:]) for row in await connection.execute(listed)},
                competitions={row[0]: TableFigures(row[1]) for row in await connection.execute(grouped)},
                events=TableFigures(
                    *(
                        await connection.execute(
                            select(func.count(), func.min(events.c.kickoff), func.max(events.c.kickoff))
                        )
                    ).one()
                ),
                runs=TableFigures(
                    *(
                        await connection.execute(
                            select(func.count(), func.min(runs.c.started_at), func.max(runs.c.started_at)).where(full)
                        )
                    ).one()
                ),
            )


def _second(quote_at: int) -> datetime:
    return datetime.fromtimestamp(quote_at & _MOMENT, UTC)


def _counts(removal: Removal) -> dict[str, object]:
    return {
        "events": removal.events,
        "history_rows": removal.history_rows,
        "openings": removal.openings,
        "runs": removal.runs,
        "listings": _packed(removal.listings),
        "rows_by": _packed(removal.rows_by),
    }


def _packed(counts: Mapping[str, int]) -> str:
    return json.dumps(dict(sorted(counts.items())))


def _clean_up(row: "Row[tuple[Any, ...]]") -> CleanUp:
    return CleanUp(
        id=row.id,
        trigger=row.trigger,
        requested_by=row.requested_by,
        ages=Ages(row.odds_days, row.match_days),
        started_at=row.started_at,
        status=row.status,
        completed_at=row.completed_at,
        removal=Removal(
            row.events, row.history_rows, row.openings, row.runs, json.loads(row.listings), json.loads(row.rows_by)
        ),
        oldest_odds_at=row.oldest_odds_at,
        oldest_kickoff=row.oldest_kickoff,
        error=row.error,
    )
