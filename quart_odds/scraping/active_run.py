"""A run in progress: its row, its counters, and the progress that it publishes."""

import asyncio
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from quart_odds import tracing
from quart_odds.domain.runs import RunMode, RunRecord, RunStatus
from quart_odds.errors import StorageError
from quart_odds.odds.ownership import Recording
from quart_odds.scraping.broadcaster import ProgressBroadcaster
from quart_odds.scraping.progress_tracker import RunTracker
from quart_odds.scraping.reporter import ProgressReporter, QuietReporter, Reporter
from quart_odds.scraping.schemas import ScrapeProgress


@dataclass(eq=False, slots=True)
class ActiveRun:
    """A run in progress.

    `began` is on the monotonic clock. `ending` is the status of a run that was stopped before its end, and
    `ending_reason` says why if it was interrupted. `store_error` says why its end has not been stored so far.
    """

    record: RunRecord
    broadcaster: ProgressBroadcaster
    tracker: RunTracker
    began: float
    reporter: Reporter = field(init=False)
    work: asyncio.Task[None] | None = None
    task: asyncio.Task[None] | None = None
    bridge: asyncio.Task[None] | None = None
    ending: RunStatus | None = None
    ending_reason: str = "the server was shut down"
    is_ending: bool = False
    recording: Recording = field(default_factory=Recording)
    store_error: StorageError | None = None
    store_limit: asyncio.Timeout | None = None

    def __post_init__(self) -> None:
        self.reporter = (QuietReporter if self.is_quiet else ProgressReporter)(self.tracker, self.publish)

    @property
    def is_quiet(self) -> bool:
        """Whether the run publishes only its start and its end."""
        return self.record.mode is RunMode.SWEEP

    @property
    def elapsed_ms(self) -> int:
        """Milliseconds since the run began."""
        return round((time.monotonic() - self.began) * 1000)

    def span(self) -> AbstractContextManager[object]:
        """Return the block of the run's span."""
        record = self.record
        return tracing.span("run", run_id=record.id, mode=str(record.mode), trigger=record.trigger)

    def snapshot(self) -> RunRecord:
        """Return the run's row with the current counts and errors."""
        return replace(
            self.record,
            events_scraped=self.tracker.fetched,
            events_failed=self.tracker.failed,
            results=tuple(each.result() for each in self.tracker.platforms),
            errors=self.tracker.errors(),
        )

    def publish(self, progress: ScrapeProgress) -> None:
        """Publish progress, with this run's id, elapsed time and mode filled in."""
        self.broadcaster.publish(self.completed(progress))

    def completed(self, progress: ScrapeProgress) -> ScrapeProgress:
        """Return progress with this run's id, elapsed time and mode filled in."""
        return progress.with_run(self.record.id, self.elapsed_ms, self.record.mode)
