"""Loads events and their odds: all recent events for the cache at start, or one event, however old, on request."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quart_odds.domain.odds import Competition, EventHeader
from quart_odds.domain.platforms import Platform
from quart_odds.errors import StorageError
from quart_odds.odds.chances import NO_CHANCES
from quart_odds.odds.columns import Columns
from quart_odds.odds.compression import decompress
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import EventOdds
from quart_odds.odds.ports import ArchivedOdds, StoredEvent
from quart_odds.storage.offer_times import unpack_times
from quart_odds.storage.packing import unpack
from quart_odds.storage.tables import competitions, events, quote_prices, quotes

UNPACKED_AT_ONCE = 200


_PackedOdds = tuple[EventOdds, bytes, bytes | None, bytes | None]
"""Event odds, and the blobs of their prices, of the times of markets and lines, and of probabilities."""


@dataclass(frozen=True, slots=True)
class _PackedEvent:
    """An event and its event odds, whose prices are still packed."""

    event: CachedEvent
    odds: tuple[_PackedOdds, ...]


async def load_events(connection: AsyncConnection, since: datetime) -> list[StoredEvent]:
    """Return the events that kick off, or were last seen, at `since` or later."""
    return await _load(connection, _odds().where((events.c.kickoff >= since) | events.c.id.in_(_seen_since(since))))


async def load_event(connection: AsyncConnection, event_id: int) -> StoredEvent | None:
    """Return one event, however old, or None if there is no event with this id."""
    found = await _load(connection, _odds().where(events.c.id == event_id))
    return found[0] if found else None


async def load_these(connection: AsyncConnection, event_ids: Collection[int]) -> list[StoredEvent]:
    """Return the events with these ids that there are, ordered by id."""
    return await _load(connection, _odds().where(events.c.id.in_(event_ids)))


async def ids_between(
    connection: AsyncConnection,
    kickoff_from: datetime | None,
    kickoff_to: datetime | None,
    event_ids: Collection[int] | None,
) -> list[int]:
    """Return the ids of the events that kick off in this range according to any bookmaker, in order of kick-off.

    With `event_ids`, only of those.
    """
    wanted = select(quotes.c.event_id)
    if kickoff_from is not None:
        wanted = wanted.where(quotes.c.kickoff >= kickoff_from)
    if kickoff_to is not None:
        wanted = wanted.where(quotes.c.kickoff <= kickoff_to)
    if event_ids is not None:
        wanted = wanted.where(quotes.c.event_id.in_(event_ids))
    ordered = select(events.c.id).where(events.c.id.in_(wanted)).order_by(events.c.kickoff, events.c.id)
    return list((await connection.scalars(ordered)).all())


async def archived_odds(connection: AsyncConnection, since: datetime) -> list[ArchivedOdds]:
    """Return the keys of the event odds that `load_events` leaves out."""
    rows = await connection.execute(
        select(events.c.id, events.c.key, quotes.c.platform, quotes.c.external_id, quotes.c.genius_id)
        .join(quotes, quotes.c.event_id == events.c.id)
        .where(events.c.kickoff < since, events.c.id.not_in(_seen_since(since)), _is_installed())
    )
    return [ArchivedOdds(row.id, row.key, Platform(row.platform), row.external_id, row.genius_id) for row in rows]


async def last_ids(connection: AsyncConnection) -> tuple[int, int]:
    """Return the highest ids of events and event odds, 0 if there are none."""
    event_id = await connection.scalar(select(func.max(events.c.id)))
    odds_id = await connection.scalar(select(func.max(quotes.c.id)))
    return event_id or 0, odds_id or 0


async def load_competitions(connection: AsyncConnection) -> list[tuple[int, Platform, str]]:
    """Return id, bookmaker and bookmaker's id of every competition."""
    rows = await connection.execute(select(competitions.c.id, competitions.c.platform, competitions.c.external_id))
    return [(row.id, Platform.of(row.platform), row.external_id) for row in rows]


