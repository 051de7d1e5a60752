"""The shapes of runs, the scheduler and their figures, for the API's description; tests hold the answers to them."""

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
    """What may be sent to start a run; the body may be left out."""

    platforms: Annotated[
        list[Platform] | None, Field(min_length=1, description="those that are enabled when left out")
    ] = None

    @field_validator("platforms", mode="before")
    @classmethod
    def _name_unknown(cls, value: object) -> object:
        """Name every unknown bookmaker in one error of the field, not in one error of each item."""
        if isinstance(value, list) and (unknown := [each for each in value if each not in tuple(Platform)]):
            named = ", ".join(dict.fromkeys(map(repr, unknown)))
            raise ValueError(f"{named}: not among {', '.join(Platform)}")
        return value


class PreferencesBody(PreferenceChanges):
    """The preferences to change; the others stay. Times are in the unit that their names say."""

    updated_at: Annotated[
        object, Field(exclude=True, description="ignored, so that what was read may be sent back")
    ] = None


class RunsQuery(Query):
    """Which runs."""

    limit: Annotated[int, WholeNumber(1, 100)] = 20
    offset: Annotated[int, WholeNumber(0, 1_000_000_000)] = 0
    status: RunStatus | None = None


class AnalyticsQuery(Query):
    """How far back."""

    days: Annotated[int, WholeNumber(1, 30)] = 14


class EventMetricsQuery(Query):
    """How far back."""

    days: Annotated[int, WholeNumber(1, 30)] = 7


class CleanupQuery(Query):
    """What counts as old, in days. The settings decide where a number is left out."""

    odds_days: Annotated[int, WholeNumber(1, 3650)] | None = None
    match_days: Annotated[int, WholeNumber(1, 3650)] | None = None


class Links(Shape):
    """Where a run is found."""

    self: str
    progress: str
    phases: str
    cancel: str


class Accepted(Shape):
    """A run that has been started, or asked to end."""

    scrape_run_id: int
    status: Literal["running", "cancelling"]
    links: Links


class Retried(Accepted):
    """A run that scrapes again what another did not get."""

    new_run_id: int
    platforms_retried: list[Platform]
    message: str


class Timing(Shape):
    """How a run went at one platform."""

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
    """Runs, the newest first."""


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
    """What went wrong, and how often."""

    id: int
    error_type: str
    error_message: str
    occurred_at: AwareDatetime
    platform: Platform | None
    where: str | None
    recoverable: bool
    count: int


class PlatformRow(Shape):
    """What a run came to at one platform."""

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
    """A run with its platforms and errors."""

    scrape_run_id: int
    platforms: list[PlatformRow]
    errors: list[ErrorRow]


class PhaseRow(Shape):
    """A phase that a run went through."""

    id: int
    platform: Platform | None
    phase: ScrapePhase
    started_at: AwareDatetime
    ended_at: AwareDatetime | None
    events_processed: int | None
    message: str | None


class PhaseRows(RootModel[list[PhaseRow]]):
    """Phases, in the order in which they began."""


class Stats(Shape):
    """How many runs there were, and how long they take."""

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
    """The runs of some days at one platform."""

    platform: Platform
    success_rate: Annotated[float, Field(ge=0, le=100)]
    avg_duration_seconds: float
    total_events: int


class Analytics(Shape):
    """The runs of some days."""

    period_start: date
    period_end: date
    daily_metrics: list[DayRow]
    platform_metrics: list[PlatformFigures]


class EventFigures(Shape):
    """Events asked for and got at one platform."""

    platform: Platform
    total_requested: int
    total_scraped: int
    total_failed: int
    success_rate: float
    avg_timing_ms: float


class EventMetrics(Shape):
    """Events asked for and got."""

    period_start: date
    period_end: date
    total_events: int
    events_fully_scraped: int
    events_partially_scraped: int
    events_failed: int
    platform_metrics: list[EventFigures]


class Job(Shape):
    """What is scheduled."""

    id: str
    next_run: AwareDatetime | None
    trigger_type: Literal["interval"]
    interval_minutes: float


class SchedulerStatus(Shape):
    """Whether runs are scheduled."""

    running: bool
    paused: bool
    jobs: list[Job]
    skipped: int
    last_skip: str | None


class SchedulerAnswer(Shape):
    """What pausing or resuming did."""

    success: bool
    paused: bool
    message: str


class PlatformSuccess(Shape):
    """When a platform was last scraped well."""

    platform: Platform
    healthy: bool
    last_success: AwareDatetime | None


class PlatformSuccesses(RootModel[list[PlatformSuccess]]):
    """When each platform was last scraped well."""


class PlatformHealth(Shape):
    """A platform, as the last run found it."""

    platform: Platform
    status: PlatformStatus
    response_time_ms: float | None
    error: str | None


class Health(Shape):
    """How everything is."""

    status: Literal["healthy", "degraded", "unhealthy"]
    database: Literal["connected", "disconnected"]
    database_ms: int
    platforms: list[PlatformHealth]
    connections: int
    writer: bool
    read_only_reason: str | None = None


class Alive(Shape):
    """The process answers."""

    status: str
    version: str


class Ready(Shape):
    """Whether new work is welcome."""

    status: str
    detail: str | None = None


class CleanupPreview(Shape):
    """What would be removed."""

    odds_before: AwareDatetime
    runs_before: AwareDatetime
    events: int
    history_rows: int
    runs: int


class CleanupAgreed(BaseModel):
    """What a preview said, and a clean-up may remove: no more than this. The preview may be sent back as it is."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    events: int
    history_rows: int
    runs: int


class CleanupDone(Shape):
    """What was removed."""

    events: int
    history_rows: int
    runs: int


class PlatformRefresh(Shape):
    """What one bookmaker gave."""

    platform: Platform
    success: bool
    timing_ms: int
    error: str | None
    markets_count: int | None


class Refreshed(Shape):
    """What fetching an event again came to."""

    event_id: int
    sportradar_id: str | None
    status: Literal["completed", "partial", "failed"]
    platforms_scraped: list[Platform]
    platforms_failed: list[Platform]
    platform_results: list[PlatformRefresh]
    total_timing_ms: int
