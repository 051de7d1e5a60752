"""The kind `history`: the states of each price over time, one row for each moment at which it changed."""

import contextlib
from collections.abc import AsyncGenerator, Iterable
from itertools import groupby

from quart_odds.domain.catalogue import market_number_of, unpack_key
from quart_odds.export.columns import (
    EVENT_COLUMNS,
    PRICE_COLUMNS,
    Column,
    Row,
    Rows,
    Wanted,
    event_values,
    market_values,
    moment,
    state_values,
)
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import GONE, EventOdds
from quart_odds.odds.history import GONE_ODDS, LISTING_KEY, Change, is_beginning
from quart_odds.odds.offers import promotion_word
from quart_odds.odds.ports import StoredHistory

HISTORY_COLUMNS = (*EVENT_COLUMNS, *PRICE_COLUMNS, Column("changed_at", "time"), Column("opening", "bool"))
"""`opening`: the price was first seen then, which is no change."""

ROWS_AT_ONCE = 2000


async def history_rows(event: CachedEvent, wanted: Wanted, stored: StoredHistory) -> AsyncGenerator[Rows, None]:
    """Yield the states of an event's prices, a bookmaker at a time, ordered by time. Raises StorageError."""
    for event_odds in wanted.odds_of(event):
        past = _Past(event, event_odds, wanted)
        rows: list[Row] = []
        async with contextlib.aclosing(_moments(stored, event_odds.id)) as moments:
            async for at, changes in moments:
                rows += past.take(at, changes)
                if len(rows) >= ROWS_AT_ONCE:
                    yield rows
                    rows = []
        yield [*rows, *past.rest()]


class _Past:
    """The prices of an event at one bookmaker, as its history says while it is read."""

    def __init__(self, event: CachedEvent, event_odds: EventOdds, wanted: Wanted) -> None:
        self._event_odds = event_odds
        self._named = event_values(event, event_odds)
        self._wanted = wanted
        self._values: dict[int, int] = {}
        self._is_listed = True
        self._is_whole: bool | None = None

    def take(self, at: int, changes: Iterable[Change]) -> list[Row]:
        """Apply the changes of a moment. Returns the prices whose state is another one from then on."""
        changed: set[int] = set()
        if self._is_whole is None:
            self._is_whole = is_beginning(self._event_odds, at)
        opened: set[int] = set()
        for _, key, odds in changes:
            if key == LISTING_KEY:
                self._is_listed = odds != GONE_ODDS
                changed.update(each for each, value in self._values.items() if not value & GONE)
            elif self._is_wanted(key):
                if self._is_whole and key not in self._values:
                    opened.add(key)
                self._values[key] = self._values.get(key, 0) | GONE if odds == GONE_ODDS else odds
                changed.add(key)
        return [
            row
            for key in sorted(changed)
            for row in self._row(
                at, key, self._values[key], is_listed=self._is_listed, is_opening=self._is_listed and key in opened
            )
        ]

    def rest(self) -> list[Row]:
        """Return the prices that have not changed for so long that the history does not have them any more."""
        is_listed = self._event_odds.gone_at is None
        return [
            row
            for key, value, changed in self._event_odds
            if key not in self._values and self._is_wanted(key)
            for row in self._row(
                changed, key, value, is_listed=is_listed, is_opening=is_beginning(self._event_odds, changed)
            )
        ]

    def _is_wanted(self, key: int) -> bool:
        if self._wanted.lines is not None and not self._wanted.has_line(unpack_key(key)[2]):
            return False
        return self._wanted.has_market(market_number_of(key))

    def _row(self, at: int, key: int, value: int, *, is_listed: bool, is_opening: bool) -> list[Row]:
        """Return the row of a price, and none if its market is not in the catalogue."""
        market = market_values(key)
        if market is None:
            return []
        word = promotion_word(self._event_odds, key)
        return [(*self._named, *market, word, *state_values(value, is_listed=is_listed), moment(at), is_opening)]


async def _moments(stored: StoredHistory, odds_id: int) -> AsyncGenerator[tuple[int, list[Change]], None]:
    """Yield the changes of event odds, first prices included, moment by moment in order.

    They are read page by page, and no transaction is open in between.
    """
    waiting = list(await stored.first_prices(odds_id))
    last: Change | None = None
    while page := await stored.changes_after(odds_id, last):
        last = page[-1]
        ready = sorted((*waiting, *page), key=_second)
        # The next page may have more of the last moment, and the first prices may be later than the page.
        waiting = [each for each in ready if each[0] >= last[0]]
        for at, changes in groupby(ready[: len(ready) - len(waiting)], key=_second):
            yield at, list(changes)
    for at, changes in groupby(waiting, key=_second):
        yield at, list(changes)


def _second(change: Change) -> int:
    return change[0]
