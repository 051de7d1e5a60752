"""The scheduler: counts, pauses, skips, and never overlaps."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from quart_odds.errors import RunActiveError, StorageError
from quart_odds.scraping.scheduler import Scheduler

BEGIN = datetime(2026, 11, 22, 10, tzinfo=UTC)


class Clock:
    """A clock that moves when it is told to, and wakes who sleeps."""

    def __init__(self) -> None:
        self.now = BEGIN
        self._sleepers: list[tuple[datetime, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        """Sleep by this clock."""
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + timedelta(seconds=seconds), future))
        await future

    async def forward(self, minutes: float) -> None:
        """Let time pass, and everybody do what is due."""
        self.now += timedelta(minutes=minutes)
        for at, future in self._sleepers:
            if at <= self.now and not future.done():
                future.set_result(None)
        for _ in range(5):
            await asyncio.sleep(0)


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
    made = Scheduler(starts, interval_minutes=5, now=lambda: clock.now, sleep=clock.sleep)
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
    scheduler = Scheduler(starts, interval_minutes=0, now=lambda: clock.now, sleep=clock.sleep)
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
    """A laptop that slept for an hour scrapes once when it wakes."""
    await clock.forward(62)
    assert starts.count == 1
    assert scheduler.skipped == 11
    assert scheduler.next_run == BEGIN + timedelta(minutes=65)


async def test_a_database_that_fails_does_not_end_the_scheduler(
    scheduler: Scheduler, clock: Clock, starts: Starts
) -> None:
    """The next one is tried."""
    starts.error = StorageError("locked")
    await clock.forward(5)
    starts.error = None
    await clock.forward(5)
    assert starts.count == 1
