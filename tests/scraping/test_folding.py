"""Folding of sweeps: when it happens, in which process, and what it survives."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs

from quart_odds.errors import NotWriterError, StorageError
from quart_odds.scraping.folding import EVERY_SECONDS, FIRST_SECONDS, SWEEPS_KEPT, SweepFolding
from tests.odds.making import NOW


class Shelf:
    """A store that notes which foldings it is asked for, and fails as a test has set."""

    def __init__(self) -> None:
        self.term: int | None = 7
        self.folded: list[tuple[datetime, int | None]] = []
        self.error: Exception | None = None

    async def fold_sweeps(self, before: datetime, term: int | None) -> int:
        """Note the call."""
        if self.error is not None:
            raise self.error
        self.folded.append((before, term))
        return 3


class Clock:
    """A time that only sleeping moves. A sleep ends when the test says so."""

    def __init__(self) -> None:
        self.now = NOW
        self.sleeps: asyncio.Queue[float] = asyncio.Queue()
        self._go = asyncio.Semaphore(0)

    async def sleep(self, seconds: float) -> None:
        """Wait for the test."""
        self.sleeps.put_nowait(seconds)
        await self._go.acquire()
        self.now += timedelta(seconds=seconds)

    async def pass_on(self) -> float:
        """End a sleep, and return how long it was, when the next one has begun."""
        async with asyncio.timeout(10):
            seconds = await self.sleeps.get()
            self._go.release()
            while self.sleeps.empty():
                await asyncio.sleep(0)
        return seconds


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def clock(shelf: Shelf) -> AsyncIterator[Clock]:
    made = Clock()
    folding = SweepFolding(shelf, now=lambda: made.now, sleep=made.sleep)
    folding.open()
    yield made
    await folding.close()


async def test_sweeps_of_more_than_a_day_ago_are_folded_every_hour(shelf: Shelf, clock: Clock) -> None:
    """The first folding leaves the start alone; each is of what ended a day before, in the current term."""
    assert [await clock.pass_on(), await clock.pass_on()] == [FIRST_SECONDS, EVERY_SECONDS]
    first = NOW + timedelta(seconds=FIRST_SECONDS) - SWEEPS_KEPT
    assert shelf.folded == [(first, 7), (first + timedelta(hours=1), 7)]
    assert timedelta(days=1) == SWEEPS_KEPT


async def test_a_process_that_does_not_write_folds_nothing(shelf: Shelf, clock: Clock) -> None:
    """It folds once it has become the writer."""
    shelf.term = None
    await clock.pass_on()
    assert shelf.folded == []
    shelf.term = 8
    await clock.pass_on()
    assert [term for _, term in shelf.folded] == [8]


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (StorageError("the database is locked"), "sweeps.not_folded"),
        (NotWriterError(), "sweeps.not_folded"),
        (ValueError("a fault of ours"), "sweeps.folding_broke"),
    ],
)
async def test_a_folding_that_fails_is_reported_and_tried_again(
    shelf: Shelf, clock: Clock, error: Exception, event: str
) -> None:
    """The next one is an hour later, and covers what this one did not."""
    shelf.error = error
    with capture_logs() as logs:
        await clock.pass_on()
    assert [each["event"] for each in logs] == [event]
    shelf.error = None
    assert await clock.pass_on() == EVERY_SECONDS
    assert len(shelf.folded) == 1
