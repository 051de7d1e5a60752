"""Models of runs, the scheduler, statistics and settings. Requests are validated by them, responses by tests."""

from datetime import date
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, RootModel, field_validator

from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunStatus, ScrapePhase
from quart_odds.routes.api.requests import Query, WholeNumber
from quart_odds.routes.api.schemas.odds import Shape
from quart_odds.scraping.runtime_settings import PreferenceChanges

PlatformStatus = Literal["healthy", "unhealthy", "unknown"]


class StartBody(Shape):
    """The body that starts a run. It is optional."""

    platforms: Annotated[list[Platform] | None, Field(min_length=1, description="default: all enabled bookmakers")] = (
        None
    )

    @field_validator("platforms", mode="before")
    @classmethod
    def _name_unknown(cls, value: object) -> object:
        """Report unknown bookmakers as one error of the field, not as one error per item."""
        if isinstance(value, list) and (unknown := [each for each in value if each not in tuple(Platform)]):
            named = ", ".join(dict.fromkeys(map(repr, unknown)))
            raise ValueError(f"{named}: not among {', '.join(Platform)}")
        return value


class PreferencesBody(PreferenceChanges):
    """The settings to change; the others stay as they are. Names include the units."""

    updated_at: Annotated[
        object, Field(exclude=True, description="ignored, so that a response can be edited and sent back")
    ] = None


class RunsQuery(Query):
    """Which runs to list."""

    limit: Annotated[int, WholeNumber(1, 100)] = 20
    offset: Annotated[int, WholeNumber(0, 1_000_000_000)] = 0
    status: RunStatus | None = None


class AnalyticsQuery(Query):
    """How many days to cover."""

    days: Annotated[int, WholeNumber(1, 30)] = 14


class EventMetricsQuery(Query):
    """How many days to cover."""

    days: Annotated[int, WholeNumber(1, 30)] = 7


class CleanupQuery(Query):
    """The age in days from which data counts as old. Defaults are in the settings."""

    odds_days: Annotated[int, WholeNumber(1, 3650)] | None = None
    match_days: Annotated[int, WholeNumber(1, 3650)] | None = None


class Links(Shape):
    """Paths of a run's resources."""

    self: str
    progress: str
    phases: str
    cancel: str


class Accepted(Shape):
    """A run that has been started, or whose cancellation has been requested."""

    scrape_run_id: int
    status: Literal["running", "cancelling"]
    links: Links


class Retried(Accepted):
    """A run that scrapes what failed in another."""

    new_run_id: int
    platforms_retried: list[Platform]
    message: str


class Timing(Shape):
    """A run's duration and number of events at one bookmaker."""

    duration_ms: int | None
    events_count: int


class RunFields(Shape):
    """A run."""

    status: RunStatus
    started_at: AwareDatetime
    completed_at: AwareDatetime | None
    duration_ms: int | None
    events_scraped: int
    events_failed: int
    trigger: Annotated[str, Field(description="api, api-stream, page, scheduled, cli or retry:<id>")]
    platform_timings: dict[Platform, Timing] | None


class RunRow(RunFields):
    """A run in a list."""

    id: int
    phase_logs: None


class RunRows(RootModel[list[RunRow]]):
    """Runs, newest first."""


class ScheduledRow(RunRow):
    """A run in the scheduler's history."""

    duration_seconds: float | None


class SchedulerHistory(Shape):
    """A page of runs."""

    runs: list[ScheduledRow]
    total: int


class ActiveRuns(RootModel[list[int]]):
    """Ids of runs."""


class ErrorRow(Shape):
    """An error of a run, and how often it occurred."""

    id: int
    error_type: str
    error_message: str
    occurred_at: AwareDatetime
    platform: Platform | None
    where: str | None
    recoverable: bool
    count: int


class PlatformRow(Shape):
    """A run's result at one bookmaker."""

    platform: Platform
    status: ScrapePhase
    events_found: int
    events_scraped: int
    events_failed: int
    duration_ms: int | None
    mapped_markets: int
    unmapped_markets: int
    dropped_prices: int
    is_shrunken: bool
    error: ErrorRow | None


