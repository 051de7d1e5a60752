"""The size of the database: measured, sampled about once a day, and the alerts about it."""

import json
from collections import defaultdict
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from quart_odds.odds.stored_data import StorageAlert, StorageSample, TableSize
from quart_odds.storage.database import Database
from quart_odds.storage.tables import MAX_ID, quotes
from quart_odds.storage.upkeep_tables import clean_ups, metadata, storage_alerts, storage_samples

MOST_READ_BYTES = 2_000_000_000
"""Of a larger SQLite file only the total is known: measuring its tables reads every page."""


class SizeRows:
    """The part of the store that knows sizes. Every method raises StorageError.

    Methods that change something raise NotWriterError outside the term, with nothing changed.
    """

    database: Database

    async def size_bytes(self) -> int:
        """Return how much space the database takes. Reads no table."""
        async with self.database.reading() as connection:
            return await _total(connection, is_sqlite=self.database.is_sqlite)

    async def measure(self, at: datetime) -> StorageSample:
        """Measure the database now, without storing the result. The largest table is first."""
        async with self.database.reading() as connection:
            total, tables = await (_sqlite if self.database.is_sqlite else _postgres)(connection)
        return StorageSample(at, total, tuple(sorted(tables, key=lambda each: (-(each.bytes or 0), each.name))))

    async def add_sample(self, sample: StorageSample, term: int | None, *, forget_before: datetime) -> StorageSample:
        """Store a sample and return it. What is older than `forget_before` is removed, as are alerts and clean-ups."""
        values = {
            "sampled_at": sample.sampled_at,
            "total_bytes": sample.total_bytes,
            "tables": json.dumps([asdict(each) for each in sample.tables]),
        }
        async with self.database.writing_as(term, is_new=False) as connection:
            for table, ended in (
                (storage_samples, storage_samples.c.sampled_at),
                (storage_alerts, storage_alerts.c.resolved_at),
                (clean_ups, clean_ups.c.completed_at),
            ):
                await connection.execute(delete(table).where(ended < forget_before))
            added = await connection.execute(insert(storage_samples).values(values).returning(storage_samples.c.id))
            return replace(sample, id=int(added.scalar_one()))

    async def samples(self, *, limit: int) -> tuple[list[StorageSample], int]:
        """Return the newest samples, the newest first, and how many there are."""
        newest = select(storage_samples).order_by(storage_samples.c.sampled_at.desc(), storage_samples.c.id.desc())
        async with self.database.reading() as connection:
            total = await connection.scalar(select(func.count()).select_from(storage_samples)) or 0
            rows = (await connection.execute(newest.limit(limit))).all()
        return [_sample(row) for row in rows], total

    async def newest_odds_at(self) -> datetime | None:
        """Return when odds of any event were last seen; None if there are none."""
        async with self.database.reading() as connection:
            seen = (await connection.execute(select(func.max(quotes.c.seen_at), func.max(quotes.c.listed_at)))).one()
        return max(filter(None, seen), default=None)

    async def storage_alerts(self, *, limit: int, is_open: bool = False) -> list[StorageAlert]:
        """Return alerts about the database, the newest first; with `is_open` only those that are not resolved."""
        wanted = select(storage_alerts).order_by(storage_alerts.c.id.desc()).limit(limit)
        if is_open:
            wanted = wanted.where(storage_alerts.c.resolved_at.is_(None))
        async with self.database.reading() as connection:
            return [_alert(row) for row in await connection.execute(wanted)]

    async def add_storage_alert(self, alert: StorageAlert, term: int | None) -> None:
        """Store an alert."""
        values = asdict(alert)
        del values["id"]
        async with self.database.writing_as(term, is_new=False) as connection:
            await connection.execute(insert(storage_alerts).values(values))

    async def resolve_storage_alert(self, alert_id: int, at: datetime) -> StorageAlert | None:
        """Resolve an alert and return it; one that is resolved stays as it is. None if there is no such alert."""
        if not 0 < alert_id <= MAX_ID:
            return None
        of_alert = storage_alerts.c.id == alert_id
        async with self.database.writing_as_writer(is_new=False) as connection:
            still_open = storage_alerts.c.resolved_at.is_(None)
            await connection.execute(update(storage_alerts).where(of_alert, still_open).values(resolved_at=at))
            row = (await connection.execute(select(storage_alerts).where(of_alert))).first()
        return None if row is None else _alert(row)


async def _total(connection: AsyncConnection, *, is_sqlite: bool) -> int:
    if not is_sqlite:
        return int(await connection.scalar(text("SELECT pg_database_size(current_database())")) or 0)
    pages = await connection.scalar(text("PRAGMA page_count")) or 0
    return int(pages * (await connection.scalar(text("PRAGMA page_size")) or 0))


async def _sqlite(connection: AsyncConnection) -> tuple[int, list[TableSize]]:
    total = await _total(connection, is_sqlite=True)
    if total > MOST_READ_BYTES:
        return total, [TableSize(name, None, None) for name in metadata.tables]
    counts = {
        name: await connection.scalar(select(func.count()).select_from(table)) or 0
        for name, table in metadata.tables.items()
    }
    of_tables = "SELECT s.tbl_name, SUM(d.pgsize) FROM dbstat d JOIN sqlite_master s ON s.name = d.name "
    try:
        rows = (await connection.execute(text(f"{of_tables}WHERE d.aggregate = 1 GROUP BY s.tbl_name"))).all()
    except OperationalError:
        # This SQLite was built without it.
        return total, [TableSize(name, None, counts[name]) for name in counts]
    sizes: dict[str, int] = defaultdict(int, [(name, int(size)) for name, size in rows])
    return total, [TableSize(name, sizes[name], count) for name, count in counts.items()]


async def _postgres(connection: AsyncConnection) -> tuple[int, list[TableSize]]:
    total = await _total(connection, is_sqlite=False)
    rows = await connection.execute(
        text(
            "SELECT relname, pg_total_relation_size(relid), n_live_tup FROM pg_stat_user_tables "
            "WHERE schemaname = current_schema()"
        )
    )
    return total, [TableSize(name, size, count) for name, size, count in rows if name in metadata.tables]


def _sample(row: "Row[tuple[Any, ...]]") -> StorageSample:
    tables = tuple(TableSize(**each) for each in json.loads(row.tables))
    return StorageSample(row.sampled_at, row.total_bytes, tables, row.id)


def _alert(row: "Row[tuple[Any, ...]]") -> StorageAlert:
    return StorageAlert(
        row.kind,
        row.message,
        row.created_at,
        row.current_bytes,
        row.previous_bytes,
        row.growth_percent,
        row.resolved_at,
        row.id,
    )