def _unpacked(events: list[_PackedEvent]) -> list[StoredEvent]:
    """Unpack the prices of events; takes 20 µs per event and bookmaker. Raises StorageError for a damaged blob."""
    for packed in events:
        for event_odds, body, times_body, chances in packed.odds:
            times = unpack_times(times_body)
            event_odds.listed, event_odds.source_times = times.listed, times.source_times
            event_odds.is_detailed = times.is_detailed
            prices = unpack(body)
            event_odds.columns = Columns(prices.keys, prices.values, prices.changed)
            event_odds.packed_chances = _checked_chances(len(prices.keys), chances)
            event_odds.last_seen = prices.last_seen
            gone_moment = int(event_odds.gone_at.timestamp()) if event_odds.gone_at else 0
            event_odds.last_moment = max(max(prices.changed, default=0), gone_moment)
    return [StoredEvent(packed.event, tuple(event_odds for event_odds, *_ in packed.odds)) for packed in events]


def _checked_chances(count: int, blob: bytes | None) -> bytes:
    """Return a blob of the probabilities of so many prices. Raises StorageError if it is damaged."""
    try:
        if blob and len(decompress(blob)) >= 4 * count:
            return blob
    except ValueError as error:
        raise StorageError(f"a blob of probabilities is damaged: {error}") from error
    if blob:
        raise StorageError(f"a blob of probabilities has fewer than {count}")
    return NO_CHANCES


def _seen_since(since: datetime) -> "Select[int]":
    return select(quotes.c.event_id).where((quotes.c.seen_at >= since) | (quotes.c.listed_at >= since))


def _is_installed() -> "ColumnElement[bool]":
    """Select the odds of installed bookmakers. Those of others stay in the database until their time is over."""
    return quotes.c.platform.in_([platform.value for platform in Platform])


async def not_installed(connection: AsyncConnection) -> list[tuple[str, int]]:
    """Return the bookmakers that are not installed but have odds, with the number of their events."""
    rows = await connection.execute(
        select(quotes.c.platform, func.count()).where(~_is_installed()).group_by(quotes.c.platform)
    )
    return [(platform, count) for platform, count in rows]


def _odds() -> "Select[tuple[object, ...]]":
    statement = (
        select(
            events.c.id.label("event_id"),
            events.c.key,
            events.c.created_at,
            events.c.changed_at,
            *(column for column in quotes.c if column.name != "event_id"),
            competitions.c.external_id.label("competition_external_id"),
            competitions.c.name.label("competition_name"),
            competitions.c.country,
            quote_prices.c.body,
            quote_prices.c.chances,
        )
        .join_from(quotes, events, quotes.c.event_id == events.c.id)
        .join(competitions, quotes.c.competition_id == competitions.c.id)
        .join(quote_prices, quote_prices.c.quote_id == quotes.c.id)
        .where(_is_installed())
        .order_by(events.c.id, quotes.c.id)
    )
    return cast("Select[tuple[object, ...]]", statement)


async def _load(connection: AsyncConnection, statement: "Select[tuple[object, ...]]") -> list[StoredEvent]:
    found: dict[int, tuple[CachedEvent, list[_PackedOdds]]] = {}
    result = await connection.stream(statement)
    try:
        async for row in result:
            event = CachedEvent(row.event_id, row.key, created_at=row.created_at, changed_at=row.changed_at)
            _, kept = found.setdefault(row.event_id, (event, []))
            header = EventHeader(
                platform=Platform(row.platform),
                external_id=row.external_id,
                sportradar_id=row.sportradar_id,
                home_team=row.home_team,
                away_team=row.away_team,
                kickoff=row.kickoff,
                competition=Competition(row.competition_external_id, row.competition_name, row.country),
                genius_id=row.genius_id,
            )
            event_odds = EventOdds(
                id=row.id,
                header=header,
                competition_id=row.competition_id,
                first_seen_at=row.first_seen_at,
                seen_at=row.seen_at,
                event_id=row.event_id,
                gone_at=row.gone_at,
                missed_at=row.missed_at,
                promotions=tuple(row.promotions.split(",")) if row.promotions else (),
                listed_at=row.listed_at,
            )
            event_odds.noted_at = event_odds.fetched_at
            kept.append((event_odds, row.body, row.offer_times, row.chances))
    finally:
        await result.close()  # also if the caller is cancelled: the cursor would keep the transaction open
    packed = [_PackedEvent(event, tuple(kept)) for event, kept in found.values()]
    # In parts and off the event loop: there are about 1,300 events at start.
    parts = [packed[start : start + UNPACKED_AT_ONCE] for start in range(0, len(packed), UNPACKED_AT_ONCE)]
    return [event for part in parts for event in await asyncio.to_thread(_unpacked, part)]
