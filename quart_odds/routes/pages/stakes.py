"""Stakes for a bank between chosen prices of one market, for the event page."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from quart_odds.domain.catalogue import Market, pack_key
from quart_odds.domain.opportunities import arbitrage_stakes
from quart_odds.domain.platforms import Platform
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.fair_prices import FairPrices
from quart_odds.odds.offers import effective_key, promotion_word
from quart_odds.routes.pages.event_query import EventPageQuery
from quart_odds.routes.pages.odds import Promotion, odds_text

LEAST_DECIMALS = 2


@dataclass(frozen=True, slots=True)
class Choice:
    """A price that can be backed, and when it was last seen."""

    platform: Platform
    thousandths: int
    promotion: Promotion | None
    seen_at: datetime

    @property
    def odds(self) -> str:
        """The price as text."""
        return odds_text(self.thousandths)


@dataclass(frozen=True, slots=True)
class Backed:
    """An outcome, the prices to choose from, the chosen one, and what is staked.

    `profit` is what remains if this outcome wins and no other one; below 0 for a loss. `is_replaced`: the bookmaker
    that was chosen has no price any more.
    """

    name: str
    choices: tuple[Choice, ...]
    chosen: Choice
    stake: Decimal
    pays: Decimal
    profit: Decimal
    is_replaced: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A bank shared among all outcomes of a market.

    `decimals` is how many to show of each amount. `missing` are the outcomes that nobody has a price for: then there
    is nothing to share, and `backed` is empty.
    """

    backed: tuple[Backed, ...]
    missing: tuple[str, ...]
    total: Decimal
    worst: Decimal
    best: Decimal
    decimals: int
    winners: int

    @property
    def seen_at(self) -> datetime:
        """When the oldest of the chosen prices was last seen. There must be any."""
        return min(each.chosen.seen_at for each in self.backed)

    def money(self, amount: Decimal) -> str:
        """Format an amount: `1,250.00`."""
        return f"{amount:,.{self.decimals}f}"

    def result(self, amount: Decimal) -> str:
        """Say what remains: `profit 2.10`, `loss 2.10`, or `nothing won or lost`."""
        if not amount:
            return "nothing won or lost"
        return f"{'profit' if amount > 0 else 'loss'} {self.money(abs(amount))}"


def plan_of(event: CachedEvent, query: EventPageQuery, fair: FairPrices) -> Plan | None:
    """Return the stakes that the query asks for; None for a market whose prices cannot be compared."""
    market = query.market
    if not market.is_comparable or len(market.outcomes) < 2:
        return None
    offered = [_choices(event, market, query.line, place, fair) for place in range(len(market.outcomes))]
    missing = tuple(each.name for each, choices in zip(market.outcomes, offered, strict=True) if not choices)
    decimals = max(LEAST_DECIMALS, -int(query.rounding.normalize().as_tuple().exponent))
    if missing:
        nothing = Decimal(0)
        return Plan((), missing, nothing, nothing, nothing, decimals, market.winning_outcomes)
    wanted = [*query.at, *[None] * len(offered)][: len(offered)]
    chosen = [
        next((each for each in choices if each.platform == platform), choices[0])
        for choices, platform in zip(offered, wanted, strict=True)
    ]
    odds = [each.thousandths / 1000 for each in chosen]
    shared = arbitrage_stakes(odds, query.bank, query.rounding, winners=market.winning_outcomes)
    backed = []
    for place, stake in enumerate(shared.stakes):
        pays = stake * chosen[place].thousandths / 1000
        is_replaced = wanted[place] not in (None, chosen[place].platform)
        name = market.outcomes[place].name
        backed.append(Backed(name, offered[place], chosen[place], stake, pays, pays - shared.total, is_replaced))
    return Plan(
        tuple(backed),
        (),
        shared.total,
        shared.worst_profit,
        shared.best_profit,
        decimals,
        market.winning_outcomes,
    )


def _choices(
    event: CachedEvent, market: Market, line: float | None, place: int, fair: FairPrices
) -> tuple[Choice, ...]:
    """Return the prices of an outcome that can be backed, the best first."""
    plain = pack_key(market.number, market.outcomes[place].index, line)
    found = []
    for platform, value in fair.prices_of(plain).items():
        event_odds = event.odds[platform]
        key = effective_key(event_odds, plain)
        promotion = Promotion.named(promotion_word(event_odds, key))
        found.append(Choice(platform, value >> 1, promotion, event_odds.seen_at_of(key)))
    return tuple(sorted(found, key=lambda each: -each.thousandths))
