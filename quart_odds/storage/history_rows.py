"""The price history, as read from the database."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import BigInteger, cast, func, or_, select

from quart_odds.domain.catalogue import MAX_MARKET_NUMBER, market_number_of
from quart_odds.odds.history import KICKOFF_KEY, LISTING_KEY, Change, OddsHistory
from quart_odds.storage.database import Database
from quart_odds.storage.odds_rows import quote_at, signed_key, unsigned_key
from quart_odds.storage.openings import read_opening
from quart_odds.storage.tables import odds_history, quote_openings, quotes

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
                odds_history.c.key.in_([LISTING_KEY, KICKOFF_KEY, *map(signed_key, keys)]),
            )
            .order_by(odds_history.c.quote_at, odds_history.c.key)
        )
        async with self.database.reading() as connection:
            first = (await connection.execute(stored)).one_or_none()
            rows = (await connection.execute(changes)).all()
        every = [(row.quote_at & _MOMENT, unsigned_key(row.key), row.odds) for row in rows]
        past = tuple(each for each in every if each[1] != KICKOFF_KEY)
        kickoffs = tuple(each for each in every if each[1] == KICKOFF_KEY)
        if first is None:
            return OddsHistory(None, {}, past, former_kickoffs=kickoffs)
        opening = read_opening(first.at, first.body)
        wanted = frozenset(keys)
        kept = [row for row in zip(opening.keys, opening.values, opening.changed, strict=True) if row[0] in wanted]
        later = {key: at for key, _, at in kept if at > first.at}
        return OddsHistory(first.at, {key: value for key, value, _ in kept}, past, later, kickoffs)

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

        Moves of the kick-off are not among them.

        Each page is read in a transaction of its own, so that nobody has to wait for those who read slowly. Raises
        StorageError.
        """
        after = quote_at(odds_id, 0 if last is None else last[0])
        columns = odds_history.c
        changes = (
            select(columns.quote_at, columns.key, columns.odds)
            .where(columns.quote_at >= after, columns.quote_at < quote_at(odds_id + 1, 0), columns.key != KICKOFF_KEY)
            .order_by(columns.quote_at, columns.key)
            .limit(CHANGES_AT_ONCE)
        )
        if last is not None:
            changes = changes.where((columns.quote_at > after) | (columns.key > signed_key(last[1])))
        async with self.database.reading() as connection:
            rows = (await connection.execute(changes)).all()
        return [(row.quote_at & _MOMENT, unsigned_key(row.key), row.odds) for row in rows]

    async def recent_prices(
        self, odds_ids: Collection[int], markets: Collection[int], since: int
    ) -> dict[int, tuple[list[Change], list[Change]]]:
        """Return first prices and changes of these markets by the id of their event odds, each ordered by time.

        All changes after `since`, and of earlier ones, for each price, the last one and the first and the last one that
        could be bet on. Raises StorageError.
        """
        columns = odds_history.c
        # By its own range of the primary key for each: the ids of upcoming events are scattered.
        begin = cast(quotes.c.id, BigInteger) * quote_at(1, 0)
        number = columns.key.bitwise_rshift(22).bitwise_and(MAX_MARKET_NUMBER)
        wanted = (
            quotes.c.id.in_(odds_ids),
            or_(columns.key == LISTING_KEY, number.in_(markets)),
        )
        newer = (columns.quote_at > begin + since, columns.quote_at < begin + quote_at(1, 0))
        older = (columns.quote_at >= begin, columns.quote_at <= begin + since)
        is_quote = (columns.odds > 0, columns.odds.bitwise_and(1) == 1)
        changes = select(columns.quote_at, columns.key, columns.odds)
        queries = [changes.select_from(quotes).join(odds_history, onclause=newer[0]).where(*wanted, newer[1])]
        for moment, conditions in (
            (func.max(columns.quote_at), ()),
            (func.min(columns.quote_at), is_quote),
            (func.max(columns.quote_at), is_quote),
        ):
            which = (
                select(moment.label("at"), columns.key.label("of"))
                .select_from(quotes)
                .join(odds_history, onclause=older[0])
                .where(*wanted, older[1], *conditions)
                .group_by(quotes.c.id, columns.key)
                .subquery()
            )
            queries.append(changes.join(which, (columns.quote_at == which.c.at) & (columns.key == which.c.of)))
        first = select(quote_openings).where(quote_openings.c.quote_id.in_(odds_ids))
        async with self.database.reading() as connection:
            openings = (await connection.execute(first)).all()
            rows = [row for query in queries for row in (await connection.execute(query)).all()]
        return await asyncio.to_thread(_by_odds, openings, rows, frozenset(markets))


def _by_odds(
    openings: Sequence[Any], rows: Sequence[Any], markets: Collection[int]
) -> dict[int, tuple[list[Change], list[Change]]]:
    found: dict[int, tuple[list[Change], list[Change]]] = {}
    for row in openings:
        opening = read_opening(row.at, row.body)
        prices = sorted(zip(opening.changed, opening.keys, opening.values, strict=True))
        found[row.quote_id] = [each for each in prices if market_number_of(each[1]) in markets], []
    for at, key, odds in sorted({(row.quote_at, row.key, row.odds) for row in rows}):
        of = found.setdefault(at >> 32, ([], []))
        of[1].append((at & _MOMENT, unsigned_key(key), odds))
    return found
