"""Starts runs at an interval. It can be paused and resumed, and reports the runs that it had to skip.

Time is measured with a clock that cannot be set and that continues while the machine is suspended. `next_run` is
converted to the wall clock.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog

from quart_odds.domain.clock import awake_or_not, utc_now
from quart_odds.domain.processes import SchedulerState
from quart_odds.errors import NotWriterError, QuartOddsError, RunActiveError

log = structlog.get_logger(__name__)

Sleep = Callable[[float], Awaitable[None]]

LONGEST_SLEEP_SECONDS = 30.0
"""Sleeps of the event loop stop while the machine is suspended. This limits how late the scheduler notices it."""


class Scheduler:
    """Starts a run at each interval. A run that cannot start is skipped: `skipped` counts, `last_skip` says why.

    With `is_quiet`, skipped runs are logged at the level debug. A run that another process starts, because that one
    writes, was not skipped.
    """

    def __init__(
        self,
        start_run: Callable[[], Awaitable[object]],
        *,
        interval_minutes: float,
        is_paused: bool = False,
        is_quiet: bool = False,
        now: Callable[[], datetime] = utc_now,
        sleep: Sleep = asyncio.sleep,
        clock: Callable[[], float] = awake_or_not,
    ) -> None:
        self.is_paused = is_paused
        self.skipped = 0
        self.last_skip: str | None = None
        self._is_quiet = is_quiet
        self._start_run = start_run
        self._interval_seconds = interval_minutes * 60
        self._now = now
        self._sleep = sleep
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._due: float | None = None
        self._is_open = False

    @property
    def interval_minutes(self) -> float:
        """The time between the starts of two runs; 0 means that no run is started."""
        return self._interval_seconds / 60

    @property
    def is_on(self) -> bool:
        """Whether an interval is set. A scheduler that is paused is still on."""
        return bool(self._interval_seconds)

    @property
    def next_run(self) -> datetime | None:
        """When the next run starts, by the current wall clock, to the second; None while off or paused."""
        if self._due is None:
            return None
        at = self._now() + timedelta(seconds=max(0.0, self._due - self._clock()))
        return (at + timedelta(milliseconds=500)).replace(microsecond=0)

    @property
    def state(self) -> SchedulerState:
        """The state now."""
        return SchedulerState(
            self.is_on, self.is_paused, self.interval_minutes, self.next_run, self.skipped, self.last_skip
        )

    def open(self) -> None:
        """Start the timer. The first run starts one interval from now."""
        self._is_open = True
        self._restart()

    def pause(self) -> None:
        """Start no more runs until `resume`. An active run continues."""
        self.is_paused = True
        self._restart()

    def resume(self) -> None:
        """Start the timer again. The next run starts one interval from now."""
        self.is_paused = False
        self._restart()

    def set_interval(self, minutes: float) -> None:
        """Change the interval. If it is different from before, the timer starts again."""
        if minutes * 60 != self._interval_seconds:
            self._interval_seconds = minutes * 60
            self._restart()

    async def close(self) -> None:
        """Stop the timer."""
        self._is_open = False
        task = self._task
        self._restart()
        if task is not None:
            await asyncio.wait([task])

    def _restart(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._due = None
        if self._is_open and self.is_on and not self.is_paused:
            self._due = self._clock() + self._interval_seconds
            self._task = asyncio.create_task(self._count(), name="scheduler")

    async def _count(self) -> None:
        while self._due is not None:
            left = self._due - self._clock()
            if left > 0:
                await self._sleep(min(left, LONGEST_SLEEP_SECONDS))
                continue
            self._due += self._skip_what_is_past(-left)
            await self._start()
            self._due += self._interval_seconds

    def _skip_what_is_past(self, late_seconds: float) -> float:
        """After the machine was suspended, skip all due runs but one. Returns the number of seconds skipped."""
        count = int(late_seconds // self._interval_seconds)
        if count > 0:
            self._skip(count, "the machine was asleep")
        return count * self._interval_seconds

    async def _start(self) -> None:
        try:
            await self._start_run()
        except RunActiveError as error:
            self._skip(1, f"run {error.scrape_run_id} was still going")
        except NotWriterError as error:
            # The process that writes starts it. Here the timer goes on, for when this process takes over.
            log.debug("scheduler.left_to_the_writer", reason=error.for_operator)
        except QuartOddsError as error:
            self._skip(1, str(error))
        except Exception as error:
            # An unexpected error: log the traceback, and keep the timer running.
            log.exception("scheduler.start_failed")
            self._skip(1, f"an error that was not foreseen, {type(error).__name__}; the log says more")

    def _skip(self, count: int, reason: str) -> None:
        self.skipped += count
        self.last_skip = f"{self._now():%Y-%m-%d %H:%M} UTC: {reason}"
        (log.debug if self._is_quiet else log.warning)("scheduler.skipped", count=count, reason=reason)
