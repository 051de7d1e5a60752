"""The prices of one market and line side by side, and why not to believe some of them: what a search compares."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from quart_odds.domain.catalogue import CATALOGUE, FIRST_PROMOTED_KEY, Market, market_number_of, promotion_of
from quart_odds.domain.opportunities import OUTLIER_FACTOR, Reason, is_outlier
from quart_odds.domain.promotions import is_comparable
from quart_odds.odds.columns import Columns
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import EventOdds
from quart_odds.odds.margin import gain_of, is_active_price
from quart_odds.odds.offers import effective_key
from quart_odds.odds.opportunity import Leg


@dataclass(slots=True)
class Book:
    """The odds of a bookmaker that lists the event, and why not to compare them with others; None if they may be."""

    event_odds: EventOdds
    reason: Reason | None
    columns: Columns
    has_promotions: bool

    @property
    def plain(self) -> tuple[Sequence[int], Sequence[int]]:
        """The keys and values of the plain prices, gone ones included."""
        keys, values = self.columns.keys, self.columns.values
        if not self.has_promotions:
            return keys, values
        count = bisect_left(keys, FIRST_PROMOTED_KEY)
        return keys[:count], values[:count]

    def place_of(self, plain: int) -> int | None:
        """Return the place of an outcome's price: the plain one, or one with a perk. None if there is none."""
        key = effective_key(self.event_odds, plain) if self.has_promotions else plain
        keys = self.columns.keys
        place = bisect_left(keys, key)
        return place if place < len(keys) and keys[place] == key else None

    def values_of(self, plain: Sequence[int]) -> list[int]:
        """Return the packed active price of each of these outcomes that may be compared, 0 where there is none."""
        keys, values = self.columns.keys, self.columns.values
        if self.has_promotions:
            found = [
                0 if place is None or not is_comparable(promotion_of(keys[place])) else values[place]
                for place in map(self.place_of, plain)
            ]
        else:
            # A search calls this some hundred times for each event, so function calls are avoided here.
            count = len(keys)
            found = [
                values[place] if (place := bisect_left(keys, key)) < count and keys[place] == key else 0
                for key in plain
            ]
        return [value and value * is_active_price(value) for value in found]


@dataclass(slots=True)
class Row:
    """The active prices of a market and line at a bookmaker, 0 where there is none, and why not to believe them.

    `outliers` are the outcomes whose price alone is not to be believed.
    """

    book: Book
    values: list[int]
    reasons: tuple[Reason, ...]
    outliers: frozenset[int] = frozenset()

    @property
    def is_full(self) -> bool:
        """Whether every outcome has an active price."""
        return all(self.values)

    def reasons_at(self, index: int) -> tuple[Reason, ...]:
        """Return why not to believe the price of an outcome."""
        return (*self.reasons, "outlier") if index in self.outliers else self.reasons


