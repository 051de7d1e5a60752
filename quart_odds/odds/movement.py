"""How prices have moved before the kick-off: the first one, the last one, and the change over an hour and a day.

This is the one rule for it: `movements` applies it to the whole stored history, and `odds.recent_moves` to the last day
in memory.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from quart_odds.domain.odds import unpack_value
from quart_odds.odds.event_odds import GONE
from quart_odds.odds.history import GONE_ODDS, LISTING_KEY, Change

HOUR_SECONDS = 3600
DAY_SECONDS = 24 * HOUR_SECONDS


@dataclass(frozen=True, slots=True)
class Quote:
    """A price that could be bet on, and the epoch second since when it was there."""

    odds: float
    at: int


@dataclass(frozen=True, slots=True)
class Movement:
    """How one price has moved before the kick-off.

    `opening` is its first quote; None if retention has removed it. `closing` is its last quote before the kick-off;
    None until then. `hour_percent` and `day_percent` say by how much the price is above that of an hour and a day
    before: the price now, or the one at the kick-off if that has passed. They are None if there was none at one of the
    two moments. For a price that was suspended then, its last odds before that count.
    """

    opening: Quote | None = None
    closing: Quote | None = None
    hour_percent: float | None = None
    day_percent: float | None = None
    opening_percent: float | None = None


@dataclass(frozen=True, slots=True)
class CurrentPrices:
    """The prices of an event's odds in memory, by key: (packed value with its GONE bit, epoch second of its change).

    They may be newer than the stored history, and they include prices whose history retention has removed.
    """

    values: Mapping[int, tuple[int, int]]
    is_listed: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """The odds that a movement compares, by key: `last` with those of an hour and a day before, and the opening ones.

    `last` has the prices that can be bet on now, or that were there at the kick-off. `quotes` has the last quote of
    each price, also of those that are gone.
    """

    last: Mapping[int, float]
    hour: Mapping[int, float]
    day: Mapping[int, float]
    opening: Mapping[int, Quote]
    quotes: Mapping[int, Quote]


def movements(
    first_prices: Collection[Change], changes: Iterable[Change], current: CurrentPrices, kickoff: int, now: int
) -> dict[int, Movement]:
    """Return how each price has moved, by key. Times are epoch seconds.

    `first_prices` and `changes` are the stored history of these prices and of the listing, each ordered by time.
    """
    found = compare(first_prices, changes, current, kickoff, now)
    last, opening = found.last, found.opening
    return {
        key: Movement(
            opening.get(key),
            found.quotes.get(key) if now >= kickoff else None,
            percent(found.hour.get(key), last.get(key)),
            percent(found.day.get(key), last.get(key)),
            percent(opening[key].odds if key in opening else None, last.get(key)),
        )
        for key in current.values
    }


def compare(
    first_prices: Collection[Change], changes: Iterable[Change], current: CurrentPrices, kickoff: int, now: int
) -> Compared:
    """Return the odds that say how each price has moved. The arguments are those of `movements`."""
    has_started = now >= kickoff
    end = min(now, kickoff)
    opened = {key for _, key, _ in first_prices}
    prices = _Prices(marks=(end - DAY_SECONDS, end - HOUR_SECONDS))
    opening: dict[int, Quote] = {}
    for at, key, odds in _past(first_prices, changes, current):
        if at >= kickoff:
            break
        prices.apply(at, key, odds)
        if key in opened and key not in opening and key in prices.quotes:
            opening[key] = prices.quotes[key]
    if not has_started:
        prices.follow(current, now)
    day, hour = prices.past()
    return Compared(prices.standing() if has_started else prices.active(), hour, day, opening, prices.quotes)


def percent(before: float | None, after: float | None) -> float | None:
    """Return by how many percent odds are above earlier ones, None if there is one of them only."""
    return None if before is None or after is None else round((after / before - 1) * 100, 2)


def _past(first_prices: Collection[Change], changes: Iterable[Change], current: CurrentPrices) -> list[Change]:
    """Return the history in order, with the prices that have not changed since before it begins."""
    stored = [*first_prices, *changes]
    known = {key for _, key, _ in stored}
    older = [
        (since, key, value) for key, (value, since) in current.values.items() if key not in known and not value & GONE
    ]
    return sorted((*older, *stored), key=lambda change: change[0])


@dataclass
class _Prices:
    """The prices as they are after the changes so far, and as they were at the moments in `marks`."""

    marks: tuple[int, ...]
    quotes: dict[int, Quote] = field(default_factory=dict)
    """The last quote of each price, also of those that are gone."""
    _values: dict[int, int] = field(default_factory=dict)
    _is_listed: bool = True
    _past: list[dict[int, float]] = field(default_factory=list)
    _at: int = 0

    def apply(self, at: int, key: int, odds: int) -> None:
        """Apply a change. It counts from its moment on."""
        while len(self._past) < len(self.marks) and at > self.marks[len(self._past)]:
            self._past.append(self.standing())
        self._at = at
        if key == LISTING_KEY:
            self._is_listed = odds != GONE_ODDS
        elif odds == GONE_ODDS:
            self._values.pop(key, None)
        else:
            self._values[key] = odds
            price, is_active = unpack_value(odds)
            if is_active and (key not in self.quotes or self.quotes[key].odds != price):
                self.quotes[key] = Quote(price, at)

    def follow(self, current: CurrentPrices, now: int) -> None:
        """Apply what has changed since, and is not stored yet."""
        for key, (value, since) in current.values.items():
            odds = GONE_ODDS if value & GONE else value
            if self._values.get(key, GONE_ODDS) != odds:
                self.apply(max(since, self._at), key, odds)
        if current.is_listed != self._is_listed:
            self.apply(max(now, self._at), LISTING_KEY, 0 if current.is_listed else GONE_ODDS)

    def past(self) -> list[dict[int, float]]:
        """Return the odds of each price at the moments in `marks`, as `standing` does."""
        return [*self._past, *(self.standing() for _ in self.marks[len(self._past) :])]

    def standing(self) -> dict[int, float]:
        """Return the odds of each price that is there. A suspended one has its last odds before that."""
        if not self._is_listed:
            return {}
        return {key: self.quotes[key].odds for key in self._values if key in self.quotes}

    def active(self) -> dict[int, float]:
        """Return the odds of each price that can be bet on."""
        return {key: odds for key, odds in self.standing().items() if unpack_value(self._values[key])[1]}
