"""Starts runs at an interval. It pauses and resumes, never makes two at once, and says which it had to skip.

It counts by a clock that nobody sets and that goes on while the machine is suspended; `next_run` is what that comes to
by the wall clock.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog

from quart_odds.domain.clock import utc_now
from quart_odds.errors import QuartOddsError, RunActiveError

log = structlog.get_logger(__name__)

Sleep = Callable[[float], Awaitable[None]]

LONGEST_SLEEP_SECONDS = 30.0
"""Sleeps of the loop stand still while the machine is suspended: so much later, at most, it is seen that it was."""


def awake_or_not() -> float:
    """Seconds that have passed, those while the machine was suspended included where the system counts them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Scheduler:
    """One timer. `next_run` is when it starts a run next; None while it is off or paused."""

    def __init__(
        self,
        start_run: Callable[[], Awaitable[object]],
        *,
        interval_minutes: float,
        is_paused: bool = False,
        now: Callable[[], datetime] = utc_now,
        sleep: Sleep = asyncio.sleep,
        clock: Callable[[], float] = awake_or_not,
    ) -> None:
        self.is_paused = is_paused
        self.skipped = 0
        self.last_skip: str | None = None
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
        """Time between two runs' starts; 0 is never."""
        return self._interval_seconds / 60

    @property
    def is_on(self) -> bool:
        """Whether there is an interval at all."""
        return bool(self._interval_seconds)

    @property
    def next_run(self) -> datetime | None:
        """When the next run starts, to the second, by the wall clock as it is now."""
        if self._due is None:
            return None
        at = self._now() + timedelta(seconds=max(0.0, self._due - self._clock()))
        return (at + timedelta(milliseconds=500)).replace(microsecond=0)

    def open(self) -> None:
        """Begin to count; the first run starts one interval from now."""
        self._is_open = True
        self._restart()

    def pause(self) -> None:
        """Start no run until `resume`; one that is going goes on."""
        self.is_paused = True
        self._restart()

    def resume(self) -> None:
        """Begin to count again."""
        self.is_paused = False
        self._restart()

    def set_interval(self, minutes: float) -> None:
        """Change the interval; the count begins again when it is another."""
        if minutes * 60 != self._interval_seconds:
            self._interval_seconds = minutes * 60
            self._restart()

    async def close(self) -> None:
        """Stop counting."""
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
        """After a sleep of the machine: one run, not all that would have been. Returns by how much to go on."""
        count = int(late_seconds // self._interval_seconds)
        if count > 0:
            self._skip(count, "the machine was asleep")
        return count * self._interval_seconds

    async def _start(self) -> None:
        try:
            await self._start_run()
        except RunActiveError as error:
            self._skip(1, f"run {error.scrape_run_id} was still going")
        except QuartOddsError as error:
            self._skip(1, str(error))
        except Exception as error:
            # Not known of before: the log gets all there is, and the count goes on.
            log.exception("scheduler.start_failed")
            self._skip(1, f"an error that was not foreseen, {type(error).__name__}; the log says more")

    def _skip(self, count: int, reason: str) -> None:
        self.skipped += count
        self.last_skip = f"{self._now():%Y-%m-%d %H:%M} UTC: {reason}"
        log.warning("scheduler.skipped", count=count, reason=reason)
