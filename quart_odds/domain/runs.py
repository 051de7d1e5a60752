"""Runs as they are kept: one row a run, what each platform came to, the phases it went through, what went wrong."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from quart_odds.domain.platforms import Platform


class ScrapePhase(StrEnum):
    """Where a platform, or the run as a whole, stands."""

    INITIALIZING = "initializing"
    DISCOVERING = "discovering"
    SCRAPING = "scraping"
    MAPPING = "mapping"
    STORING = "storing"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows it on the same platform."""
        return self in (ScrapePhase.COMPLETED, ScrapePhase.FAILED)


class RunStatus(StrEnum):
    """How a run stands in its row. All but `running` are final."""

    RUNNING = "running"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class RunError:
    """One thing that went wrong. `where` is the event or competition it concerns; `count` is how often it happened."""

    error_type: str
    error_message: str
    occurred_at: datetime
    platform: Platform | None = None
    where: str | None = None
    recoverable: bool = False
    count: int = 1


@dataclass(frozen=True, slots=True)
class PlatformResult:
    """What a run came to at one platform. `phase` is completed or failed once it has ended.

    `found` events were listed, `fetched` have their odds, `failed` could not be got; `mapped_markets` and
    `unmapped_markets` count markets over all events, `dropped_prices` the prices that were not understood.
    `is_shrunken` says that the discovery found half, or less, of what the run before it did.
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
    """One phase of a run, of a platform or (None) of the whole; `ended_at` None while it lasts."""

    phase: ScrapePhase
    started_at: datetime
    platform: Platform | None = None
    ended_at: datetime | None = None
    events_processed: int | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run's row. `trigger` is `api`, `api-stream`, `page`, `scheduled`, `cli` or `retry:<id>`."""

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

    @property
    def duration_ms(self) -> int | None:
        """How long it took, None while it runs. 0 where a clock that was set back meanwhile hides it."""
        if self.completed_at is None:
            return None
        return max(0, round((self.completed_at - self.started_at).total_seconds() * 1000))
