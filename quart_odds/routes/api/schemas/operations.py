"""Models of statistics, health, the scheduler, settings and the clean-up, validated as those of runs are."""

from datetime import date
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, RootModel

from quart_odds.domain.platforms import Platform
from quart_odds.domain.processes import Role
from quart_odds.routes.api.requests import WholeNumber
from quart_odds.routes.api.schemas.odds import Shape
from quart_odds.routes.api.schemas.scrape import ModeQuery
from quart_odds.scraping.runtime_settings import PreferenceChanges

PlatformStatus = Literal["healthy", "unhealthy"]


class PreferencesBody(PreferenceChanges):
    """The settings to change; the others stay as they are. Names include the units."""

    updated_at: Annotated[
        object, Field(exclude=True, description="ignored, so that a response can be edited and sent back")
    ] = None


class AnalyticsQuery(ModeQuery):
    """How many days to cover, and which runs."""

    days: Annotated[int, WholeNumber(1, 30)] = 14


class EventMetricsQuery(ModeQuery):
    """How many days to cover, and which runs."""

    days: Annotated[int, WholeNumber(1, 30)] = 7


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

    running: Annotated[bool, Field(description="always true: a scheduler without an interval waits for one")]
    enabled: Annotated[bool, Field(description="whether an interval is set")]
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
    checked: Annotated[bool, Field(description="false before the first full run: then it counts as healthy")]
    response_time_ms: float | None
    error: str | None


class Activity(Shape):
    """Whether everything that is on the log has arrived, and who is connected.

    `connections` are all live ones, `active_count` those that listen to topics.
    """

    level: bool
    connections: int
    active_count: int
    topic_counts: dict[str, int]
    watched_events: Annotated[int, Field(description="events that are fetched more often because clients watch them")]


class ProcessFigures(Activity):
    """One process. `worker` is its number if it is one of several workers."""

    name: Annotated[str, Field(description="differs between any two processes; `holder` is such a name")]
    worker: Annotated[int, Field(ge=1, le=64)] | None
    pid: int
    role: Role


class ClusterFigures(Activity):
    """All processes that serve the same odds. The numbers are those of all together."""

    processes: list[ProcessFigures]
    writer: Annotated[str | None, Field(description="the name of the process that writes; null while there is none")]


class Health(Shape):
    """The health of the database and the bookmakers."""

    status: Literal["healthy", "degraded", "unhealthy"]
    database: Literal["connected", "disconnected"]
    database_ms: int
    platforms: list[PlatformHealth]
    connections: int
    writer: bool
    read_only_reason: str | None = None
    role: Role
    term: int
    holder: str | None
    process: Annotated[ProcessFigures, Field(description="the process that answers")]
    cluster: Annotated[
        ClusterFigures | None, Field(description="null without an engine, and while Redis does not answer")
    ]


class Alive(Shape):
    """The process is alive."""

    status: str
    version: str


class Ready(Shape):
    """Whether the process accepts work."""

    status: str
    detail: str | None = None
    role: Role | None = None
