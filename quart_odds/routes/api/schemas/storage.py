"""Models of clean-ups and of the size of the database.

Their names are those of the system that existing clients know, in camel case; ours are beside them.
"""

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from quart_odds.odds.retention import CleanUpStatus, CleanUpTrigger
from quart_odds.odds.stored_data import StorageAlertKind
from quart_odds.routes.api.requests import Query, WholeNumber
from quart_odds.routes.api.schemas.odds import Shape

MOST_ID = 2**31 - 1

Days = Annotated[int, Field(ge=1, le=3650)]
Count = Annotated[int, Field(ge=0)]
NeverRemoved = Annotated[Literal[0], Field(description="nothing of that kind is ever removed")]


class CamelShape(Shape):
    """A model with names in camel case."""

    model_config = ConfigDict(alias_generator=to_camel)


class CleanupQuery(Query):
    """The age in days from which data counts as old. Defaults are in the settings."""

    odds_days: Annotated[int, WholeNumber(1, 3650)] | None = None
    match_days: Annotated[int, WholeNumber(1, 3650)] | None = None


class CleanupHistoryQuery(Query):
    """Which clean-ups."""

    limit: Annotated[int, WholeNumber(1, 100)] = 20
    offset: Annotated[int, WholeNumber(0, MOST_ID)] = 0


class StorageHistoryQuery(Query):
    """How many samples."""

    limit: Annotated[int, WholeNumber(1, 400)] = 30


class StorageAlertsQuery(Query):
    """Which alerts."""

    limit: Annotated[int, WholeNumber(1, 100)] = 20


class CleanupPreview(CamelShape):
    """What a clean-up would remove."""

    odds_before: AwareDatetime = Field(alias="odds_before")
    runs_before: AwareDatetime = Field(alias="runs_before")
    events: Count
    history_rows: Count = Field(alias="history_rows")
    runs: Count
    odds_cutoff_date: AwareDatetime
    match_cutoff_date: AwareDatetime
    odds_retention_days: Days
    match_retention_days: Days
    odds_snapshots_count: Annotated[Count, Field(description="changes of odds at the first bookmaker")]
    competitor_odds_snapshots_count: Annotated[Count, Field(description="changes of odds at the other bookmakers")]
    scrape_runs_count: Count
    scrape_batches_count: NeverRemoved
    events_count: Annotated[Count, Field(description="events as the first bookmaker lists them")]
    competitor_events_count: Annotated[Count, Field(description="events as each of the other bookmakers lists them")]
    tournaments_count: NeverRemoved
    competitor_tournaments_count: NeverRemoved


class CleanupAgreed(BaseModel):
    """What a clean-up may remove. A preview can be sent back unchanged.

    `events`, `history_rows` and `runs` are the most that it may remove. The days are the ages from which data counts as
    old, in place of those in the settings; shorter ones need the numbers of their preview.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    events: int | None = None
    history_rows: int | None = None
    runs: int | None = None
    odds_retention_days: Days | None = Field(None, alias="oddsRetentionDays")
    match_retention_days: Days | None = Field(None, alias="matchRetentionDays")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        numbers = (self.events, self.history_rows, self.runs)
        if any(each is not None for each in numbers) and None in numbers:
            raise ValueError("give events, history_rows and runs together, as in a preview")
        if numbers == (None, None, None) and self.odds_retention_days is None and self.match_retention_days is None:
            raise ValueError("send the preview, or the days from which data counts as old, or no body at all")
        return self


class CleanupDeleted(CamelShape):
    """What a clean-up has removed."""

    odds_deleted: Count
    competitor_odds_deleted: Count
    scrape_runs_deleted: Count
    scrape_batches_deleted: NeverRemoved
    events_deleted: Count
    competitor_events_deleted: Count
    tournaments_deleted: NeverRemoved
    competitor_tournaments_deleted: NeverRemoved
    oldest_odds_date: AwareDatetime | None
    oldest_match_date: AwareDatetime | None
    duration_seconds: float | None


class CleanupDone(CleanupDeleted):
    """What a clean-up removed."""

    events: Count
    history_rows: Count = Field(alias="history_rows")
    runs: Count


class CleanupRun(CleanupDeleted):
    """One clean-up."""

    id: int
    started_at: AwareDatetime
    completed_at: AwareDatetime | None
    trigger: CleanUpTrigger
    requested_by: Annotated[
        str, Field(description="who asked for it: the schedule, this machine, or a token by its id", max_length=100)
    ]
    odds_retention_days: int
    match_retention_days: int
    status: CleanUpStatus
    error_message: str | None


class CleanupHistory(Shape):
    """Clean-ups, the newest first, and how many there are."""

    runs: list[CleanupRun]
    total: int


class CleanupStatus(CamelShape):
    """Whether a clean-up is under way, and when the next one is due."""

    is_running: bool
    next_run_at: Annotated[AwareDatetime | None, Field(description="null while it is not planned yet")]
    last_run: CleanupRun | None


class TableStats(Shape):
    """The rows of one kind, and the times of the oldest and the newest."""

    count: Count
    oldest: AwareDatetime | None
    newest: AwareDatetime | None


class PlatformCount(Shape):
    """The events that a bookmaker lists."""

    platform: str
    count: Count


class CleanupStats(CamelShape):
    """What is stored. Competitors are all bookmakers besides the first; the times of events are their kick-offs."""

    odds_snapshots: TableStats
    competitor_odds_snapshots: TableStats
    events: TableStats
    competitor_events: TableStats
    tournaments: TableStats
    competitor_tournaments: TableStats
    scrape_runs: TableStats
    scrape_batches: TableStats
    events_by_platform: list[PlatformCount]
    competitor_events_by_source: list[PlatformCount]


class TableSizeRow(CamelShape):
    """A table with its indexes. Numbers are null where measuring them would read too much."""

    table_name: str
    size_bytes: Count | None
    size_human: str | None
    row_count: Count | None


class StorageSizes(CamelShape):
    """The size of the database, the largest table first."""

    tables: list[TableSizeRow]
    total_bytes: Count
    total_human: str
    measured_at: AwareDatetime


class StorageSampleRow(CamelShape):
    """The size of the database at one moment."""

    id: int
    sampled_at: AwareDatetime
    total_bytes: Count
    table_sizes: dict[str, Count]


class StorageHistory(Shape):
    """Samples, the newest first, and how many there are."""

    samples: list[StorageSampleRow]
    total: int


class StorageAlertRow(CamelShape):
    """Something about the database that somebody should know."""

    id: int
    created_at: AwareDatetime
    alert_type: StorageAlertKind
    message: str
    current_bytes: Count
    previous_bytes: Count
    growth_percent: float
    resolved_at: AwareDatetime | None


class StorageAlerts(Shape):
    """Alerts, the newest first, and how many these are."""

    alerts: list[StorageAlertRow]
    count: int
