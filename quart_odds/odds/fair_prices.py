"""What the prices of an event are worth: fair odds from the feed of a bookmaker, or from the prices of the best one.

Some bookmakers send the fair probability of their supplier with most prices. Where none gives a full set, the
margin is taken out of the prices of the bookmaker with the lowest one (`domain.fair`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from quart_odds.domain.bookmakers import installed
from quart_odds.domain.catalogue import Market, promotion_of
from quart_odds.domain.fair import (
    CHANCE_UNIT,
    CHANCE_WIN_BITS,
    CHANCE_WIN_MASK,
    DEFAULT_METHOD,
    Chance,
    probabilities,
    unpack_chance,
)
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import is_comparable
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import GONE, EventOdds
from quart_odds.odds.margin import BestMarket, is_active_price, margin_of
from quart_odds.odds.offers import effective_key, price_keys

FEEDS = tuple(
    Platform.of(each.bookmaker.slug)
    for each in sorted(installed().values(), key=lambda each: each.bookmaker.probability_rank or 0)
    if each.bookmaker.probability_rank is not None
)
"""The bookmakers whose probabilities are used, in this order: first the one that gives them for more markets."""

SUM_TOLERANCE = 0.005
"""By so much may the probabilities of a full set sum to more or less than the number of outcomes that win.

