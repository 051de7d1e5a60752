"""Response models of opportunities."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from quart_odds.domain.opportunities import Kind, Reason
from quart_odds.domain.platforms import Platform
from quart_odds.routes.api.schemas.odds import EventFields, Promotion, Shape


class OpportunityOutcome(Shape):
    """The price of one outcome to back, the bookmaker that offers it, and its age."""

    name: str
    line: float | None
    odds: float
    promotion: Promotion
    bookmaker_slug: Platform
    bookmaker_name: str
    changed_at: AwareDatetime
    last_seen_at: AwareDatetime
    age_seconds: Annotated[float, Field(description="seconds since the price was last seen")]


class OpportunityStakes(Shape):
    """The bank in the query, shared in the order of the outcomes. Profits count no refunds, except those of a middle.

    `worst_profit` is what is left whatever happens, below 0 for a loss. Of a value bet, Kelly's fraction is staked.
    """

    rounding: float
    stakes: list[float]
    total: float
    worst_profit: float
    best_profit: float
    is_profitable: Annotated[bool, Field(description="whether the worst case is a profit, after rounding")]


class Opportunity(EventFields):
    """Prices that are worth more than they cost.

    `margin` is in percent of the stake: the guaranteed gain of an arbitrage, the expected gain of a value bet, and what
    a middle gains or loses in the worst case. Its `best_case` is when the result is between its lines.
    """

    kind: Kind
    market_id: str
    market_name: str
    line: float | None
    margin: float
    best_case: float | None
    reasons: Annotated[list[Reason], Field(description="why it is listed apart; empty if it is not")]
    fair_odds: float | None
    fair_source: str | None
    kelly_fraction: Annotated[float | None, Field(description="share of the bank, of a value bet")]
    first_seen_at: Annotated[
        AwareDatetime | None,
        Field(
            description="when this process found it first; null if the event has kicked off, "
            "and if the chosen bookmakers have it at other prices than all have"
        ),
    ]
    lifetime_seconds: float | None
    best_margin: Annotated[float, Field(description="the greatest margin since then; the margin if that is null")]
    oldest_age_seconds: float
    outcomes: list[OpportunityOutcome]
    stakes: Annotated[OpportunityStakes | None, Field(description="null without a bank in the query")]


class OpportunitiesPage(Shape):
    """A page of opportunities, the greatest margin first."""

    opportunities: list[Opportunity]
    total: int
    left_out_count: Annotated[int, Field(description="worse ones of events that have very many, which are not listed")]
    page: int
    page_size: int


class PastOutcome(Shape):
    """An outcome that an opportunity backed, its line, and the bookmaker that had its price in the end."""

    name: str
    line: float | None
    bookmaker_slug: Platform


class PastOpportunity(Shape):
    """An opportunity that is over. `margin` is what it was worth in the end."""

    event_id: int
    name: str
    kickoff: AwareDatetime
    kind: Kind
    market_id: str
    market_name: str
    outcomes: list[PastOutcome]
    margin: float
    best_margin: float
    first_seen_at: AwareDatetime
    ended_at: AwareDatetime
    lifetime_seconds: float


class PastOpportunitiesPage(Shape):
    """A page of opportunities that are over, those first that ended last."""

    opportunities: list[PastOpportunity]
    total: int
    page: int
    page_size: int
