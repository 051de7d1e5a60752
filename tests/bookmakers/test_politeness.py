"""The throttle, tested with a controlled clock."""

import asyncio
from datetime import UTC, datetime

import pytest

from quart_odds.bookmakers.politeness import (
    MOST_REFUSALS_IN_A_ROW,
    REFUSAL_REST_SECONDS,
    Pace,
    Throttle,
    retry_after_seconds,
)


class Clock:
    """A clock that only advances by sleeping."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Let other tasks run, then advance the clock."""
        await asyncio.sleep(0)
        self.now += seconds


async def test_starts_are_the_delay_apart() -> None:
    """However many slots there are."""
    clock = Clock()
    throttle = Throttle(lambda: Pace(10, 0.5), clock=clock, sleep=clock.sleep)
    starts: list[float] = []

    async def request() -> None:
        async with throttle.slot():
            starts.append(clock.now)

    await asyncio.gather(*(request() for _ in range(4)))
    assert starts == [100.0, 100.5, 101.0, 101.5]


async def test_no_more_than_the_places_are_under_way() -> None:
    """The next request starts when a slot becomes free."""
    throttle = Throttle(lambda: Pace(2, 0))
    under_way = 0
    most = 0

    async def request() -> None:
        nonlocal under_way, most
        async with throttle.slot():
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1

    await asyncio.gather(*(request() for _ in range(10)))
    assert most == 2


async def test_waiting_for_the_delay_takes_no_place() -> None:
    """The only slot is free again while the next request waits for the delay."""
    clock = Clock()
    places: list[int] = []
    throttle = Throttle(lambda: Pace(1, 5), clock=clock, sleep=clock.sleep)

    async def slow_sleep(seconds: float) -> None:
        places.append(throttle._under_way)
        await clock.sleep(seconds)

    throttle._sleep = slow_sleep
    for _ in range(2):
        async with throttle.slot():
            pass
    assert places == [0]


async def test_a_pause_holds_those_that_wait_for_a_place_too() -> None:
    """The pause begins while all slots are taken."""
    clock = Clock()
    throttle = Throttle(lambda: Pace(1, 0), clock=clock, sleep=clock.sleep)
    started: list[float] = []

    async def request() -> None:
        async with throttle.slot():
            started.append(clock.now)

    async with throttle.slot():
        task = asyncio.create_task(request())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        throttle.pause(7)
    await task
    assert started == [107.0]


async def test_a_cancelled_wait_leaves_the_throttle_as_it_was() -> None:
    """The next request gets through."""
    throttle = Throttle(lambda: Pace(1, 0))
    async with throttle.slot():
        task = asyncio.create_task(throttle.slot().__aenter__())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with asyncio.timeout(30), throttle.slot():
        pass


async def test_the_pace_is_the_one_in_force() -> None:
    """Waiting requests use the rate that was set in the meantime."""
    pace = Pace(1, 0)
    throttle = Throttle(lambda: pace)
    under_way = 0
    most: list[int] = []

    async def request() -> None:
        nonlocal under_way
        async with throttle.slot():
            under_way += 1
            most.append(under_way)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            under_way -= 1

    tasks = [asyncio.create_task(request()) for _ in range(12)]
    while len(most) < 4:
        await asyncio.sleep(0)
    assert max(most) == 1
    pace = Pace(3, 0)
    await asyncio.gather(*tasks)
    assert max(most) == 3


async def test_a_bookmaker_that_refuses_is_left_alone_for_a_while() -> None:
    """It rests after too many refusals in a row. A success or a new start resets the count."""
    clock = Clock()
    throttle = Throttle(lambda: Pace(1, 0), clock=clock, sleep=clock.sleep)
    for _ in range(MOST_REFUSALS_IN_A_ROW - 1):
        throttle.count_refusal()
    throttle.forget_refusals()
    for _ in range(MOST_REFUSALS_IN_A_ROW - 1):
        throttle.count_refusal()
    assert not throttle.is_resting
    throttle.count_refusal()
    assert throttle.is_resting
    clock.now += REFUSAL_REST_SECONDS - 1
    throttle.count_refusal()
    clock.now += 1
    assert not throttle.is_resting
    throttle.count_refusal()
    assert throttle.is_resting
    throttle.forget_refusals()
    assert not throttle.is_resting


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
    """An invalid header means None."""
    assert retry_after_seconds(header, datetime(2026, 11, 6, 10, 0, tzinfo=UTC)) == seconds


async def test_a_turn_that_does_not_come_in_time_takes_nothing() -> None:
    """The current holder keeps its slot, and the next request gets it afterwards."""
    throttle = Throttle(lambda: Pace(1, 0))
    async with throttle.slot():
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with throttle.slot(asyncio.get_running_loop().time() + 0.01):
                    pass
    async with asyncio.timeout(30), throttle.slot(asyncio.get_running_loop().time() + 5):
        pass
