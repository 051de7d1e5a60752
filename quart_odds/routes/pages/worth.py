"""What prices are worth, for the event page: fair odds now, beside each market, and over time, for the chart."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from math import ceil

from quart_odds.domain.catalogue import Market
from quart_odds.domain.fair import Chance
from quart_odds.domain.platforms import Platform
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.fair_prices import FairPrices, without_margin
from quart_odds.odds.history import MarketState
from quart_odds.odds.margin import best_markets, is_active_price
from quart_odds.routes.pages.chart import Step
from quart_odds.routes.pages.odds import Price, odds_text

DECIMALS = 6
"""Of the probabilities that the page's script gets. Both compute with these, so that they show the same."""

MOST_MOMENTS = 1000
"""For how many moments the fair odds of a chart are computed, each some 20 µs. More could not be seen."""

Place = tuple[int, float | None]
"""The number of a market, and a line."""


@dataclass(frozen=True, slots=True)
class Worth:
    """The fair odds of an outcome, in thousandths, and the probabilities that they come from."""

    thousandths: int
    win: float
    refund: float

    @property
    def odds(self) -> str:
        """The fair odds as text."""
        return odds_text(self.thousandths)

    def value_text(self, prices: Iterable[Price]) -> str:
        """Return what the best of these prices is worth, as `+1.2%` of the stake; empty if none is the best."""
        best = next((price.thousandths for price in prices if price.is_best), None)
        return "" if best is None else f"{(best / 1000 * self.win + self.refund - 1) * 100:+.1f}%"


def worth_of(event: CachedEvent, fair: FairPrices) -> dict[Place, list[Worth | None]]:
    """Return the worth of each outcome by market and line, where it is known. Takes some milliseconds."""
    found = {}
    for best in best_markets(event):
        known = fair.of(best)
        if known is not None:
            found[best.market.number, best.line] = [_worth(chance) for chance in known.chances]
    return found


def _worth(chance: Chance) -> Worth | None:
    win, refund = round(chance.win, DECIMALS), round(chance.refund, DECIMALS)
    # More than two decimals would say more than is known.
    return Worth(round((1 - refund) / win * 100) * 10, win, refund) if win else None


def fair_steps(
    market: Market, states: Mapping[Platform, Sequence[MarketState]], index: int, kickoff: datetime
) -> list[Step]:
    """Return the fair odds of an outcome over time, until the kick-off: the prices with the lowest margin, without it.

    What bookmakers' feeds say of probabilities is known of this moment alone, so it is not used. Empty if no
    bookmaker's prices were ever those of a full set that can be compared.
    """
    if not market.is_comparable or len(market.outcomes) < 2:
        return []
    every = sorted(
        ((state.at, platform, state) for platform, past in states.items() for state in past if state.at <= kickoff),
        key=lambda each: each[0],
    )
    moments = [list(group) for _, group in groupby(every, key=lambda each: each[0])]
    stride = ceil(len(moments) / MOST_MOMENTS)
    prices: dict[Platform, Sequence[int]] = {}
    steps: list[Step] = []
    for number, here in enumerate(moments, start=1):
        for _, platform, state in here:
            prices.pop(platform, None)
            values = state.comparable_values() if state.is_listed else {}
            wanted = [values.get(outcome.index, 0) for outcome in market.outcomes]
            if all(map(is_active_price, wanted)):
                prices[platform] = wanted
        is_last = number == len(moments)
        if not is_last and number % stride:
            continue
        found = without_margin(market, prices)
        value = None if found is None else round(found[2][index].fair_odds, 3)
        if is_last or (value != steps[-1].value if steps else value is not None):
            words = "" if value is None else odds_text(round(value * 1000))
            steps.append(Step(here[0][0], "gone" if value is None else "active", value, words))
    return steps if any(step.value is not None for step in steps) else []
