"""The shapes of the odds API, for its documentation. Bodies are built and kept as bytes; tests hold them to these."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from quart_odds.domain.platforms import Platform

Margin = Annotated[float | None, Field(description="percent; null without the full set of active outcomes")]
Since = Annotated[AwareDatetime | None, Field(description="since when it is not there; null while it is")]


class Shape(BaseModel):
    """A body with these fields and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class InlineOutcome(Shape):
    """An outcome in a list."""

    name: str
    odds: float
    is_active: bool


class InlineMarket(Shape):
    """One of the four markets that a list shows: 1X2, over/under 2.5, both teams to score, double chance."""

    market_id: str
    market_name: str
    line: float | None
    outcomes: list[InlineOutcome]
    margin: Margin
    available: bool
    unavailable_since: Since


class EventBookmaker(Shape):
    """What one bookmaker has of an event."""

    bookmaker_slug: Platform
    bookmaker_name: str
    external_event_id: str
    event_url: str | None
    has_odds: bool
    snapshot_time: Annotated[AwareDatetime, Field(description="when its odds were last fetched")]
    available: bool
    unavailable_since: Since
    inline_odds: list[InlineMarket]


class EventFields(Shape):
    """A match."""

    id: int
    sportradar_id: Annotated[str | None, Field(description="null for an event that stands alone")]
    name: str
    home_team: str
    away_team: str
    kickoff: AwareDatetime
    tournament_id: int
    tournament_name: str
    tournament_country: str
    sport_name: str
    created_at: AwareDatetime
    changed_at: AwareDatetime


class EventItem(EventFields):
    """A match in a list, with each bookmaker that lists it."""

    bookmakers: list[EventBookmaker]


class EventsPage(Shape):
    """A page of events. The header Odds-Cursor may later be given as `changed_since`."""

    events: list[EventItem]
    total: int
    page: int
    page_size: int


class DetailOutcome(InlineOutcome):
    """An outcome with the age of its price."""

    available: bool
    changed_at: AwareDatetime
    last_seen_at: AwareDatetime


class DetailMarket(Shape):
    """A market and line at one bookmaker. The ids and names are BetPawa's where it has the market."""

    betpawa_market_id: str
    betpawa_market_name: str
    line: Annotated[float | None, Field(description="the total, or the home side's handicap")]
    outcomes: list[DetailOutcome]
    margin: Margin
    market_groups: list[str]
    available: bool
    unavailable_since: Since


class BookmakerMarkets(Shape):
    """Every market of an event at one bookmaker."""

    bookmaker_slug: Platform
    bookmaker_name: str
    snapshot_time: AwareDatetime
    available: bool
    unavailable_since: Since
    markets: list[DetailMarket]


class BestOutcome(Shape):
    """The best price of an outcome, and who has it."""

    name: str
    odds: float
    bookmakers: list[Platform]


class BestPrices(Shape):
    """A market with the best price of each outcome over all bookmakers, and the margin of these together."""

    betpawa_market_id: str
    betpawa_market_name: str
    line: float | None
    margin: float
    outcomes: list[BestOutcome]


class EventDetail(EventItem):
    """A match with all markets side by side."""

    markets_by_bookmaker: list[BookmakerMarkets]
    best_prices: list[BestPrices]


class HistoryOutcome(InlineOutcome):
    """An outcome as it stood."""

    available: bool


class HistoryPoint(Shape):
    """How a market stood from `captured_at` on. `confirmed` marks the last: seen like this again at that time."""

    captured_at: AwareDatetime
    outcomes: list[HistoryOutcome]
    margin: Margin
    available: bool
    unavailable_at: Since
    confirmed: bool


class MarginPoint(Shape):
    """A market's margin from `captured_at` on."""

    captured_at: AwareDatetime
    margin: Margin
    available: bool
    unavailable_at: Since
    confirmed: bool


class BookmakerHistory(Shape):
    """A market's history at one bookmaker."""

    bookmaker_slug: Platform
    bookmaker_name: str
    history: list[HistoryPoint]


