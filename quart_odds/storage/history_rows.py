"""The price history, as read from the database."""

from collections.abc import Collection

from sqlalchemy import select

from quart_odds.odds.history import LISTING_KEY, Change, OddsHistory
from quart_odds.storage.database import Database
from quart_odds.storage.odds_rows import quote_at, signed_key, unsigned_key
from quart_odds.storage.openings import read_opening
from quart_odds.storage.tables import odds_history, quote_openings

_MOMENT = (1 << 32) - 1

CHANGES_AT_ONCE = 10_000
"""Changes that `changes_after` returns at most."""


class HistoryRows:
    """The part of the store that reads the history."""

    database: Database

    async def price_history(self, odds_id: int, keys: Collection[int]) -> OddsHistory:
        """Return the stored history of these prices of an event's odds, and of its listing. Raises StorageError."""
        stored = select(quote_openings.c.at, quote_openings.c.body).where(quote_openings.c.quote_id == odds_id)
        changes = (
            select(odds_history.c.quote_at, odds_history.c.key, odds_history.c.odds)
            .where(
                odds_history.c.quote_at >= quote_at(odds_id, 0),
                odds_history.c.quote_at < quote_at(odds_id + 1, 0),
                odds_history.c.key.in_([LISTING_KEY, *map(signed_key, keys)]),
            )
            .order_by(odds_history.c.quote_at, odds_history.c.key)
        )
        async with self.database.reading() as connection:
            first = (await connection.execute(stored)).one_or_none()
            rows = (await connection.execute(changes)).all()
        past = tuple((row.quote_at & _MOMENT, unsigned_key(row.key), row.odds) for row in rows)
        if first is None:
            return OddsHistory(None, {}, past)
        opening = read_opening(first.at, first.body)
        wanted = frozenset(keys)
        kept = [row for row in zip(opening.keys, opening.values, opening.changed, strict=True) if row[0] in wanted]
        later = {key: at for key, _, at in kept if at > first.at}
        return OddsHistory(first.at, {key: value for key, value, _ in kept}, past, later)

    async def first_prices(self, odds_id: int) -> list[Change]:
        """Return the first prices of an event's odds, ordered by time. Raises StorageError."""
        stored = select(quote_openings.c.at, quote_openings.c.body).where(quote_openings.c.quote_id == odds_id)
        async with self.database.reading() as connection:
            first = (await connection.execute(stored)).one_or_none()
        if first is None:
            return []
        opening = read_opening(first.at, first.body)
        return sorted(zip(opening.changed, opening.keys, opening.values, strict=True))

    async def changes_after(self, odds_id: int, last: Change | None) -> list[Change]:
        """Return the next page of the changes of an event's odds after `last`, ordered by time; empty at the end.

        Each page is read in a transaction of its own, so that nobody has to wait for those who read slowly. Raises
        StorageError.
        """
        after = quote_at(odds_id, 0 if last is None else last[0])
        columns = odds_history.c
        changes = (
            select(columns.quote_at, columns.key, columns.odds)
            .where(columns.quote_at >= after, columns.quote_at < quote_at(odds_id + 1, 0))
            .order_by(columns.quote_at, columns.key)
            .limit(CHANGES_AT_ONCE)
        )
        if last is not None:
            changes = changes.where((columns.quote_at > after) | (columns.key > signed_key(last[1])))
        async with self.database.reading() as connection:
            rows = (await connection.execute(changes)).all()
        return [(row.quote_at & _MOMENT, unsigned_key(row.key), row.odds) for row in rows]
