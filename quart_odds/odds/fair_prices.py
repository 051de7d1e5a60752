"""What the prices of an event are worth: fair odds from the feed of a bookmaker, or from the prices of the best one.

BetPawa and SportyBet send the fair probability of their supplier with most prices. Where neither gives a full set, the
margin is taken out of the prices of the bookmaker with the lowest one (`domain.fair`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from quart_odds.domain.catalogue import Market, pack_key
from quart_odds.domain.fair import DEFAULT_METHOD, Chance, probabilities, unpack_chance
from quart_odds.domain.platforms import Platform
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import EventOdds
from quart_odds.odds.margin import is_active_price, margin_of
from quart_odds.odds.offers import effective_key

FEEDS = (Platform.SPORTYBET, Platform.BETPAWA)
"""The bookmakers whose probabilities are used, in this order: SportyBet gives them for more markets."""

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
    """The fair probabilities of an event's markets at a moment. Only prices that were seen within `max_age` count."""

    def __init__(self, event: CachedEvent, now: datetime, max_age: timedelta) -> None:
        self._odds = {each.header.platform: each for each in event.comparable_odds}
        self._chances = {
            each: event_odds.chances() for each in FEEDS if (event_odds := self._odds.get(each)) is not None
        }
        self._now = now
        self._max_age = max_age

    def of(self, market: Market, line: float | None) -> FairMarket | None:
        """Return the fair probabilities of a comparable market; None if nobody has a full set of fresh prices."""
        plain = [pack_key(market.number, outcome.index, line) for outcome in market.outcomes]
        full = {platform: keys for platform, each in self._odds.items() if (keys := self._full_set(each, plain))}
        for platform in FEEDS:
            if platform in full and (chances := self._from_feed(platform, market, full[platform])):
                return FairMarket(platform.value, chances, self._fresh_until(platform, full[platform]))
        best: tuple[float, Platform, list[int]] | None = None
        for platform, keys in full.items():
            values = _values(self._odds[platform], keys)
            margin = margin_of(market, values)
            # Prices below what they should sum to are an error of somebody.
            if margin >= 0 and (best is None or margin < best[0]):
                best = margin, platform, values
        if best is None:
            return None
        _, platform, values = best
        wins = probabilities([(value >> 1) / 1000 for value in values], winners=market.winning_outcomes)
        if not all(wins):
            return None
        source = f"no_vig:{DEFAULT_METHOD}:{platform.value}"
        return FairMarket(source, tuple(map(Chance, wins)), self._fresh_until(platform, full[platform]))

    def _full_set(self, event_odds: EventOdds, plain: Sequence[int]) -> list[int] | None:
        """Return the keys of all outcomes if each has an active and fresh price."""
        keys = [effective_key(event_odds, key) for key in plain] if event_odds.has_promotions else list(plain)
        if not all(is_active_price(event_odds.value_of(key) or 0) for key in keys):
            return None
        return keys if self._now <= self._fresh_until(event_odds.header.platform, keys) else None

    def _fresh_until(self, platform: Platform, keys: Sequence[int]) -> datetime:
        event_odds = self._odds[platform]
        return min(event_odds.seen_at_of(key) for key in keys) + self._max_age

    def _from_feed(self, platform: Platform, market: Market, keys: Sequence[int]) -> tuple[Chance, ...] | None:
        given = self._chances[platform]
        if not all(key in given for key in keys):
            return None
        chances = tuple(unpack_chance(given[key]) for key in keys)
        total = sum(each.win for each in chances) + market.winning_outcomes * max(each.refund for each in chances)
        return chances if abs(total - market.winning_outcomes) <= SUM_TOLERANCE else None


def _values(event_odds: EventOdds, keys: Sequence[int]) -> list[int]:
    return [event_odds.value_of(key) or 0 for key in keys]
