"""The opportunities that are over, in the database."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, delete, func, insert, select

from quart_odds.domain.opportunities import Kind
from quart_odds.domain.platforms import Platform
from quart_odds.odds.past_opportunities import PastFilter, PastOpportunity
from quart_odds.storage.database import Database
from quart_odds.storage.tables import past_opportunities as table

REMOVED_AT_ONCE = 5000

_HUNDREDTHS = 100


class PastOpportunityRows:
    """The part of the store that has past opportunities. Every method raises StorageError."""

    database: Database

    async def add_past_opportunities(self, past: Sequence[PastOpportunity], term: int | None) -> None:
        """Store opportunities in one transaction. Raises NotWriterError if `term` is not the database's current one."""
        # Other processes need not read the odds again for that.
        async with self.database.writing_as(term, is_new=False) as connection:
            await connection.execute(insert(table), [_row(each) for each in past])

    async def list_past_opportunities(
        self, wanted: PastFilter, *, limit: int, offset: int
    ) -> tuple[list[PastOpportunity], int]:
        """Return a page of past opportunities, those first that ended last, and how many there are."""
        conditions = _conditions(wanted)
        page = select(table).where(*conditions).order_by(table.c.ended_at.desc(), table.c.id.desc())
        async with self.database.reading() as connection:
            total = await connection.scalar(select(func.count()).select_from(table).where(*conditions)) or 0
            rows = (await connection.execute(page.limit(limit).offset(offset))).all()
        return [_past(row) for row in rows], total

    async def remove_past_opportunities(self, before: datetime, term: int | None) -> None:
        """Remove what ended before this moment, in small transactions. Raises NotWriterError outside the term."""
        old = select(table.c.id).where(table.c.ended_at < before).limit(REMOVED_AT_ONCE)
        while True:
            async with self.database.reading() as connection:
                ids = (await connection.scalars(old)).all()
            if not ids:
                return
            async with self.database.writing_as(term, is_new=False) as connection:
                await connection.execute(delete(table).where(table.c.ended_at < before, table.c.id <= max(ids)))
            await asyncio.sleep(0)


def _conditions(wanted: PastFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.kind is not None:
        found.append(table.c.kind == wanted.kind)
    if wanted.event_id is not None:
        found.append(table.c.event_id == wanted.event_id)
    if wanted.min_margin is not None:
        found.append(table.c.best_margin >= round(wanted.min_margin * _HUNDREDTHS))
    if wanted.ended_from is not None:
        found.append(table.c.ended_at >= wanted.ended_from)
    if wanted.ended_to is not None:
        found.append(table.c.ended_at <= wanted.ended_to)
    return found


def _row(past: PastOpportunity) -> dict[str, object]:
    return {
        "event_id": past.event_id,
        "event_name": past.event_name,
        "kickoff": past.kickoff,
        "kind": past.kind,
        "keys": ",".join(map(str, past.keys)),
        "platforms": ",".join(past.platforms),
        "margin": round(past.margin * _HUNDREDTHS),
        "best_margin": round(past.best_margin * _HUNDREDTHS),
        "first_seen_at": past.first_seen_at,
        "ended_at": past.ended_at,
    }


def _past(row: Any) -> PastOpportunity:
    return PastOpportunity(
        event_id=row.event_id,
        event_name=row.event_name,
        kickoff=row.kickoff,
        kind=cast(Kind, row.kind),
        keys=tuple(map(int, row.keys.split(","))),
        platforms=tuple(map(Platform.of, row.platforms.split(","))),
        margin=row.margin / _HUNDREDTHS,
        best_margin=row.best_margin / _HUNDREDTHS,
        first_seen_at=row.first_seen_at,
        ended_at=row.ended_at,
    )
