"""What a trader reads beside the prices of one market and line: fair odds, value, and the lead of the best price.

The rules are those of `best_prices` in the API (`odds.views`), for one market and line alone: a list has more than a
thousand of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from quart_odds.domain.catalogue import Market, pack_key
from quart_odds.domain.fair import Chance
from quart_odds.domain.platforms import Platform
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.fair_prices import FairPrices, fair_odds_of, value_percent_of
from quart_odds.odds.margin import margin_of


@dataclass(frozen=True, slots=True)
class OutcomeFigures:
    """What is known of one outcome; None is for what is not.

    `best` are the best odds in thousandths. `value_percent` is what they gain in the long run by the fair odds, in
    percent of the stake, negative for a loss. `lead_percent` is by how much they exceed the second best odds, 0 if two
    bookmakers have the same.
    """

    name: str
    best: int | None = None
    fair_odds: float | None = None
    value_percent: float | None = None
    lead_percent: float | None = None


@dataclass(frozen=True, slots=True)
class RowFigures:
    """The figures of a market and line of an event.

    `outcomes` are in the order of the market. `fair_source` is as in `FairMarket`, None without fair odds.
    `best_margin` is the combined margin of the best prices in percent, None unless each outcome has a price at two
    bookmakers. `right_until` is when the price behind the fair odds gets too old, None if no age matters.
    """

    outcomes: tuple[OutcomeFigures, ...]
    fair_source: str | None = None
    best_margin: float | None = None
    right_until: datetime | None = None

    @property
    def value_percent(self) -> float | None:
        """The highest value of an outcome, None if none is positive."""
        values = [each.value_percent for each in self.outcomes if each.value_percent is not None]
        return max((each for each in values if each > 0), default=None)


def figures_of(
    event: CachedEvent,
    market: Market,
    line: float | None,
    platforms: Iterable[Platform] | None,
    now: datetime,
    max_age: timedelta,
) -> RowFigures:
    """Return the figures of a market and line among these bookmakers, by default all. Takes a tenth of a millisecond.

    They are right until the event changes, at most until `right_until`. Fair odds come only from prices that were seen
    within `max_age`.
    """
    if platforms is not None:
        event = event.among(platforms)
    if not event.odds or not market.is_comparable or len(market.outcomes) < 2:
        return RowFigures(tuple([OutcomeFigures(each.name) for each in market.outcomes]))
    keys = [pack_key(market.number, outcome.index, line) for outcome in market.outcomes]
    fair = FairPrices(event, now, max_age, keys)
    prices = [sorted(fair.prices_of(key).values(), reverse=True) for key in keys]
    worth = fair.of_keys(market, keys) if all(prices) else None
    is_compared = all(len(each) > 1 for each in prices)
    return RowFigures(
        tuple(
            [
                _outcome(outcome.name, here, None if worth is None else worth.chances[place])
                for place, (outcome, here) in enumerate(zip(market.outcomes, prices, strict=True))
            ]
        ),
        None if worth is None else worth.source,
        margin_of(market, [each[0] for each in prices]) if is_compared else None,
        None if worth is None else worth.fresh_until,
    )


def _outcome(name: str, prices: list[int], chance: Chance | None) -> OutcomeFigures:
    """Return the figures of an outcome with these packed prices, the best one first."""
    best = prices[0] if prices else None
    return OutcomeFigures(
        name,
        None if best is None else best >> 1,
        None if chance is None else fair_odds_of(chance),
        None if chance is None or best is None else value_percent_of(chance, best),
        round(((prices[0] >> 1) / (prices[1] >> 1) - 1) * 100, 2) if len(prices) > 1 else None,
    )