class RunDetail(RunFields):
    """A run with its results at each bookmaker and its errors."""

    scrape_run_id: int
    platforms: list[PlatformRow]
    errors: list[ErrorRow]


class PhaseRow(Shape):
    """A phase of a run."""

    id: int
    platform: Platform | None
    phase: ScrapePhase
    started_at: AwareDatetime
    ended_at: AwareDatetime | None
    events_processed: int | None
    message: str | None


class PhaseRows(RootModel[list[PhaseRow]]):
    """The phases of a run, in the order in which they began."""


class Stats(Shape):
    """The number of runs, and their average duration."""

    total_runs: int
    runs_24h: int
    avg_duration_seconds: float | None


class DayRow(Shape):
    """The runs of a day."""

    date: date
    avg_duration_seconds: float
    total_events: int
    success_count: int
    failure_count: int
    partial_count: int


class PlatformFigures(Shape):
    """Statistics of runs at one bookmaker."""

    platform: Platform
    success_rate: Annotated[float, Field(ge=0, le=100)]
    avg_duration_seconds: float
    total_events: int


class Analytics(Shape):
    """Statistics of runs over a period."""

    period_start: date
    period_end: date
    daily_metrics: list[DayRow]
    platform_metrics: list[PlatformFigures]


class EventFigures(Shape):
    """Events requested and scraped at one bookmaker."""

    platform: Platform
    total_requested: int
    total_scraped: int
    total_failed: int
    success_rate: float
    avg_timing_ms: float


class EventMetrics(Shape):
    """Events requested and scraped over a period."""

    period_start: date
    period_end: date
    total_events: int
    events_fully_scraped: int
    events_partially_scraped: int
    events_failed: int
    platform_metrics: list[EventFigures]


class Job(Shape):
    """A scheduled job."""

    id: str
    next_run: AwareDatetime | None
    trigger_type: Literal["interval"]
    interval_minutes: float


class SchedulerStatus(Shape):
    """The state of the scheduler."""

    running: bool
    paused: bool
    jobs: list[Job]
    skipped: int
    last_skip: str | None


class SchedulerAnswer(Shape):
    """The result of pausing or resuming."""

    success: bool
    paused: bool
    message: str


class PlatformSuccess(Shape):
    """When a bookmaker was last scraped successfully."""

    platform: Platform
    healthy: bool
    last_success: AwareDatetime | None


class PlatformSuccesses(RootModel[list[PlatformSuccess]]):
    """When each bookmaker was last scraped successfully."""


class PlatformHealth(Shape):
    """A bookmaker's state as of the last run."""

    platform: Platform
    status: PlatformStatus
    response_time_ms: float | None
    error: str | None


class Health(Shape):
    """The health of the database and the bookmakers."""

    status: Literal["healthy", "degraded", "unhealthy"]
    database: Literal["connected", "disconnected"]
    database_ms: int
    platforms: list[PlatformHealth]
    connections: int
    writer: bool
    read_only_reason: str | None = None


class Alive(Shape):
    """The process is alive."""

    status: str
    version: str


class Ready(Shape):
    """Whether the process accepts work."""

    status: str
    detail: str | None = None


class CleanupPreview(Shape):
    """What a clean-up would remove."""

    odds_before: AwareDatetime
    runs_before: AwareDatetime
    events: int
    history_rows: int
    runs: int


class CleanupAgreed(BaseModel):
    """The most that a clean-up may remove. A preview can be sent back unchanged."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    events: int
    history_rows: int
    runs: int


class CleanupDone(Shape):
    """What a clean-up removed."""

    events: int
    history_rows: int
    runs: int


class PlatformRefresh(Shape):
    """The result of a refresh at one bookmaker."""

    platform: Platform
    success: bool
    timing_ms: int
    error: str | None
    markets_count: int | None


class Refreshed(Shape):
    """The result of refreshing an event."""

    event_id: int
    sportradar_id: str | None
    status: Literal["completed", "partial", "failed"]
    platforms_scraped: list[Platform]
    platforms_failed: list[Platform]
    platform_results: list[PlatformRefresh]
    total_timing_ms: int
