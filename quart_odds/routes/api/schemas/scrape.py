"""Models of runs and refreshes. Requests are validated by them, responses by tests."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, RootModel, field_validator

from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunMode, RunStatus, ScrapePhase
from quart_odds.routes.api.requests import Query, WholeNumber
from quart_odds.routes.api.schemas.odds import Shape


class RetryBody(Shape):
    """The body that retries a run. It is optional."""

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


class StartBody(RetryBody):
    """The body that starts a run. It is optional."""

    mode: Annotated[RunMode, Field(description="sweep: read only the lists and the main markets in them")] = (
        RunMode.FULL
    )


class ModeQuery(Query):
    """Which runs count, by their mode."""

    mode: Annotated[
        Literal["full", "sweep", "all"],
        Field(description="full runs, sweeps (which do not fetch every event), or both"),
    ] = "full"

    @property
    def run_mode(self) -> RunMode | None:
        """The mode of the runs that count, None if all do."""
        return None if self.mode == "all" else RunMode(self.mode)


class RunsQuery(ModeQuery):
    """Which runs to list."""

    limit: Annotated[int, WholeNumber(1, 100)] = 20
    offset: Annotated[int, WholeNumber(0, 1_000_000_000)] = 0
    status: RunStatus | None = None


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
    mode: RunMode


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
