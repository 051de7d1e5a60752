"""The scheduler: counts, pauses, skips, and never overlaps."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from quart_odds.errors import RunActiveError, StorageError
from quart_odds.scraping.scheduler import LONGEST_SLEEP_SECONDS, Scheduler, awake_or_not

BEGIN = datetime(2026, 11, 22, 10, tzinfo=UTC)


class Clock:
    """Two clocks that move when they are told to: the wall's, which can also be set, and one that only goes on.

    Who sleeps is woken by the second, and not by what passes while the machine is suspended.
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
        """Let time pass, and everybody do what is due."""
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
        """Set the clock on the wall."""
        self.now = now


class Starts:
    """Counts starts, or refuses them."""

    def __init__(self) -> None:
        self.count = 0
        self.error: Exception | None = None

    async def __call__(self) -> None:
        """Start."""
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
    """The first comes after an interval, and the next run's time is known."""
    assert scheduler.next_run == BEGIN + timedelta(minutes=5)
    await clock.forward(4.9)
    assert starts.count == 0
    for expected in (1, 2, 3):
        await clock.forward(5)
        assert starts.count == expected
    assert scheduler.next_run == BEGIN + timedelta(minutes=20)


async def test_without_an_interval_nothing_is_started(clock: Clock, starts: Starts) -> None:
    """Off is the default."""
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
    """Resuming begins to count anew."""
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
    """It is said so, and the count goes on."""
    starts.error = RunActiveError(7)
    await clock.forward(5)
    assert scheduler.skipped == 1
    assert scheduler.last_skip is not None
    assert "run 7" in scheduler.last_skip
    starts.error = None
    await clock.forward(5)
    assert starts.count == 1


async def test_many_that_were_missed_become_one(scheduler: Scheduler, clock: Clock, starts: Starts) -> None:
    """A laptop that slept for an hour scrapes once, soon after it wakes."""
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
    """Runs are one interval apart as before, and the next one's time is told by the clock as it now is."""
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
    """A long sleep of the loop would go on for all its length after the machine has woken."""
    scheduler.set_interval(1440)
    await asyncio.sleep(0)
    await clock.forward(20)
    assert clock.longest_sleep <= LONGEST_SLEEP_SECONDS


def test_the_clock_goes_on_and_is_not_the_wall_s() -> None:
    """Seconds since some moment, never fewer than before."""
    before = awake_or_not()
    assert 0 <= awake_or_not() - before < 60
    assert abs(before - time.time()) > 86_400


async def test_an_error_that_nobody_foresaw_does_not_end_the_scheduler(
    scheduler: Scheduler, clock: Clock, starts: Starts
) -> None:
    """It is told as a skip, and the next run is tried."""
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
    """The next one is tried."""
    starts.error = StorageError("locked")
    await clock.forward(5)
    starts.error = None
    await clock.forward(5)
    assert starts.count == 1
