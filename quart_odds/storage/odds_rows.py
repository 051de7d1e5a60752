"""Writes events, their odds and history to the database, in batches of whole events, one transaction each.

On the hot path, SQLAlchemy Core only builds the statements, once. Rows go to the driver as tuples, which `encode`
prepares off the event loop. As dictionaries for Core's own parameters, they take ten times as much time on the loop.
"""

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

from sqlalchemy import Dialect, Table, delete, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quart_odds.domain.clock import to_micros
from quart_odds.domain.odds import EventHeader
from quart_odds.odds.chances import NO_CHANCES
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import EventOdds
from quart_odds.storage.offer_times import NO_TIMES, OfferTimes, pack_times
from quart_odds.storage.openings import Opening, OpeningRow, date_opening_back, grown, opening_row
from quart_odds.storage.packing import PackedPrices, pack
from quart_odds.storage.tables import (
    competitions,
    events,
    odds_history,
    quote_openings,
    quote_prices,
    quotes,
)

HistoryRow = tuple[int, int, int]
Row = tuple[object, ...]
_ROWS_AT_ONCE = 2000


def quote_at(odds_id: int, moment: int) -> int:
    """Return the first column of the history: the id of the event odds in the upper bits, the epoch second below."""
    return odds_id << 32 | moment


def signed_key(key: int) -> int:
    """Return a price's key as a signed 32-bit integer, which is the column type in both databases."""
    return key - (1 << 32) if key >> 31 else key


def unsigned_key(kept: int) -> int:
    """Return the price's key for a stored key: the inverse of `signed_key`."""
    return kept & 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class EventRow:
    """What is stored of one event at one bookmaker. If `prices` is None, the stored prices are left unchanged.

    `chances` are the probabilities of these prices (`odds.chances`), which are stored with them. `opening` replaces the
    stored opening, or is added to it if `is_opening_added`.
    """

    event_id: int
    event_key: str
    sportradar_id: str | None
    event_header: EventHeader
    created_at: datetime
    changed_at: datetime
    odds_id: int
    header: EventHeader
    competition_id: int
    first_seen_at: datetime
    seen_at: datetime
    gone_at: datetime | None
    missed_at: datetime | None = None
    promotions: tuple[str, ...] = ()
    listed_at: datetime | None = None
    times: OfferTimes = NO_TIMES
    prices: PackedPrices | None = None
    chances: bytes = NO_CHANCES
    opening: Opening | None = None
    is_opening_added: bool = False
    history: Sequence[HistoryRow] = ()


@dataclass(frozen=True, slots=True)
class SeenRow:
    """What is stored of event odds that were seen again unchanged."""

    odds_id: int
    seen_at: datetime
    listed_at: datetime | None
    times: OfferTimes


@dataclass(slots=True)
class Batch:
    """The content of one transaction: odds that changed, and three kinds of smaller updates.

    `seen` are event odds that were seen again unchanged. `emptied` are ids of events that
    may have no odds left: those without any are deleted. `redated` are ids of event odds whose history was dated by a
    clock that was ahead, each with an epoch second: later history is dated at that second.
    """

    rows: list[EventRow] = field(default_factory=list)
    seen: list[SeenRow] = field(default_factory=list)
    emptied: list[int] = field(default_factory=list)
    redated: list[tuple[int, int]] = field(default_factory=list)


@dataclass(slots=True)
class EncodedBatch:
    """A batch as rows with the columns of their tables in order. `seen` has the parameters of `_SEEN`.

    `added_openings` are added to the stored openings, by the ids of their event odds.
    """

    competitions: list[Row]
    events: list[Row]
    quotes: list[Row]
    prices: list[Row]
    openings: list[OpeningRow]
    added_openings: dict[int, Opening]
    history: list[HistoryRow]
    seen: list[Row]
    emptied: list[int]
    redated: list[tuple[int, int]]


def event_row(
    event: CachedEvent,
    event_odds: EventOdds,
    *,
    with_prices: bool,
    opening: Opening | None = None,
    is_opening_added: bool = False,
    history: Sequence[HistoryRow] = (),
) -> EventRow:
    """Return what to store of an event's odds as they are now. Fast: it copies only what may change."""
    return EventRow(
        event.id,
        event.key,
        event.sportradar_id,
        event.header,
        event.created_at,
        event.changed_at,
        event_odds.id,
        event_odds.header,
        event_odds.competition_id,
        event_odds.first_seen_at,
        event_odds.seen_at,
        event_odds.gone_at,
        event_odds.missed_at,
        event_odds.promotions,
        event_odds.listed_at,
        _times_of(event_odds),
        PackedPrices(event_odds.keys, event_odds.values, event_odds.changed, dict(event_odds.last_seen))
        if with_prices
        else None,
        event_odds.packed_chances,
        opening,
        is_opening_added,
        history,
    )


def seen_row(event_odds: EventOdds) -> SeenRow:
    """Return what to store of event odds that were seen again unchanged. Fast: what it refers to never changes."""
    return SeenRow(event_odds.id, event_odds.seen_at, event_odds.listed_at, _times_of(event_odds))


def _times_of(event_odds: EventOdds) -> OfferTimes:
    return OfferTimes(event_odds.listed, event_odds.source_times, event_odds.is_detailed)


