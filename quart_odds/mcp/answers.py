"""What the tools return: less than the API does, because a model reads every word.

Odds are decimal, times are UTC. Fields of the API that are not here are left out. Words such as the slugs of bookmakers
are plain text: a server may be newer than this program, or have other bookmakers.
"""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from quart_odds.domain.opportunities import KINDS, REASONS
from quart_odds.domain.runs import RunMode, RunStatus

Bookmaker = Annotated[str, Field(description="a bookmaker's slug")]
Odds = Annotated[float, Field(description="decimal odds: what a stake of 1 returns if it wins")]
Percent = Annotated[float | None, Field(description="percent")]
Seconds = Annotated[float | None, Field(description="seconds; null if there are no prices")]
Total = Annotated[int, Field(description="on all pages")]
Promotion = Annotated[
    str | None, Field(description="one_up, two_up, boosted or the bookmaker's own word; null for a plain price")
]


class Told(BaseModel):
    """Part of an answer."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Match(Told):
    """A football match."""

    id: Annotated[int, Field(description="the event_id of other tools")]
    home_team: str
    away_team: str
    kickoff: AwareDatetime
    tournament_id: int
    tournament_name: str
    tournament_country: str


class MainMarket(Told):
    """A market of a list, with the prices that can be had."""

    market_id: str
    market_name: str
    line: float | None
    prices: Annotated[
        dict[Bookmaker, dict[str, Odds]], Field(description="by bookmaker and outcome, without promoted prices")
    ]


class ListedMatch(Match):
    """A match with the main markets side by side."""

    changed_at: Annotated[AwareDatetime, Field(description="when anything about it changed last")]
    bookmakers: Annotated[list[Bookmaker], Field(description="those that list it now")]
    reversed_at: Annotated[
        list[Bookmaker],
        Field(description="those that name home and away the other way round, as do their prices: do not compare"),
    ]
    main_markets: list[MainMarket]


class EventsPage(Told):
    """A page of matches."""

    events: list[ListedMatch]
    total: Total
    page: int
    page_size: int


class Competition(Told):
    """A competition with current matches."""

    id: Annotated[int, Field(description="the tournament_id of list_events")]
    name: str
    country: str
    event_count: int


class CompetitionsPage(Told):
    """A page of competitions."""

    competitions: list[Competition]
    total: Total
    page: int
    page_size: int


class Price(Told):
    """The price of an outcome at a bookmaker."""

    bookmaker: Bookmaker
    odds: Odds
    can_be_had: Annotated[bool, Field(description="false: suspended, or taken down")]
    promotion: Promotion
    last_seen_at: AwareDatetime


class OutcomePrices(Told):
    """An outcome at each bookmaker."""

    name: str
    best_odds: Odds | None
    best_at: list[Bookmaker]
    fair_odds: Annotated[Odds | None, Field(description="without a margin; null if no fresh full set tells")]
    value_percent: Annotated[
        float | None, Field(description="the expected gain at the best odds, in percent of the stake; mostly negative")
    ]
    prices: list[Price]


class MarketPrices(Told):
    """A market and line, side by side. `best_margin` is the margin of the best prices together."""

    market_id: str
    market_name: str
    line: Annotated[float | None, Field(description="the total, or the handicap of the home side")]
    promotion: Promotion
    best_margin: Annotated[
        float | None, Field(description="percent; below 0 if the best prices together are an arbitrage")
    ]
    outcomes: list[OutcomePrices]


class BookmakerState(Told):
    """An event at a bookmaker."""

    bookmaker: Bookmaker
    fetched_at: Annotated[AwareDatetime, Field(description="when all its markets were fetched last")]
    is_listed: bool
    is_reversed: Annotated[
        bool, Field(description="names home and away the other way round, as do its prices: do not compare these")
    ]
    is_late: Annotated[bool, Field(description="its prices are from after the kick-off")]
    url: str | None


class EventOdds(Match):
    """A page of the markets of a match."""

    bookmakers: list[BookmakerState]
    markets: list[MarketPrices]
    total: Annotated[int, Field(description="markets and lines that were asked for, on all pages")]
    page: int
    page_size: int


class Point(Told):
    """The prices from `at` until the next point."""

    at: AwareDatetime
    odds: Annotated[
        dict[str, Odds | None], Field(description="by outcome; null while the bookmaker had no price for it")
    ]
    margin: Annotated[float | None, Field(description="percent; null unless every outcome had a price")]
    is_opening: Annotated[bool, Field(description="no change: the first prices, or those of outcomes that came later")]
    is_end: Annotated[bool, Field(description="no change: the prices were last seen like this at that time")]


class BookmakerPoints(Told):
    """The opening prices at a bookmaker and the changes since, in the order of time."""

    bookmaker: Bookmaker
    points: list[Point]
    left_out_count: Annotated[int, Field(description="earlier points that are not here")]


class OddsHistory(Told):
    """How the prices of a market have changed."""

    event_id: int
    market_id: str
    market_name: str
    line: float | None
    bookmakers: list[BookmakerPoints]


class Leg(Told):
    """A price to back."""

    name: str
    line: float | None
    odds: Odds
    promotion: Promotion
    bookmaker_slug: Bookmaker
    age_seconds: Annotated[float, Field(description="seconds since the price was last seen")]


class Opportunity(Match):
    """Prices that are worth more than they cost."""

    kind: Annotated[str, Field(description=", ".join(KINDS))]
    market_id: str
    market_name: str
    margin: Annotated[
        float,
        Field(
            description="percent of the stake: the certain gain of an arbitrage, the expected gain of a value bet, "
            "what a middle gains or loses in the worst case"
        ),
    ]
    best_case: Annotated[float | None, Field(description="percent; of a middle, if the result is between the lines")]
    reasons: Annotated[list[str], Field(description=f"why it is not credible, of {', '.join(REASONS)}; empty if it is")]
    fair_odds: Odds | None
    kelly_fraction: Annotated[float | None, Field(description="of a value bet: share of the bank to stake")]
    lifetime_seconds: Annotated[float | None, Field(description="since it was first found; null if not known")]
    outcomes: list[Leg]


class OpportunitiesPage(Told):
    """A page of opportunities, the greatest margin first."""

    opportunities: list[Opportunity]
    total: Total
    left_out_count: Annotated[int, Field(description="worse ones of events that have very many")]
    page: int
    page_size: int


class Ages(Told):
    """How old prices are."""

    p50_seconds: Seconds
    p95_seconds: Seconds
    oldest_seconds: Seconds


class BookmakerFreshness(Told):
    """How old a bookmaker's prices of upcoming matches are: of the main markets, and of all."""

    bookmaker: Bookmaker
    main: Ages
    all: Ages


class Freshness(Told):
    """How old the prices are, by bookmaker."""

    bookmakers: list[BookmakerFreshness]


class Run(Told):
    """A run, which fetches odds from the bookmakers."""

    id: int
    mode: Annotated[str, Field(description=", ".join(RunMode))]
    status: Annotated[str, Field(description=", ".join(RunStatus))]
    trigger: Annotated[str, Field(description="what started it")]
    started_at: AwareDatetime
    completed_at: AwareDatetime | None
    duration_ms: Annotated[int | None, Field(description="milliseconds")]
    events_scraped: int
    events_failed: int


class Runs(Told):
    """Runs, newest first."""

    runs: list[Run]


class RunFault(Told):
    """An error of a run, and how often it occurred."""

    error_type: str
    error_message: str
    occurred_at: AwareDatetime
    platform: Bookmaker | None
    count: int


class RunResult(Told):
    """The result of a run at one bookmaker."""

    platform: Bookmaker
    status: str
    events_found: int
    events_scraped: int
    events_failed: int
    duration_ms: Annotated[int | None, Field(description="milliseconds")]


class RunDetail(Run):
    """A run with its result at each bookmaker."""

    platforms: list[RunResult]
    errors: list[RunFault]