Real ones are within 0.00002. A set that is further off is of another market than its prices, such as one with a perk.
"""


@dataclass(frozen=True, slots=True)
class FairMarket:
    """The fair probabilities of a market and line, in the order of the outcomes, and where they come from.

    `source` is a bookmaker's slug, or `no_vig:power:<slug>`. `fresh_until` is when its oldest price gets too old.
    """

    source: str
    chances: tuple[Chance, ...]
    fresh_until: datetime


class FairPrices:
    """The fair probabilities of an event's markets at a moment. Only prices that were seen within `max_age` count.

    If `keys` are given, plain ones, only their markets may be asked about: then nothing else is read.
    """

    def __init__(
        self, event: CachedEvent, now: datetime, max_age: timedelta, keys: Sequence[int] | None = None
    ) -> None:
        self._odds = {each.header.platform: each for each in event.comparable_odds}
        here = {platform: _keys_at(each, keys) for platform, each in self._odds.items()}
        self._values = {platform: _values_at(each, here[platform]) for platform, each in self._odds.items()}
        self._promoting = {platform for platform, each in self._odds.items() if each.has_promotions}
        self._chances = {each: _chances_at(self._odds[each], here[each]) for each in FEEDS if each in self._odds}
        self._now = now
        self._max_age = max_age

    def of(self, best: BestMarket) -> FairMarket | None:
        """Return the fair probabilities of a market and line; None if nobody has a full set of fresh prices."""
        return self.of_keys(best.market, [price.key for price in best.prices])

    def of_keys(self, market: Market, plain: Sequence[int]) -> FairMarket | None:
        """Return the same for the plain keys of all outcomes of a market and line."""
        for platform, given in self._chances.items():
            keys = self._full_set(platform, plain)
            if keys is None or not all(key in given for key in keys):
                continue
            chances = chances_of_feed(market, [given[key] for key in keys])
            if chances is not None:
                return FairMarket(platform.value, chances, self._fresh_until(platform, keys))
        return self._without_margin(market, plain)

    def prices_of(self, plain: int) -> dict[Platform, int]:
        """Return the packed active price of an outcome at each bookmaker that has one to compare, by its plain key."""
        found = {}
        for platform, values in self._values.items():
            value = values.get(plain, GONE)
            if value & GONE and platform in self._promoting:
                # Only then is a promoted price that of the market's own offer.
                key = effective_key(self._odds[platform], plain)
                value = values.get(key, GONE) if is_comparable(promotion_of(key)) else GONE
            if is_active_price(value):
                found[platform] = value
        return found

    def _without_margin(self, market: Market, plain: Sequence[int]) -> FairMarket | None:
        full: dict[Platform, Sequence[int]] = {}
        for platform in self._values:
            keys = self._full_set(platform, plain)
            if keys is not None:
                full[platform] = keys
        prices = {platform: [self._values[platform][key] for key in keys] for platform, keys in full.items()}
        found = without_margin(market, prices)
        if found is None:
            return None
        platform, source, chances = found
        return FairMarket(source, chances, self._fresh_until(platform, full[platform]))

    def _full_set(self, platform: Platform, plain: Sequence[int]) -> Sequence[int] | None:
        """Return the keys of all outcomes if each has an active price and they are fresh."""
        values, keys = self._values[platform], plain
        if platform in self._promoting:
            keys = [effective_key(self._odds[platform], key) for key in plain]
        if not all(is_active_price(values.get(key, 0)) for key in keys):
            return None
        return keys if self._now <= self._fresh_until(platform, keys) else None

    def _fresh_until(self, platform: Platform, keys: Sequence[int]) -> datetime:
        # All outcomes of a market and line are seen together.
        return self._odds[platform].seen_at_of(keys[0]) + self._max_age


def fair_odds_of(chance: Chance) -> float:
    """Return the fair odds of an outcome, to three decimals."""
    return round(chance.fair_odds, 3)


def value_percent_of(chance: Chance, value: int) -> float:
    """Return what a packed price gains in the long run, in percent of the stake, to two decimals."""
    return round(100 * chance.expected_value((value >> 1) / 1000), 2)


def _keys_at(event_odds: EventOdds, keys: Sequence[int] | None) -> Collection[int] | None:
    """Return these plain keys and those of all promoted prices of the same outcomes; None for all prices."""
    return keys if keys is None or not event_odds.has_promotions else price_keys(event_odds, dict.fromkeys(keys, 0))


def _values_at(event_odds: EventOdds, keys: Collection[int] | None) -> dict[int, int]:
    if keys is None:
        return dict(zip(event_odds.keys, event_odds.values, strict=True))
    return {key: value for key in keys if (value := event_odds.value_of(key)) is not None}


def _chances_at(event_odds: EventOdds, keys: Collection[int] | None) -> dict[int, int]:
    return event_odds.chances() if keys is None else event_odds.chances_of(keys)


def are_of_market(market: Market, packed: Sequence[int]) -> bool:
    """Whether packed probabilities of all outcomes sum to what they should."""
    total = sum([each & CHANCE_WIN_MASK for each in packed])
    total += market.winning_outcomes * (max(packed) >> CHANCE_WIN_BITS)
    return abs(total - market.winning_outcomes * CHANCE_UNIT) <= SUM_TOLERANCE * CHANCE_UNIT


def chances_of_feed(market: Market, packed: Sequence[int]) -> tuple[Chance, ...] | None:
    """Return the probabilities that a bookmaker gives for all outcomes; None if they are not of this market."""
    return tuple([unpack_chance(each) for each in packed]) if are_of_market(market, packed) else None


def without_margin(
    market: Market, prices: Mapping[Platform, Sequence[int]]
) -> tuple[Platform, str, tuple[Chance, ...]] | None:
    """Return the bookmaker with the lowest margin, the source as `FairMarket` names it, and its prices without margin.

    `prices` are active, packed, and of the full set of outcomes. None if there are none that have a margin: prices
    below what they should sum to are an error of somebody.
    """
    margins = {platform: margin_of(market, values) for platform, values in prices.items()}
    platform = min((each for each in margins if margins[each] >= 0), key=lambda each: margins[each], default=None)
    if platform is None:
        return None
    wins = probabilities([(value >> 1) / 1000 for value in prices[platform]], winners=market.winning_outcomes)
    if not all(wins):
        return None
    return platform, f"no_vig:{DEFAULT_METHOD}:{platform.value}", tuple(map(Chance, wins))