def encode(batch: Batch) -> EncodedBatch:
    """Return the rows of a batch, with blobs packed.

    Takes 70 µs per event and bookmaker, so call it off the event loop.
    """
    return EncodedBatch(
        competitions=_last_by_id(map(_competition, batch.rows)),
        events=_last_by_id(map(_event, batch.rows)),
        quotes=_last_by_id(map(_event_odds, batch.rows)),
        prices=[(row.odds_id, pack(row.prices), row.chances or None) for row in batch.rows if row.prices is not None],
        openings=[
            opening_row(row.odds_id, row.opening)
            for row in batch.rows
            if row.opening is not None and not row.is_opening_added
        ],
        added_openings={
            row.odds_id: row.opening for row in batch.rows if row.opening is not None and row.is_opening_added
        },
        history=sorted((at, signed_key(key), odds) for row in batch.rows for at, key, odds in row.history),
        seen=[
            (to_micros(row.seen_at), _micros(row.listed_at), pack_times(row.times), row.odds_id) for row in batch.seen
        ],
        emptied=batch.emptied,
        redated=batch.redated,
    )


def _competition(row: EventRow) -> Row:
    competition = row.header.competition
    platform = row.header.platform.value
    return (row.competition_id, platform, competition.external_id, competition.name, competition.country)


def _event(row: EventRow) -> Row:
    header = row.event_header
    return (
        row.event_id,
        row.event_key,
        row.sportradar_id,
        header.home_team,
        header.away_team,
        to_micros(header.kickoff),
        to_micros(row.created_at),
        to_micros(row.changed_at),
    )


def _event_odds(row: EventRow) -> Row:
    header = row.header
    return (
        row.odds_id,
        row.event_id,
        header.platform.value,
        header.external_id,
        header.sportradar_id,
        header.home_team,
        header.away_team,
        to_micros(header.kickoff),
        row.competition_id,
        to_micros(row.first_seen_at),
        to_micros(row.seen_at),
        _micros(row.gone_at),
        header.genius_id,
        _micros(row.missed_at),
        ",".join(row.promotions),
        _micros(row.listed_at),
        pack_times(row.times),
    )


def _micros(at: datetime | None) -> int | None:
    return None if at is None else to_micros(at)


def _last_by_id(rows: Iterable[Row]) -> list[Row]:
    return list({row[0]: row for row in rows}.values())


async def write_batch(connection: AsyncConnection, batch: EncodedBatch) -> None:
    """Write a batch in the transaction of `connection`. Idempotent.

    If the answer to a commit is lost, the batch is written again, and the rows may already be there.
    """
    dialect = connection.dialect
    grown_openings = await grown(connection, batch.added_openings) if batch.added_openings else []
    for table, rows in (
        (competitions, batch.competitions),
        (events, batch.events),
        (quotes, batch.quotes),
        (quote_prices, batch.prices),
        (quote_openings, [*batch.openings, *grown_openings]),
    ):
        if rows:
            await connection.exec_driver_sql(_upsert(table, dialect), rows)
    for odds_id, second in batch.redated:
        await _date_back(connection, odds_id, second, {(at, key) for at, key, _ in batch.history})
    for start in range(0, len(batch.history), _ROWS_AT_ONCE):
        rows_of_history = batch.history[start : start + _ROWS_AT_ONCE]
        await connection.exec_driver_sql(_upsert(odds_history, dialect), rows_of_history)
    if batch.seen:
        await connection.exec_driver_sql(_SEEN[dialect.name], batch.seen)
    if batch.emptied:
        await connection.execute(
            delete(events).where(events.c.id.in_(batch.emptied), ~exists().where(quotes.c.event_id == events.c.id))
        )


async def _date_back(connection: AsyncConnection, odds_id: int, second: int, new: set[tuple[int, int]]) -> None:
    """Date later history of event odds at `second`, except the rows `new` that this batch writes.

    Only the last of these changes of each price is kept.
    """
    later = (odds_history.c.quote_at > quote_at(odds_id, second)) & (odds_history.c.quote_at < quote_at(odds_id + 1, 0))
    rows = (await connection.execute(select(odds_history).where(later).order_by(odds_history.c.quote_at))).all()
    old = [row for row in rows if (row.quote_at, row.key) not in new]
    for row in old:
        await connection.execute(
            delete(odds_history).where(odds_history.c.quote_at == row.quote_at, odds_history.c.key == row.key)
        )
    if last := {row.key: row.odds for row in old}:
        dated = [(quote_at(odds_id, second), key, odds) for key, odds in last.items()]
        await connection.exec_driver_sql(_upsert(odds_history, connection.dialect), dated)
    await date_opening_back(connection, odds_id, second)


_SEEN = {
    "sqlite": "UPDATE quotes SET seen_at = ?, listed_at = ?, offer_times = ?, missed_at = NULL WHERE id = ?",
    "postgresql": (
        "UPDATE quotes SET seen_at = $1::BIGINT, listed_at = $2::BIGINT, offer_times = $3::BYTEA, missed_at = NULL"
        " WHERE id = $4::INTEGER"
    ),
}


@cache
def _upsert(table: Table, dialect: Dialect) -> str:
    """Return a statement that takes a table's columns in order, and inserts a row or replaces the one with its key."""
    key = [column.name for column in table.primary_key]
    others = [column.name for column in table.columns if column.name not in key]
    # Not at the top: the dialect of PostgreSQL takes a tenth of the time of a start.
    insert = importlib.import_module(f"sqlalchemy.dialects.{dialect.name}").insert
    statement = insert(table)
    replacing = {name: statement.excluded[name] for name in others}
    return str(statement.on_conflict_do_update(index_elements=key, set_=replacing).compile(dialect=dialect))
