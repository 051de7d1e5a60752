"""Deadlines that leave room for a budget of requests."""

import asyncio

import pytest

from quart_odds.bookmakers.budget import Budget
from quart_odds.bookmakers.politeness import RESERVED_EVERY
from quart_odds.scraping.deadline import CHECK_SECONDS, LONGEST_SECONDS, BudgetRoom, ending_after
from tests.bookmakers.ticking import Clock

DEADLINE = 600.0
REQUESTS = 1451
"""Of a full run with 1,300 events in 150 lists, and their tree."""


class Work:
    """Work that sends a part of the requests that a budget allows, or none from some moment on."""

    def __init__(
        self, rate: float, part: float, *, hangs_after: float = float("inf"), refuses_until: float = 0.0
    ) -> None:
        self.clock = Clock()
        self.budget = Budget(rate, self.clock)
        self.sent = 0
        self._began = self.clock.now
        self._part = part
        self._due = 0.0
        self._hangs_after = hangs_after
        self._refuses_until = refuses_until
        self.room = BudgetRoom(lambda: self.budget, DEADLINE)
        self.room.count(lambda: self.sent)

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self.clock.now - self._began

    def run(self) -> bool:
        """Work until all requests are sent, or until the deadline ends it. Returns whether it is done."""
        until = DEADLINE
        while self.sent < REQUESTS:
            if self.elapsed >= until:
                more = self.room.more_seconds()
                if not more:
                    return False
                until += more
            self.clock.now += 0.5
            if self.elapsed < self._refuses_until:
                self.budget.refused()
            if self.elapsed < self._hangs_after:
                self._due += 0.5 * self.budget.rate * self._part
            self.sent = int(self._due)
        return True


@pytest.mark.parametrize("rate", [5.0, 2.5, 1.0])
@pytest.mark.parametrize("part", [1.0, 0.5, 1 / RESERVED_EVERY])
def test_work_that_keeps_up_with_its_budget_is_done(rate: float, part: float) -> None:
    """Even if sweeps take all of it but what is reserved."""
    work = Work(rate, part)
    assert work.run()
    assert work.room.seconds >= work.elapsed - CHECK_SECONDS


def test_a_halved_budget_leaves_more_room() -> None:
    """The bookmaker refuses again and again for twenty minutes, then the budget recovers."""
    work = Work(5.0, 0.5, refuses_until=1200.0)
    assert work.run()
    assert work.elapsed > 1200
    assert work.budget.halved_at is not None


@pytest.mark.parametrize("hangs_after", [100.0, 590.0, 900.0])
def test_work_that_hangs_ends_soon_after_the_deadline(hangs_after: float) -> None:
    """A budget is no excuse then, and the reason does not mention it."""
    work = Work(1.0, 0.5, hangs_after=hangs_after)
    assert not work.run()
    assert work.elapsed <= max(DEADLINE, hangs_after) + 2 * CHECK_SECONDS
    assert work.room.reason == ""


def test_no_budget_is_small_enough_to_go_on_for_ever() -> None:
    """The end comes after two hours, and names the budget."""
    work = Work(0.25, 0.5)
    assert not work.run()
    assert work.elapsed == LONGEST_SECONDS
    assert work.room.reason == ", because its budget allows 0.25 requests per second"


def test_without_a_budget_there_is_no_room() -> None:
    """Whatever was sent."""
    room = BudgetRoom(lambda: None, DEADLINE)
    room.count(lambda: 10**6)
    assert room.more_seconds() == 0
    assert (room.extension, room.reason) == (0, "")


async def test_a_body_ends_when_no_more_time_is_left_to_it() -> None:
    """It is asked for at the deadline, and each time that the time has passed."""
    left = [0.01, 0.01, 0.0]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(10), ending_after(0.01, lambda: left.pop(0)):
            await asyncio.Event().wait()
    assert left == []


async def test_a_body_ends_if_nobody_can_tell_how_much_time_is_left() -> None:
    """An error there must not let it go on for ever."""
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context["exception"]))
    broken = RuntimeError("broken")

    def fail() -> float:
        raise broken

    with pytest.raises(TimeoutError):
        async with ending_after(0.01, fail):
            await asyncio.Event().wait()
    assert errors == [broken]


async def test_a_body_that_is_done_asks_for_nothing() -> None:
    """Its timer is gone."""
    left = [1.0]
    async with ending_after(0.01, left.pop):
        pass
    # A timer of the same loop that is due later: the other one would have been called before it.
    await asyncio.sleep(0.02)
    assert left == [1.0]
