"""Starts runs at an interval. It pauses and resumes, never makes two at once, and says which it had to skip."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog

from quart_odds.domain.clock import utc_now
from quart_odds.errors import QuartOddsError, RunActiveError, RunStateError

log = structlog.get_logger(__name__)

Sleep = Callable[[float], Awaitable[None]]


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
    ) -> None:
        self.is_paused = is_paused
        self.skipped = 0
        self.last_skip: str | None = None
        self._start_run = start_run
        self._interval = timedelta(minutes=interval_minutes)
        self._now = now
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None
        self._next_run: datetime | None = None
        self._is_open = False

    @property
    def interval_minutes(self) -> float:
        """Time between two runs' starts; 0 is never."""
        return self._interval.total_seconds() / 60

    @property
    def is_on(self) -> bool:
        """Whether there is an interval at all."""
        return bool(self._interval)

    @property
    def next_run(self) -> datetime | None:
        """When the next run starts."""
        return self._next_run

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
        interval = timedelta(minutes=minutes)
        if interval != self._interval:
            self._interval = interval
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
        self._next_run = None
        if self._is_open and self.is_on and not self.is_paused:
            self._next_run = self._now() + self._interval
            self._task = asyncio.create_task(self._count(), name="scheduler")

    async def _count(self) -> None:
        while self._next_run is not None:
            await self._sleep(max(0.0, (self._next_run - self._now()).total_seconds()))
            self._skip_what_is_past()
            await self._start()
            self._next_run += self._interval

    def _skip_what_is_past(self) -> None:
        """After a sleep of the machine, or a clock that was set: one run, not all that would have been."""
        assert self._next_run is not None
        late = (self._now() - self._next_run) // self._interval
        if late > 0:
            self._skip(late, "the machine was asleep")
            self._next_run += late * self._interval

    async def _start(self) -> None:
        try:
            await self._start_run()
        except RunActiveError as error:
            self._skip(1, f"run {error.scrape_run_id} was still going")
        except RunStateError as error:
            self._skip(1, str(error))
        except QuartOddsError as error:
            log.exception("scheduler.start_failed")
            self._skip(1, str(error))

    def _skip(self, count: int, reason: str) -> None:
        self.skipped += count
        self.last_skip = f"{self._now():%Y-%m-%d %H:%M} UTC: {reason}"
        log.warning("scheduler.skipped", count=count, reason=reason)
