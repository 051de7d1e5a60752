"""The gate that requests go through one by one, on a clock that the test turns."""

import asyncio
from datetime import UTC, datetime

import pytest

from quart_odds.bookmakers.politeness import Gate, retry_after_seconds


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Let others run, then be so much later."""
        await asyncio.sleep(0)
        self.now += seconds


async def test_starts_are_the_delay_apart() -> None:
    """Whatever the number of places."""
    clock = Clock()
    gate = Gate(10, 0.5, clock=clock, sleep=clock.sleep)
    starts: list[float] = []

    async def request() -> None:
        async with gate.slot():
            starts.append(clock.now)

    await asyncio.gather(*(request() for _ in range(4)))
    assert starts == [100.0, 100.5, 101.0, 101.5]


async def test_no_more_than_the_places_are_under_way() -> None:
    """The next request starts when a place is given back."""
    gate = Gate(2, 0)
    under_way = 0
    most = 0

    async def request() -> None:
        nonlocal under_way, most
        async with gate.slot():
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1

    await asyncio.gather(*(request() for _ in range(10)))
    assert most == 2


async def test_waiting_for_the_delay_takes_no_place() -> None:
    """With one place, it is free for whoever is under way and again while the next waits its turn."""
    clock = Clock()
    places: list[int] = []
    gate = Gate(1, 5, clock=clock, sleep=clock.sleep)

    async def slow_sleep(seconds: float) -> None:
        places.append(gate._slots._value)
        await clock.sleep(seconds)

    gate._sleep = slow_sleep
    for _ in range(2):
        async with gate.slot():
            pass
    assert places == [1]


async def test_a_pause_holds_those_that_wait_for_a_place_too() -> None:
    """It was asked for while all places were taken."""
    clock = Clock()
    gate = Gate(1, 0, clock=clock, sleep=clock.sleep)
    started: list[float] = []

    async def request() -> None:
        async with gate.slot():
            started.append(clock.now)

    async with gate.slot():
        task = asyncio.create_task(request())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gate.pause(7)
    await task
    assert started == [107.0]


async def test_a_cancelled_wait_leaves_the_gate_as_it_was() -> None:
    """The next one gets through."""
    gate = Gate(1, 0)
    async with gate.slot():
        task = asyncio.create_task(gate.slot().__aenter__())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with asyncio.timeout(5), gate.slot():
        pass


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("12", 12.0),
        (" 0 ", 0.0),
        ("-5", None),
        ("Fri, 06 Nov 2026 10:00:30 GMT", 30.0),
        ("Fri, 06 Nov 2026 09:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    """What says nothing is None."""
    assert retry_after_seconds(header, datetime(2026, 11, 6, 10, 0, tzinfo=UTC)) == seconds
