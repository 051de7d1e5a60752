"""The scheduler: its timer, pauses and skipped runs; runs never overlap."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from quart_odds.domain.clock import awake_or_not
from quart_odds.errors import NotWriterError, RunActiveError, StorageError
from quart_odds.scraping.scheduler import LONGEST_SLEEP_SECONDS, Scheduler

BEGIN = datetime(2026, 11, 22, 10, tzinfo=UTC)


class Clock:
    """Two clocks that the test moves: the wall clock, which can also be set, and a monotonic clock.

    Sleeps follow the monotonic clock, but do not count time while the machine is suspended.
    """

    def __init__(self) -> None:
        self.now = BEGIN
        self.passed = 5000.0
        self.longest_sleep = 0.0
        self._awake = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        """Sleep while the machine is awake."""
        self.longest_sleep = max(self.longest_sleep, seconds)
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._awake + seconds, future))
        await future

    async def forward(self, minutes: float, *, is_suspended: bool = False) -> None:
        """Let time pass, and let sleepers that are due run."""
        self.now += timedelta(minutes=minutes)
        self.passed += minutes * 60
        if is_suspended:
            return
        self._awake += minutes * 60
        while due := [each for each in self._sleepers if each[0] <= self._awake]:
            for each in due:
                self._sleepers.remove(each)
                if not each[1].done():
                    each[1].set_result(None)
            for _ in range(5):
                await asyncio.sleep(0)

    def set(self, now: datetime) -> None:
        """Set the wall clock."""
        self.now = now


class Starts:
    """Counts starts, or fails with an error."""

    def __init__(self) -> None:
        self.count = 0
        self.error: Exception | None = None

    async def __call__(self) -> None:
        """Count a start, or raise the error."""
        if self.error is not None:
            raise self.error
        self.count += 1


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def starts() -> Starts:
    return Starts()


@pytest.fixture
async def scheduler(clock: Clock, starts: Starts) -> AsyncIterator[Scheduler]:
    made = Scheduler(starts, interval_minutes=5, now=lambda: clock.now, sleep=clock.sleep, clock=lambda: clock.passed)
    made.open()
    await asyncio.sleep(0)
    yield made
    await made.close()


async def test_runs_start_one_interval_apart(scheduler: Scheduler, clock: Clock, starts: Starts) -> None:
    """The first run starts after one interval, and the time of the next run is known."""
    assert scheduler.next_run == BEGIN + timedelta(minutes=5)
    await clock.forward(4.9)
    assert starts.count == 0
    for expected in (1, 2, 3):
        await clock.forward(5)
        assert starts.count == expected
    assert scheduler.next_run == BEGIN + timedelta(minutes=20)


async def test_without_an_interval_nothing_is_started(clock: Clock, starts: Starts) -> None:
    """With an interval of 0 the scheduler is off, which is the default; setting an interval turns it on."""
    scheduler = Scheduler(
        starts, interval_minutes=0, now=lambda: clock.now, sleep=clock.sleep, clock=lambda: clock.passed
    )
    scheduler.open()
    await clock.forward(10_000)
    assert (starts.count, scheduler.next_run, scheduler.is_on) == (0, None, False)
    scheduler.set_interval(1)
    await asyncio.sleep(0)
    await clock.forward(1)
    assert starts.count == 1
    await scheduler.close()


async def test_paused_nothing_starts_until_resumed(scheduler: Scheduler, clock: Clock, starts: Starts) -> None:
    """Resuming starts the timer again."""
    scheduler.pause()
    await clock.forward(60)
    assert (starts.count, scheduler.next_run) == (0, None)
    scheduler.resume()
    await asyncio.sleep(0)
    assert scheduler.next_run == clock.now + timedelta(minutes=5)
    await clock.forward(5)
    assert starts.count == 1


async def test_a_run_that_is_still_going_makes_the_next_be_skipped(
    scheduler: Scheduler, clock: Clock, starts: Starts
) -> None:
    """The skip is reported, and the timer continues."""
    starts.error = RunActiveError(7)
    await clock.forward(5)
    assert scheduler.skipped == 1
    assert scheduler.last_skip is not None
    assert "run 7" in scheduler.last_skip
    starts.error = None
    await clock.forward(5)
    assert starts.count == 1


async def test_many_that_were_missed_become_one(scheduler: Scheduler, clock: Clock, starts: Starts) -> None:
    """A laptop that was suspended for an hour scrapes once, soon after it wakes up."""
    await clock.forward(62, is_suspended=True)
    assert starts.count == 0
    await clock.forward(0.5)
    assert starts.count == 1
    assert scheduler.skipped == 11
    assert scheduler.next_run == BEGIN + timedelta(minutes=65)


@pytest.mark.parametrize("jump", [timedelta(days=-1), timedelta(hours=-1), timedelta(hours=1), timedelta(days=30)])
async def test_a_clock_that_is_set_neither_delays_a_run_nor_adds_one(
    jump: timedelta, scheduler: Scheduler, clock: Clock, starts: Starts
) -> None:
    """Runs are still one interval apart, and the time of the next run is by the wall clock as it is now."""
    await clock.forward(2)
    clock.set(clock.now + jump)
    assert scheduler.next_run == BEGIN + jump + timedelta(minutes=5)
    await clock.forward(2.9)
    assert starts.count == 0
    await clock.forward(0.1)
    assert starts.count == 1
    await clock.forward(5)
    assert (starts.count, scheduler.skipped) == (2, 0)
    assert scheduler.next_run == BEGIN + jump + timedelta(minutes=15)


async def test_the_wait_is_cut_into_sleeps_that_see_a_suspended_machine(scheduler: Scheduler, clock: Clock) -> None:
    """Otherwise a long sleep of the event loop would continue for its full length after the machine wakes up."""
    scheduler.set_interval(1440)
    await asyncio.sleep(0)
    await clock.forward(20)
    assert clock.longest_sleep <= LONGEST_SLEEP_SECONDS


def test_the_clock_goes_on_and_is_not_the_wall_s() -> None:
    """It returns seconds since some moment and never goes back."""
    before = awake_or_not()
    assert 0 <= awake_or_not() - before < 60
    assert abs(before - time.time()) > 86_400


async def test_an_error_that_nobody_foresaw_does_not_end_the_scheduler(
    scheduler: Scheduler, clock: Clock, starts: Starts
) -> None:
    """It is reported as a skip, and the next run is tried."""
    starts.error = OSError("no more files")
    await clock.forward(5)
    assert scheduler.last_skip is not None
    assert scheduler.last_skip.endswith("an error that was not foreseen, OSError; the log says more")
    starts.error = None
    await clock.forward(5)
    assert starts.count == 1


async def test_a_database_that_fails_does_not_end_the_scheduler(
    scheduler: Scheduler, clock: Clock, starts: Starts
) -> None:
    """The next run is tried."""
    starts.error = StorageError("locked")
    await clock.forward(5)
    starts.error = None
    await clock.forward(5)
    assert starts.count == 1


async def test_a_process_that_does_not_write_is_silent_until_it_does(
    scheduler: Scheduler, clock: Clock, starts: Starts
) -> None:
    """The writer starts the runs, so nothing was skipped. The timer goes on, for when this process takes over."""
    starts.error = NotWriterError()
    with capture_logs() as lines:
        for _ in range(3):
            await clock.forward(5)
    assert [line for line in lines if line["log_level"] != "debug"] == []
    assert (scheduler.skipped, scheduler.last_skip) == (0, None)
    starts.error = None
    await clock.forward(5)
    assert starts.count == 1
