"""The opening of event odds: the first prices, each with the epoch second at which it was first seen.

The opening of an event that a list had before its own body grows once. The list's prices come first, and the first body
adds those that only it has, at its own time.
"""

import asyncio
from array import array
from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quart_odds.domain.odds import Prices
from quart_odds.storage.packing import PackedPrices, pack, unpack
from quart_odds.storage.tables import quote_openings

Opening = PackedPrices
"""First prices: `changed` has the time of each. None of them is gone."""

OpeningRow = tuple[int, int, bytes]
"""A row of `quote_openings`. `at` is the time of the oldest price."""


def opening_of(prices: Prices, at: int) -> Opening:
    """Return the opening of prices that were all first seen at `at`."""
    return Opening(prices.keys, prices.values, array("I", [at]) * len(prices), {})


def joined(first: Opening | None, second: Opening | None) -> Opening | None:
    """Return the prices of both openings. A price that both have is that of the first."""
    if first is None or second is None:
        return first or second
    return _of_rows((*_rows(second), *_rows(first)))


def dated_back(opening: Opening, second: int) -> Opening:
    """Return the opening with later times changed to `second`."""
    return Opening(opening.keys, opening.values, array("I", [min(at, second) for at in opening.changed]), {})


def since(opening: Opening, second: int) -> Opening:
    """Return the prices that were first seen at `second` or later."""
    return _of_rows(row for row in _rows(opening) if row[2] >= second)


def opening_row(odds_id: int, opening: Opening) -> OpeningRow:
    """Return the row that stores an opening."""
    return (odds_id, min(opening.changed, default=0), pack(opening))


def read_opening(at: int, body: bytes) -> Opening:
    """Return the opening of a stored row. Raises StorageError for a damaged blob.

    If all prices have the same time, `at` is that time: earlier versions changed that column alone.
    """
    opening = unpack(body)
    if len(set(opening.changed)) > 1:
        return opening
    return Opening(opening.keys, opening.values, array("I", [at]) * len(opening.keys), {})


async def stored_openings(connection: AsyncConnection, odds_ids: Collection[int]) -> dict[int, Opening]:
    """Return the stored openings of these event odds, to be changed in this transaction."""
    # SQLite has one writer anyway. PostgreSQL locks the rows: a clean-up may be under way in another transaction.
    wanted = select(quote_openings).where(quote_openings.c.quote_id.in_(odds_ids)).with_for_update()
    rows = (await connection.execute(wanted)).all()
    return await asyncio.to_thread(lambda: {row.quote_id: read_opening(row.at, row.body) for row in rows})


async def grown(connection: AsyncConnection, additions: Mapping[int, Opening]) -> list[OpeningRow]:
    """Return the rows of stored openings with these prices added. What is stored already stays as it is."""
    stored = await stored_openings(connection, additions)

    def rows() -> list[OpeningRow]:
        return [
            opening_row(odds_id, joined(stored.get(odds_id), added) or added) for odds_id, added in additions.items()
        ]

    return await asyncio.to_thread(rows)


async def date_opening_back(connection: AsyncConnection, odds_id: int, second: int) -> None:
    """Change later times in a stored opening to `second`."""
    opening = (await stored_openings(connection, [odds_id])).get(odds_id)
    if opening is not None and max(opening.changed, default=0) > second:
        await _replace(connection, odds_id, dated_back(opening, second))


async def shorten_openings(connection: AsyncConnection, odds_ids: Collection[int], second: int) -> None:
    """Remove the prices that were first seen before `second` from stored openings, and openings that have no others."""
    stored = await stored_openings(connection, odds_ids)
    left = {odds_id: since(opening, second) for odds_id, opening in stored.items()}
    over = [odds_id for odds_id, opening in left.items() if not opening.keys]
    await connection.execute(delete(quote_openings).where(quote_openings.c.quote_id.in_(over)))
    for odds_id, opening in left.items():
        if opening.keys:
            await _replace(connection, odds_id, opening)


async def _replace(connection: AsyncConnection, odds_id: int, opening: Opening) -> None:
    _, at, body = opening_row(odds_id, opening)
    await connection.execute(
        update(quote_openings).where(quote_openings.c.quote_id == odds_id).values(at=at, body=body)
    )


def _rows(opening: Opening) -> Iterable[tuple[int, int, int]]:
    return zip(opening.keys, opening.values, opening.changed, strict=True)


def _of_rows(rows: Iterable[tuple[int, int, int]]) -> Opening:
    """Return the opening of these (key, value, time). If a key occurs twice, the last row wins."""
    ordered = sorted({row[0]: row for row in rows}.values())
    keys, values, times = (array("I", [row[column] for row in ordered]) for column in range(3))
    return Opening(keys, values, times, {})