@dataclass(frozen=True, slots=True)
class Pick:
    """The price of an outcome at a bookmaker. `equal` are all rows that have the same, with the same reasons."""

    row: Row
    index: int
    key: int
    equal: tuple[Row, ...] = ()

    @property
    def value(self) -> int:
        """The packed price."""
        return self.row.values[self.index]

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why not to believe it."""
        return self.row.reasons_at(self.index)

    def leg(self, market: Market) -> Leg:
        """Return the price as a part of an opportunity."""
        rows = self.equal or (self.row,)
        return Leg(market, self.key, self.value, tuple([row.book.event_odds for row in rows]))


@dataclass(frozen=True, slots=True)
class Table:
    """A market and line: the keys of the outcomes, and a row for each bookmaker that has an active price."""

    market: Market
    keys: Sequence[int]
    rows: Sequence[Row]

    @property
    def compared(self) -> list[Row]:
        """The rows of the bookmakers that have the same sides and the same time: before the kick-off, or after it."""
        return [row for row in self.rows if row.book.reason is None]

    def tops(self, rows: Sequence[Row]) -> list[int]:
        """Return the highest price of each outcome in these rows, 0 where there is none."""
        return list(map(max, zip(*[row.values for row in rows], strict=True)))

    def picks(self, index: int, rows: Iterable[Row], *, is_clean: bool) -> list[Pick]:
        """Return the prices of an outcome in these rows. `is_clean` leaves out those that one should not believe."""
        return [
            Pick(row, index, self.keys[index])
            for row in rows
            if row.values[index] and not (is_clean and row.reasons_at(index))
        ]

    def best(self, index: int, rows: Iterable[Row], *, is_clean: bool) -> Pick | None:
        """Return the best price of an outcome in these rows, that with the fewest reasons against it; None if none."""
        picks = self.picks(index, rows, is_clean=is_clean)
        if len(picks) < 2:
            return picks[0] if picks else None
        best = min(picks, key=lambda pick: (-pick.value, len(pick.reasons)))
        equal = [pick.row for pick in picks if pick.value == best.value and pick.reasons == best.reasons]
        return replace(best, equal=tuple(equal))


def books_of(event: CachedEvent) -> list[Book]:
    """Return the odds of the bookmakers that list the event, and which of them cannot be compared."""
    listed = [each for each in event.odds.values() if each.gone_at is None]
    straight = [each for each in listed if not event.is_reversed(each.header.platform)]
    is_mixed = len({each.is_late for each in straight}) > 1
    found = []
    for each in listed:
        reason: Reason | None = None
        if each not in straight:
            reason = "reversed_sides"
        elif is_mixed and each.is_late:
            reason = "in_play"
        found.append(Book(each, reason, each.columns, each.has_promotions))
    return found


def table_of(books: Iterable[Book], offer: int, oldest: datetime) -> Table | None:
    """Return a market and line, by its code (`catalogue.offer_code`); None if no bookmaker has a price to compare.

    Prices last seen before `oldest` are not to be believed.
    """
    market = comparable_market(market_number_of(offer))
    if market is None:
        return None
    keys = keys_of(market, offer)
    rows = [row for book in books if (row := row_of(book, market, keys, oldest)) is not None]
    if not rows:
        return None
    table = Table(market, keys, rows)
    _mark_outliers(table.compared)
    return table


def row_of(book: Book, market: Market, keys: Sequence[int], oldest: datetime) -> Row | None:
    """Return a bookmaker's prices of a market and line, by the plain keys of all outcomes; None if it has none."""
    values = book.values_of(keys)
    return Row(book, values, _reasons(market, book, keys, values, oldest)) if any(values) else None


def keys_of(market: Market, offer: int) -> list[int]:
    """Return the plain keys of all outcomes of a market and line, by its code."""
    return [offer | place for place in _places(market.number)]


@lru_cache(maxsize=512)
def comparable_market(number: int) -> Market | None:
    """Return the market with this number if its outcomes mean the same everywhere and are at least two."""
    market = CATALOGUE.by_number.get(number)
    return market if market is not None and market.is_comparable and len(market.outcomes) > 1 else None


@lru_cache(maxsize=512)
def _places(number: int) -> tuple[int, ...]:
    """Return what each outcome of a market adds to the code of a market and line, which makes it a plain key."""
    return tuple(outcome.index << 16 for outcome in CATALOGUE.by_number[number].outcomes)


def _reasons(
    market: Market, book: Book, keys: Sequence[int], values: Sequence[int], oldest: datetime
) -> tuple[Reason, ...]:
    found: list[Reason] = []
    if book.event_odds.seen_at_of(keys[0]) < oldest:
        found.append("stale")
    if book.reason is not None:
        found.append(book.reason)
    if all(values) and gain_of(market, values) > 0:
        found.append("one_bookmaker")
    return tuple(found)


def _mark_outliers(rows: Sequence[Row]) -> None:
    for index, column in enumerate(zip(*[row.values for row in rows], strict=True)):
        # Nothing is that far above the median of the others unless it is above the least of all.
        if max(column) > OUTLIER_FACTOR * min(filter(None, column), default=0):
            for place, row in enumerate(rows):
                others = [value for value in (*column[:place], *column[place + 1 :]) if value]
                if is_outlier(column[place], others):
                    row.outliers |= {index}
