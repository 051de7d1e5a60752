"""An opportunity in the odds of an event: the prices to back, what they are worth, and why it may be none."""

from dataclasses import dataclass
from datetime import datetime

from quart_odds.domain.catalogue import Market, Outcome, offer_code, unpack_key
from quart_odds.domain.fair import Chance
from quart_odds.domain.opportunities import Kind, Reason
from quart_odds.domain.platforms import Platform
from quart_odds.odds.event_odds import EventOdds
from quart_odds.odds.offers import effective_key, promotion_word

Identity = tuple[Kind, tuple[int, ...], bool]
"""Kind, plain keys, and whether it is listed apart: within an event, two opportunities never have the same.

The keys say market, lines and outcomes. The bookmakers are no part of it: if another one has the best price now, the
opportunity has changed, and is not another one.
"""


@dataclass(frozen=True, slots=True)
class Leg:
    """A price to back. `key` is that of the plain price, also if the bookmaker's price has a perk.

    `holders` are the odds of all bookmakers that have this price, with the same reasons against it.
    """

    market: Market
    key: int
    value: int
    holders: tuple[EventOdds, ...]

    @property
    def event_odds(self) -> EventOdds:
        """The odds of the bookmaker at which the price was seen last."""
        holders = self.holders
        return holders[0] if len(holders) == 1 else max(holders, key=lambda each: each.seen_at_of(self.key))

    @property
    def outcome(self) -> Outcome:
        """The outcome that the price is of."""
        return self.market.outcomes[self.key >> 16 & 0x3F]

    @property
    def line(self) -> float | None:
        """The line of the price; None if its market has none."""
        return unpack_key(self.key)[2]

    @property
    def odds(self) -> float:
        """The decimal odds."""
        return (self.value >> 1) / 1000

    @property
    def platform(self) -> Platform:
        """The bookmaker at which the price was seen last."""
        return self.event_odds.header.platform

    @property
    def platforms(self) -> list[Platform]:
        """All bookmakers that have the price."""
        return [each.header.platform for each in self.holders]

    @property
    def seen_at(self) -> datetime:
        """When the price was last seen."""
        return self.event_odds.seen_at_of(self.key)

    @property
    def promotion(self) -> str | None:
        """The perk on the price; None for a plain one."""
        return promotion_word(self.event_odds, effective_key(self.event_odds, self.key))


@dataclass(frozen=True, slots=True)
class Fair:
    """The fair probability of an outcome, where it comes from (`FairMarket.source`), and the odds that say so."""

    chance: Chance
    source: str
    event_odds: EventOdds
    key: int


@dataclass(frozen=True, slots=True)
class Opportunity:
    """Prices of one event at one moment that are worth more than they cost, and the reasons not to believe it.

    `margin` is the guaranteed profit of an arbitrage, the expected profit of a value bet, and the profit of a middle in
    the worst case, which may be a loss; `best_case` is that of a middle in the best one. All are in percent of the
    stake. `legs` are in the order of the outcomes: all of an arbitrage, one of a value bet, over and under of a middle.
    """

    kind: Kind
    market: Market
    legs: tuple[Leg, ...]
    margin: float
    reasons: tuple[Reason, ...] = ()
    fair: Fair | None = None
    best_case: float | None = None

    @property
    def identity(self) -> Identity:
        """What it is recognised by when it is found again in the same event."""
        return self.kind, tuple([leg.key for leg in self.legs]), bool(self.reasons)

    @property
    def offers(self) -> frozenset[int]:
        """The codes of its markets and lines (`catalogue.offer_code`)."""
        return frozenset(offer_code(leg.key) for leg in self.legs)

    @property
    def seen_at(self) -> datetime:
        """When the oldest of its prices was last seen, that which says what is fair included."""
        oldest = min(leg.seen_at for leg in self.legs)
        return oldest if self.fair is None else min(oldest, self.fair.event_odds.seen_at_of(self.fair.key))

    def is_as(self, other: "Opportunity") -> bool:
        """Whether another one has the same prices at the same bookmakers, worth as much, for the same reasons."""
        return (
            self.margin == other.margin
            and self.reasons == other.reasons
            and [(leg.value, leg.platforms) for leg in self.legs] == [(leg.value, leg.platforms) for leg in other.legs]
        )
