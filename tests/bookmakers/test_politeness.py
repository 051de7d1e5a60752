"""The throttle, tested with a controlled clock."""

import asyncio
from datetime import UTC, datetime

import pytest

from quart_odds.bookmakers.politeness import (
    MOST_REFUSALS_IN_A_ROW,
    REFUSAL_REST_SECONDS,
    RESERVED_EVERY,
    Pace,
    Priority,
    Throttle,
    retry_after_seconds,
)
from tests.bookmakers.ticking import Clock


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


async def queued(throttle: Throttle, order: list[str], *names: str) -> list[asyncio.Task[None]]:
    """Let requests wait one after the other. A name begins with the priority; each is noted when it starts."""

    async def request(name: str) -> None:
        async with throttle.slot(priority=Priority[name.split()[0].upper()]):
            order.append(name)
            await asyncio.sleep(0)

    tasks = []
    for name in names:
        tasks.append(asyncio.create_task(request(name)))
        await asyncio.sleep(0)
    return tasks


async def test_the_more_urgent_go_first() -> None:
    """In order of arrival within a priority."""
    throttle = Throttle(lambda: Pace(1, 0))
    order: list[str] = []
    async with throttle.slot():
        tasks = await queued(throttle, order, "full 1", "sweep 1", "full 2", "sweep 2", "refresh 1")
        assert order == []
    await asyncio.gather(*tasks)
    assert order == ["refresh 1", "sweep 1", "sweep 2", "full 1", "full 2"]


async def test_one_request_in_four_is_left_to_those_that_wait_behind_more_urgent_ones() -> None:
    """It is the one of them that has waited longest, whatever its priority."""
    throttle = Throttle(lambda: Pace(1, 0))
    order: list[str] = []
    async with throttle.slot():
        names = ("full 1", "sweep 1", "full 2", *(f"refresh {number}" for number in range(1, 8)))
        tasks = await queued(throttle, order, *names)
    await asyncio.gather(*tasks)
    assert [each.split()[0] for each in order] == [
        "refresh", "refresh", "refresh", "full",
        "refresh", "refresh", "refresh", "sweep",
        "refresh", "full",
    ]  # fmt: skip
    assert [each for each in order if not each.startswith("refresh")] == ["full 1", "sweep 1", "full 2"]


async def test_full_runs_get_their_share_of_a_small_budget_that_sweeps_use_up() -> None:
    """There is always another request of a sweep that waits when a token comes."""
    clock = Clock()
    throttle = Throttle(lambda: Pace(4, 0, 0.3125), clock=clock, sleep=clock.sleep)
    sent = {Priority.SWEEP: 0, Priority.FULL: 0}

    async def ask(priority: Priority) -> None:
        while sum(sent.values()) < 100:
            async with throttle.slot(priority=priority):
                sent[priority] += 1
                await asyncio.sleep(0)

    await asyncio.gather(*(ask(priority) for priority in (Priority.SWEEP, Priority.SWEEP, Priority.FULL)))
    assert sent[Priority.FULL] >= 24
    assert sent[Priority.SWEEP] >= 70


async def test_the_turn_passes_on_when_an_arrival_makes_another_request_the_first() -> None:
    """A sweep has gone to sleep behind a full run's request, and is next in line once a refresh is the most urgent."""
    clock = Clock()
    throttle = Throttle(lambda: Pace(4, 0, 0.1), clock=clock, sleep=clock.sleep)
    order: list[str] = []
    async with throttle.slot():
        pass
    throttle._passed_over = RESERVED_EVERY - 1
    tasks = await queued(throttle, order, "sweep", "full")
    for _ in range(3):
        await asyncio.sleep(0)
    tasks += await queued(throttle, order, "refresh")
    assert order == []
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks)
    assert order == ["sweep", "refresh", "full"]


async def test_an_urgent_request_overtakes_those_that_wait_for_the_budget() -> None:
    """It arrives while the first of them is asleep until the next token comes."""
    clock = Clock()
    throttle = Throttle(lambda: Pace(10, 0, 1), clock=clock, sleep=clock.sleep)
    order: list[str] = []
    woken = asyncio.Event()

    async def sleep(seconds: float) -> None:
        await woken.wait()
        await clock.sleep(seconds)

    throttle._sleep = sleep
    async with throttle.slot():
        pass
    tasks = await queued(throttle, order, "full 1", "full 2", "refresh")
    woken.set()
    await asyncio.gather(*tasks)
    assert order == ["refresh", "full 1", "full 2"]


