"""What a clean-up removes, when the database was last cleaned up, and the record of each clean-up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

CleanUpStatus = Literal["running", "completed", "failed"]
CleanUpTrigger = Literal["scheduled", "manual"]


@dataclass(frozen=True, slots=True)
class Removal:
    """How many rows were, or would be, removed. `events` go with all their odds, which `history_rows` includes.

    `listings` are the bookmakers' own entries of these events, and `rows_by` the history rows, both by slug.
    """

    events: int = 0
    history_rows: int = 0
    openings: int = 0
    runs: int = 0
    listings: Mapping[str, int] = field(default_factory=dict, compare=False)
    rows_by: Mapping[str, int] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Ages:
    """The age in days from which odds and events, and from which runs, count as old."""

    odds_days: int
    match_days: int

    def limits(self, now: datetime) -> tuple[datetime, datetime]:
        """Return the moments before which odds and runs are old."""
        return now - timedelta(days=self.odds_days), now - timedelta(days=self.match_days)

    def is_within(self, other: "Ages") -> bool:
        """Return whether nothing counts as old here that does not with the other ages."""
        return self.odds_days >= other.odds_days and self.match_days >= other.match_days


@dataclass(frozen=True, slots=True)
class CleanUp:
    """One clean-up. `requested_by` says who asked for it, in words; `removal` is complete once it is completed.

    The oldest odds and the oldest kick-off are those that were left; None if none were, or while it is running.
    """

    id: int
    trigger: CleanUpTrigger
    requested_by: str
    ages: Ages
    started_at: datetime
    status: CleanUpStatus = "running"
    completed_at: datetime | None = None
    removal: Removal = Removal()
    oldest_odds_at: datetime | None = None
    oldest_kickoff: datetime | None = None
    error: str | None = None

    @property
    def duration_seconds(self) -> float | None:
        """How long it took; None while it is running."""
        return None if self.completed_at is None else (self.completed_at - self.started_at).total_seconds()


class CleanUpState(BaseModel):
    """When the database was last cleaned up, and at which revision of its tables.

    `first_at` is when the first clean-up after an upgrade is due, once that has been announced.
    """

    model_config = ConfigDict(frozen=True)

    revision: str
    last_at: AwareDatetime | None = None
    first_at: AwareDatetime | None = None

    def due_at(self, now: datetime, interval: timedelta) -> datetime:
        """Return when the next clean-up is due by the wall clock: `now` or earlier if it is overdue."""
        return self.first_at or (self.last_at or now - interval) + interval