class EventHistory(Shape):
    """A market's history at each bookmaker."""

    event_id: int
    market_id: str
    market_name: str
    line: float | None
    bookmakers: list[BookmakerHistory]


class MarketHistory(BookmakerHistory):
    """A market's history at one bookmaker, with the market's name."""

    event_id: int
    market_id: str
    market_name: str
    line: float | None


class MarginHistory(Shape):
    """A market's margin over time at one bookmaker."""

    event_id: int
    bookmaker_slug: Platform
    bookmaker_name: str
    market_id: str
    market_name: str
    line: float | None
    history: list[MarginPoint]


class OpportunityOutcome(Shape):
    """The best price of one outcome: where it is, and how old."""

    name: str
    odds: float
    bookmaker_slug: Platform
    bookmaker_name: str
    changed_at: AwareDatetime
    last_seen_at: AwareDatetime
    age_seconds: Annotated[float, Field(description="time since the price was last seen")]


class Opportunity(EventFields):
    """Best prices whose inverses sum to less than one. `margin` is what they give, in percent of the stake."""

    market_id: str
    market_name: str
    line: float | None
    margin: float
    outcomes: list[OpportunityOutcome]


class OpportunitiesPage(Shape):
    """Opportunities, the best first."""

    opportunities: list[Opportunity]
    total: int
    page: int
    page_size: int


class Tournament(Shape):
    """A competition, as the bookmaker that names its events has it."""

    id: int
    name: str
    country: str
    sport_name: str
    event_count: int


class UnmatchedEvent(EventItem):
    """An event that some bookmaker lacks. `reason`: not_listed, no_sportradar_id or kickoff_differs."""

    missing_platforms: list[Platform]
    reason: str
    claimed_sportradar_id: str | None
    conflicting_event_id: int | None
    names_differ: bool


class UnmatchedPage(Shape):
    """Events that some bookmaker lacks."""

    events: list[UnmatchedEvent]
    total: int
    page: int
    page_size: int


class MarketCoverage(Shape):
    """How many current events have a market, by bookmaker."""

    market_id: str
    market_name: str
    market_group: str
    events: dict[Platform, int]


class UnmappedMarketCount(Shape):
    """A bookmaker's market that the catalogue does not know, with the number of its events that have it."""

    bookmaker_slug: Platform
    market_id: str
    market_name: str
    events: int


class MarketsCoverage(Shape):
    """What is mapped and what is not."""

    markets: list[MarketCoverage]
    unmapped: list[UnmappedMarketCount]


class PlatformCoverage(Shape):
    """How many of a bookmaker's events another one has too. Rates are percent."""

    platform: Platform
    total_events: int
    matched_events: int
    unmatched_events: int
    match_rate: float


class Coverage(Shape):
    """How the bookmakers' events overlap: matched are at BetPawa and at another."""

    total_events: int
    matched_count: int
    betpawa_only_count: int
    competitor_only_count: int
    match_rate: float
    by_platform: list[PlatformCoverage]


class TournamentCoverage(Shape):
    """The counts of one competition."""

    total: int
    matched: int
    betpawa_only: int
    competitor_only: int


class CoverageEvent(Shape):
    """An event with the bookmakers that list it. `availability`: matched, betpawa-only or competitor-only."""

    id: int
    sportradar_id: str | None
    name: str
    home_team: str
    away_team: str
    kickoff: AwareDatetime
    tournament_name: str
    tournament_country: str
    sport_name: str
    availability: str
    platforms: list[Platform]


class CoverageTournament(Shape):
    """A competition with its events."""

    tournament_id: int
    tournament_name: str
    tournament_country: str
    sport_name: str
    coverage: TournamentCoverage
    events: list[CoverageEvent]


class CoverageEvents(Shape):
    """Every event by competition, and the coverage of them all."""

    coverage: Coverage
    tournaments: list[CoverageTournament]


class Count(Shape):
    """A number."""

    count: int


class FieldError(Shape):
    """A field that is wrong, and how."""

    field: str
    message: str


class ProblemBody(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldError] = []
