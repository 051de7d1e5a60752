"""Stored runs: one record per run, with the result of each platform, the phases and the errors."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from quart_odds.domain.platforms import Platform


class ScrapePhase(StrEnum):
    """The phase of a platform, or of the run as a whole."""

    INITIALIZING = "initializing"
    DISCOVERING = "discovering"
    SCRAPING = "scraping"
    MAPPING = "mapping"
    STORING = "storing"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether this is the last phase of a platform."""
        return self in (ScrapePhase.COMPLETED, ScrapePhase.FAILED)


class RunMode(StrEnum):
    """What a run reads: every event with all its prices, or the lists and the main markets in them.

    A scheduled sweep also fetches the events that are most urgent, as far as the budget of requests allows.
    """

    FULL = "full"
    SWEEP = "sweep"


class RunStatus(StrEnum):
    """The status of a stored run. All but `running` are final."""

    RUNNING = "running"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class RunError:
    """An error of a run. `where` is the event or competition concerned, `count` the number of occurrences."""

    error_type: str
    error_message: str
    occurred_at: datetime
    platform: Platform | None = None
    where: str | None = None
    recoverable: bool = False
    count: int = 1


@dataclass(frozen=True, slots=True)
class PlatformResult:
    """The result of a run at one platform. `phase` is completed or failed once the platform has finished.

    `found` events were listed, `fetched` ones have odds, `failed` ones could not be fetched. `mapped_markets` and
    `unmapped_markets` count markets over all events, `dropped_prices` the prices that were not understood.
    `is_shrunken` means that the discovery found at most half as many events as the previous run.
    """

    platform: Platform
    phase: ScrapePhase
    found: int = 0
    fetched: int = 0
    failed: int = 0
    duration_ms: int | None = None
    mapped_markets: int = 0
    unmapped_markets: int = 0
    dropped_prices: int = 0
    is_shrunken: bool = False
    error: RunError | None = None


@dataclass(frozen=True, slots=True)
class PhaseRecord:
    """A phase of one platform, or of the whole run if `platform` is None. `ended_at` is None during the phase."""

    phase: ScrapePhase
    started_at: datetime
    platform: Platform | None = None
    ended_at: datetime | None = None
    events_processed: int | None = None
    message: str | None = None


TRIGGERS = frozenset({"api", "api-stream", "page", "scheduled", "cli", "retry"})


def trigger_kind(trigger: str) -> str:
    """Return one of TRIGGERS for what started a run, without the id of a run that is retried; or `other`."""
    kind = trigger.partition(":")[0]
    return kind if kind in TRIGGERS else "other"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A stored run. `trigger` is `api`, `api-stream`, `page`, `scheduled`, `cli` or `retry:<id>`."""

    id: int
    status: RunStatus
    trigger: str
    platforms: tuple[Platform, ...]
    started_at: datetime
    completed_at: datetime | None = None
    events_scraped: int = 0
    events_failed: int = 0
    results: tuple[PlatformResult, ...] = ()
    errors: tuple[RunError, ...] = ()
    mode: RunMode = RunMode.FULL

    @property
    def duration_ms(self) -> int | None:
        """The run's duration, None while it is running. 0 if the clock was set back in the meantime."""
        if self.completed_at is None:
            return None
        return max(0, round((self.completed_at - self.started_at).total_seconds() * 1000))
