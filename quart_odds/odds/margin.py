"""Comparisons of prices: a bookmaker's margin, the best price of each outcome, and prices that beat the market.

All of them need the full set of a market's outcomes, each with an active price. Anything less has no margin.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from quart_odds.domain.catalogue import CATALOGUE, FIRST_PROMOTED_KEY, Market, market_number_of, unpack_key
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import GONE, EventOdds
from quart_odds.odds.offers import Offer, effective_key, perked_values

_INDEX_MASK = 0x3F << 16

_IS_ACTIVE = GONE | 1
_LEAST_VALUE = 1000 << 1 | 1
"""Packed odds of 1.000, active: a price has to be above to pay."""


@dataclass(frozen=True, slots=True)
class BestPrice:
    """The best price of an outcome and the bookmakers that offer it, which may be several.

    `key` is that of the plain price. If a bookmaker's price has a perk, its key is `offers.effective_key`.
    """

    key: int
    value: int
    odds: tuple[EventOdds, ...]


@dataclass(frozen=True, slots=True)
class BestMarket:
    """A market and line with the best price of each outcome, in the order of the outcomes."""

    market: Market
    line: float | None
    prices: tuple[BestPrice, ...]

    @property
    def gain(self) -> float:
        """The profit from backing all outcomes at their best prices, in percent of the stake."""
        return gain_of(self.market, [price.value for price in self.prices])

    @property
    def margin(self) -> float:
        """The margin of the best prices together, in percent; negative if they yield a profit."""
        return margin_of(self.market, [price.value for price in self.prices])


def is_active_price(value: int) -> bool:
    """Whether a packed value is an active price above 1.0 that is not gone."""
    return bool(value & 1) and not value & GONE and value >> 1 > 1000


def margin_of(market: Market, values: Iterable[int]) -> float:
    """Return the margin of packed values in percent, to two decimals. They must be active and the market's full set."""
    inverse = sum(1000 / (value >> 1) for value in values)
    return round((inverse / market.winning_outcomes - 1) * 100, 2)


def gain_of(market: Market, values: Iterable[int]) -> float:
    """Return the profit from backing all outcomes, in percent of the stake, to two decimals.

    The packed values must be active and the market's full set.
    """
    inverse = sum(1000 / (value >> 1) for value in values)
    return round((market.winning_outcomes / inverse - 1) * 100, 2)


def market_margin(market: Market, values: Mapping[int, int]) -> float | None:
    """Return the margin of packed values by outcome index, in percent.

    None unless the market's outcomes mean the same at all bookmakers and every one of them has an active price.
    """
    if not market.is_comparable or len(market.outcomes) < 2:
        return None
    wanted = [values.get(outcome.index, 0) for outcome in market.outcomes]
    return margin_of(market, wanted) if all(map(is_active_price, wanted)) else None


def best_markets(event: CachedEvent) -> list[BestMarket]:
    """Return each comparable market and line that the bookmakers together offer in full, with its best prices.

    Raised prices do not count, nor do the prices of a bookmaker that has the sides reversed.
    """
    best: dict[int, int] = {}
    here = event.comparable_odds
    for event_odds in here:
        columns = event_odds.columns
        plain = columns.keys[: bisect_left(columns.keys, FIRST_PROMOTED_KEY)]
        take_better(best, zip(plain, columns.values, strict=False))
        take_better(best, perked_values(event_odds))
    found = []
    for first in best:
        if first & _INDEX_MASK:
            continue
        market, offsets = _full_set(market_number_of(first))
        if market is None:
            continue
        keys = [first | offset for offset in offsets]
        if all(key in best for key in keys):
            prices = tuple(BestPrice(key, best[key], _holders(here, key, best[key])) for key in keys)
            found.append(BestMarket(market, unpack_key(first)[2], prices))
    return found


def best_values(market: Market, offers: Iterable[Offer]) -> dict[int, int]:
    """Return the best packed value of each outcome that at least two offers have: a lone price is not the best of any.

    The offers must be of bookmakers whose prices can be compared (`CachedEvent.comparable_odds`).
    """
    if not market.is_comparable:
        return {}
    best: dict[int, int] = {}
    counts: Counter[int] = Counter()
    for offer in offers:
        values = offer.comparable_values()
        counts.update(index for index, value in values.items() if is_active_price(value))
        take_better(best, values.items())
    return {index: value for index, value in sorted(best.items()) if counts[index] > 1}


def take_better(best: dict[int, int], prices: Iterable[tuple[int, int]]) -> None:
    """Put each active price that is better than the one in `best`, under the same key, in its place."""
    for key, value in prices:
        # `is_active_price`, written out: this loop sees every price of an event.
        if value & _IS_ACTIVE == 1 and value > best.get(key, _LEAST_VALUE):
            best[key] = value


@lru_cache(maxsize=512)
def _full_set(market_number: int) -> tuple[Market | None, tuple[int, ...]]:
    """Return the market, if its outcomes can be compared, and the offset of each outcome's key from the first key."""
    market = CATALOGUE.by_number.get(market_number)
    if market is None or not market.is_comparable or len(market.outcomes) < 2:
        return None, ()
    return market, tuple(outcome.index << 16 for outcome in market.outcomes)


def _holders(odds: Iterable[EventOdds], key: int, value: int) -> tuple[EventOdds, ...]:
    return tuple(
        event_odds
        for event_odds in odds
        if event_odds.value_of(effective_key(event_odds, key) if event_odds.has_promotions else key) == value
    )
