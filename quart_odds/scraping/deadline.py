"""Deadlines that leave room for a budget of requests.

A budget makes work take longer than its deadline without any fault of the bookmaker. Work that keeps up with its budget
therefore goes on after its deadline, up to LONGEST_SECONDS in all.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

BUDGET_PART = 1 / 8
"""Work keeps up with the budget if it sends this part of what that allows. Sweeps leave a quarter to full runs, see
`bookmakers.politeness.RESERVED_EVERY`."""

LONGEST_SECONDS = 7200.0
"""Work ends after this long even if it keeps up: the longest deadline that can be configured."""

CHECK_SECONDS = 30.0
"""How often it is checked after the deadline."""

CHECKED_REQUESTS = 3
"""At a small budget a check has to wait until this many requests would keep up."""


class BudgetMeter(Protocol):
    """A bookmaker's budget. Implemented by Budget."""

    @property
    def rate(self) -> float:
        """The current rate, in requests per second."""

    @property
    def allowed(self) -> float:
        """How many requests the budget has allowed in all, at the rates that it had."""


class BudgetRoom:
    """How much longer than its deadline one platform's work may take because of the bookmaker's budget.

    `budget` returns the budget, or None while there is none; then there is no room at all. `extension` is the room that
    was granted so far, in seconds.
    """

    def __init__(self, budget: Callable[[], BudgetMeter | None], deadline_seconds: float) -> None:
        self.extension = 0.0
        self._budget = budget
        self._deadline_seconds = deadline_seconds
        self._sent: Callable[[], int] = lambda: 0
        found = budget()
        self._before = None if found is None else found.allowed
        self._sent_before = 0
        self._keeps_up = False

    def count(self, sent: Callable[[], int]) -> None:
        """Tell how the work's requests are counted."""
        self._sent, self._sent_before = sent, sent()

    def more_seconds(self) -> float:
        """Return for how long the work may go on before this is to be asked again; 0 if it has to end."""
        budget = self._budget()
        if budget is None or self._before is None:
            return 0.0
        allowed, sent = budget.allowed, self._sent()
        self._keeps_up = sent - self._sent_before >= BUDGET_PART * (allowed - self._before)
        self._before, self._sent_before = allowed, sent
        left = LONGEST_SECONDS - self._deadline_seconds - self.extension
        if not self._keeps_up or left <= 0:
            return 0.0
        rate = BUDGET_PART * budget.rate
        more = min(left, max(CHECK_SECONDS, CHECKED_REQUESTS / rate if rate else left))
        self.extension += more
        return more

    @property
    def seconds(self) -> float:
        """The deadline with the room that was granted so far."""
        return self._deadline_seconds + self.extension

    @property
    def reason(self) -> str:
        """Why the work was not done in time, if that was because of the budget; otherwise an empty string."""
        budget = self._budget()
        if budget is None or not self._keeps_up:
            return ""
        return f", because its budget allows {budget.rate:.2g} requests per second"


def no_budget() -> BudgetMeter | None:
    """Return None: there is no budget."""
    return None


@asynccontextmanager
async def ending_after(seconds: float, more_seconds: Callable[[], float]) -> AsyncIterator[None]:
    """Raise TimeoutError if the `async with` body takes longer than this, unless `more_seconds` leaves it more time.

    It is asked at the deadline, and again whenever the time that it left has passed; 0 ends the body.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle
    async with asyncio.timeout(None) as limit:

        def check() -> None:
            nonlocal timer
            more = 0.0
            try:
                more = more_seconds()
            finally:
                if more > 0:
                    timer = loop.call_later(more, check)
                else:
                    limit.reschedule(loop.time())

        timer = loop.call_later(seconds, check)
        try:
            yield
        finally:
            timer.cancel()