async def test_the_budget_spaces_requests_beside_the_delay_and_the_slots() -> None:
    """A burst of one second's worth, and then the rate."""
    clock = Clock()
    throttle = Throttle(lambda: Pace(10, 0, 2), clock=clock, sleep=clock.sleep)
    starts: list[float] = []

    async def request() -> None:
        async with throttle.slot():
            starts.append(round(clock.now, 3))

    await asyncio.gather(*(request() for _ in range(6)))
    assert starts == [100.0, 100.0, 100.5, 101.0, 101.5, 102.0]
    throttle = Throttle(lambda: Pace(10, 3, 2), clock=clock, sleep=clock.sleep)
    clock.now, starts = 100.0, []
    await asyncio.gather(*(request() for _ in range(3)))
    assert starts == [100.0, 103.0, 106.0]
    assert throttle.requests_total == 3


async def test_a_cancelled_request_takes_no_token_and_calls_the_next() -> None:
    """Whether it waited for a token as the first or behind others."""
    clock = Clock()
    throttle = Throttle(lambda: Pace(10, 0, 1), clock=clock, sleep=clock.sleep)
    order: list[str] = []
    is_due = asyncio.Event()

    async def sleep(seconds: float) -> None:
        await is_due.wait()
        await clock.sleep(seconds)

    throttle._sleep = sleep
    async with throttle.slot():
        pass
    tasks = await queued(throttle, order, "full 1", "full 2", "full 3", "full 4")
    for number in (0, 2):
        tasks[number].cancel()
    is_due.set()
    async with asyncio.timeout(30):
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(each, asyncio.CancelledError) for each in results] == [True, False, True, False]
    assert order == ["full 2", "full 4"]
    assert (throttle.requests_total, clock.now, throttle._under_way) == (3, 102.0, 0)


async def test_requests_cancelled_at_any_moment_leave_nothing_behind() -> None:
    """All slots are free afterwards, nobody waits, and those that were not cancelled got through."""
    throttle = Throttle(lambda: Pace(2, 0))
    for turns in range(12):
        order: list[str] = []
        tasks = await queued(throttle, order, *(f"{each} {n}" for n in range(3) for each in ("full", "refresh")))
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        async with asyncio.timeout(30):
            await asyncio.gather(*tasks, return_exceptions=True)
        assert {"refresh 0", "refresh 1", "refresh 2"} <= set(order)
        assert (throttle._under_way, throttle._waiting) == (0, [])


async def test_the_budget_changes_and_ends_while_requests_wait() -> None:
    """Those that wait learn it within a second, and a change gives no second burst."""
    clock = Clock()
    pace = Pace(10, 0, 0.001)
    throttle = Throttle(lambda: pace, clock=clock, sleep=clock.sleep)
    starts: list[float] = []

    async def request() -> None:
        async with throttle.slot():
            starts.append(clock.now)

    tasks = [asyncio.create_task(request()) for _ in range(4)]
    for _ in range(8):
        await asyncio.sleep(0)
    assert starts == [100.0]
    pace, faster_at = Pace(10, 0, 1), clock.now
    await tasks[1]
    assert starts[1] <= faster_at + 2
    pace, free_at = Pace(10, 0), clock.now
    await asyncio.gather(*tasks)
    assert starts[3] <= free_at + 1
    assert throttle.budget is None
    pace = Pace(10, 0, 1)
    async with throttle.slot():
        began = clock.now
    async with throttle.slot():
        assert clock.now == pytest.approx(began + 1)


async def test_without_a_budget_a_refusal_changes_no_rate() -> None:
    """The refusals of the time before do not count when sweeps are turned on; those of a budget stay known."""
    clock = Clock()
    pace = Pace(10, 0)
    throttle = Throttle(lambda: pace, clock=clock, sleep=clock.sleep)
    throttle.refused()
    throttle.answered(20.0)
    assert throttle.budget is None
    pace = Pace(10, 0, 8)
    assert throttle.budget is not None
    assert throttle.budget.rate == 8
    throttle.count_refusal()
    pace = Pace(10, 0)
    assert throttle.budget is None
    pace = Pace(10, 0, 8)
    assert (throttle.budget.rate, throttle.budget.reason) == (4, "refused")


async def test_a_bookmaker_at_rest_costs_no_budget() -> None:
    """Those that wait learn at once that nothing is sent."""
    clock = Clock()
    throttle = Throttle(lambda: Pace(10, 0, 0.5), clock=clock, sleep=clock.sleep)
    for _ in range(MOST_REFUSALS_IN_A_ROW):
        throttle.count_refusal()
    for _ in range(100):
        async with throttle.slot() as may_send:
            assert not may_send
    assert (clock.now, throttle.requests_total) == (100.0, 0)
    throttle.forget_refusals()
    async with throttle.slot() as may_send:
        assert may_send
    assert throttle.requests_total == 1


async def test_redirects_are_paid_by_the_requests_after_them() -> None:
    """They are requests, too."""
    clock = Clock()
    throttle = Throttle(lambda: Pace(10, 0, 1), clock=clock, sleep=clock.sleep)
    async with throttle.slot():
        throttle.count_redirects(2)
    async with throttle.slot():
        assert clock.now == pytest.approx(103)
    assert (throttle.requests_total, throttle.requests_per_second) == (4, 0.4)
