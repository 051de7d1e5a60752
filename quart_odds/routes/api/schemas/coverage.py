"""Response models of the coverage routes and the lists of tournaments and unmatched events."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from quart_odds.domain.platforms import Platform
from quart_odds.routes.api.schemas.odds import EventItem, Shape


class Tournament(Shape):
    """A tournament, as named by the first bookmaker that has it. `ids` has its id at each bookmaker, `id` first."""

    id: int
    name: str
    country: str
    sport_name: str
    event_count: int
    ids: list[int]


class UnmatchedEvent(EventItem):
    """An event that a bookmaker lacks. `reason` is not_listed, no_sportradar_id or kickoff_differs."""

    missing_platforms: list[Platform]
    reason: str
    claimed_sportradar_id: str | None
    conflicting_event_id: int | None
    names_differ: bool


class UnmatchedPage(Shape):
    """A page of events that a bookmaker lacks."""

    events: list[UnmatchedEvent]
    total: int
    page: int
    page_size: int


class MarketCoverage(Shape):
    """The number of current events that have a market, by bookmaker."""

    market_id: str
    market_name: str
    market_group: str
    events: dict[Platform, int]


class UnmappedMarketCount(Shape):
    """A bookmaker's market that is not in the catalogue, with the number of its events that have it."""

    bookmaker_slug: Platform
    market_id: str
    market_name: str
    events: int


class MarketsCoverage(Shape):
    """Mapped and unmapped markets."""

    markets: list[MarketCoverage]
    unmapped: list[UnmappedMarketCount]


class PlatformCoverage(Shape):
    """How many of a competitor's events BetPawa has too, and how many it lacks. Rates are percentages."""

    platform: Platform
    total_events: int
    matched_events: int
    unmatched_events: Annotated[int, Field(description="events that BetPawa lacks")]
    match_rate: float


class Coverage(Shape):
    """How the bookmakers' events overlap. A matched event is listed at BetPawa and at another bookmaker."""

    total_events: int
    matched_count: int
    betpawa_only_count: int
    competitor_only_count: int
    match_rate: float
    by_platform: Annotated[list[PlatformCoverage], Field(description="every bookmaker but BetPawa")]


class TournamentCoverage(Shape):
    """The counts of one tournament."""

    total: int
    matched: int
    betpawa_only: int
    competitor_only: int


class CoverageEvent(Shape):
    """An event with the bookmakers that list it. `availability` is matched, betpawa-only or competitor-only."""

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
    """A tournament with its events."""

    tournament_id: int
    tournament_name: str
    tournament_country: str
    sport_name: str
    coverage: TournamentCoverage
    events: list[CoverageEvent]


class CoverageEvents(Shape):
    """Events by tournament, and their overall coverage."""

    coverage: Coverage
    tournaments: list[CoverageTournament]


class Count(Shape):
    """A count."""

    count: int


Seconds = Annotated[float | None, Field(description="seconds; null where there are no prices")]


class AgeFigures(Shape):
    """The ages of prices, each market and line of an event once."""

    p50_seconds: Seconds
    p95_seconds: Seconds
    oldest_seconds: Seconds


class BookmakerFreshness(Shape):
    """The ages of a bookmaker's prices of upcoming events. `main` are the markets that lists carry."""

    bookmaker: Platform
    main: AgeFigures
    all: AgeFigures


class FreshnessReport(Shape):
    """The ages of the prices in memory, by bookmaker."""

    bookmakers: list[BookmakerFreshness]
