"""Rate limiting per bookmaker: concurrent requests, the delay between them, the budget, and pauses after refusals."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import IntEnum
from typing import NamedTuple

from quart_odds.bookmakers.budget import Budget, RequestMeter

MAX_RETRY_AFTER_SECONDS = 60.0
"""A bookmaker that asks for a longer pause is not waited for; the request fails."""

MOST_REFUSALS_IN_A_ROW = 20
"""After this many refusals in a row, the bookmaker gets no requests for a while."""

REFUSAL_REST_SECONDS = 60.0
"""How long that rest lasts, unless a new run starts."""


LONGEST_BUDGET_WAIT_SECONDS = 1.0
"""After this long, a request that waits for the budget checks whether the budget has changed."""

RESERVED_EVERY = 4
"""While less urgent requests wait, at least one in so many requests is one of them, so that none waits for ever."""


class Priority(IntEnum):
    """What a request is for, the most urgent first."""

    REFRESH = 0
    SWEEP = 1
    FULL = 2


@dataclass(frozen=True, slots=True)
class Pace:
    """The maximum number of concurrent requests, and the minimum delay between the starts of two requests.

    `requests_per_second` is the budget; None means that there is none.
    """

    concurrency: int
    delay_seconds: float
    requests_per_second: float | None = None


class _Waiter(NamedTuple):
    """A request that waits. `called` is set when it has become the first."""

    priority: Priority
    number: int
    called: asyncio.Event


class Throttle:
    """Admits requests to one bookmaker one by one, at the rate currently configured.

    A process has one throttle per bookmaker, used by runs and refreshes alike. They share the rate, pauses apply to all
    of them, and refusals of all of them are counted together. Response times are to be measured with its `clock`.
    """

    def __init__(
        self,
        pace: Callable[[], Pace],
        *,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.refusals_in_a_row = 0
        self.on_halved: Callable[[Budget], object] = lambda budget: None
        """Called when the budget was halved."""
        self.clock = clock or (lambda: asyncio.get_running_loop().time())
        self._pace = pace
        self._sleep = sleep
        self._waiting: list[_Waiter] = []
        self._passed_over = 0
        self._arrivals = 0
        self._freed = asyncio.Event()
        self._under_way = 0
        self._open_at = 0.0
        self._rests_until = 0.0
        self._meter = RequestMeter(self.clock)
        self._budget: Budget | None = None

    @property
    def is_resting(self) -> bool:
        """Whether the bookmaker currently gets no requests, because it refused too many."""
        return self.clock() < self._rests_until

    @property
    def requests_total(self) -> int:
        """How many requests were sent, retries included."""
        return self._meter.total

    @property
    def requests_per_second(self) -> float:
        """How many requests were sent per second, over the last ten seconds."""
        return self._meter.per_second

    @property
    def budget(self) -> Budget | None:
        """The budget, at the rate configured now; None while there is none."""
        return self._budget_at(self._pace())

    @asynccontextmanager
    async def slot(self, turn_by: float | None = None, priority: Priority = Priority.FULL) -> AsyncIterator[bool]:
        """Hold a slot for one request, by priority and in order of arrival. Waiting for time takes no slot.

        While less urgent requests wait, one in RESERVED_EVERY requests is the one of them that has waited longest.
        Yields whether the request may be sent: not while the bookmaker rests. Raises TimeoutError if no slot is free by
        `turn_by`, a time of the event loop's clock. A request that has started is never interrupted.
        """
        if turn_by is None:
            may_send = await self._enter(priority)
        else:
            async with asyncio.timeout_at(turn_by):
                may_send = await self._enter(priority)
        try:
            yield may_send
        finally:
            self._under_way -= 1
            self._freed.set()

    async def _enter(self, priority: Priority) -> bool:
        self._arrivals += 1
        mine = _Waiter(priority, self._arrivals, asyncio.Event())
        heapq.heappush(self._waiting, mine)
        try:
            while True:
                # All conditions are checked again after each wait: a pause may have begun while all slots were taken,
                # or a more urgent request may have arrived. Nothing is taken before the last check has passed.
                pace = self._pace()
                if (first := self._first()) is not mine:
                    # An arrival can change who is the first without being it.
                    first.called.set()
                    await mine.called.wait()
                    mine.called.clear()
                elif (wait := self._wait_seconds(pace)) > 0:
                    await self._sleep(wait)
                elif self._under_way >= pace.concurrency:
                    self._freed.clear()
                    await self._freed.wait()
                else:
                    self._count_passed_over(mine)
                    return self._start(pace)
        finally:
            self._leave(mine)

    def _first(self) -> _Waiter:
        """Return whose turn it is: the most urgent, unless it is the turn of those that were passed over."""
        urgent = self._waiting[0]
        if self._passed_over < RESERVED_EVERY - 1:
            return urgent
        others = (each for each in self._waiting if each.priority > urgent.priority)
        return min(others, key=lambda each: each.number, default=urgent)

    def _count_passed_over(self, mine: _Waiter) -> None:
        """Count a request that starts while less urgent ones wait; start anew if it is one of those itself."""
        is_urgent = mine.priority == self._waiting[0].priority
        is_passing = is_urgent and any(each.priority > mine.priority for each in self._waiting)
        self._passed_over = self._passed_over + 1 if is_passing else 0

    def _leave(self, waiter: _Waiter) -> None:
        """Leave the queue, admitted or cancelled, and call who is the first now."""
        if self._waiting[0] is waiter:
            heapq.heappop(self._waiting)
        else:
            self._waiting.remove(waiter)
            heapq.heapify(self._waiting)
        if self._waiting:
            self._first().called.set()

    def _wait_seconds(self, pace: Pace) -> float:
        wait = self._open_at - self.clock()
        # While the bookmaker rests nothing is sent, so those who wait learn it at once.
        budget = None if self.is_resting else self._budget_at(pace)
        return wait if budget is None else max(wait, min(budget.wait_seconds(), LONGEST_BUDGET_WAIT_SECONDS))

    def _start(self, pace: Pace) -> bool:
        self._under_way += 1
        self._open_at = max(self._open_at, self.clock() + pace.delay_seconds)
        if self.is_resting:
            return False
        self._count(self._budget_at(pace))
        return True

    def count_redirects(self, count: int) -> None:
        """Count the requests that redirects took, which wait for nothing. The next requests wait for them."""
        for _ in range(count):
            self._count(self.budget)

    def _count(self, budget: Budget | None) -> None:
        self._meter.count()
        if budget is not None:
            budget.take()

    def _budget_at(self, pace: Pace) -> Budget | None:
        """Return the budget at this pace. One that is not in force is kept, so that it is not filled anew later."""
        if pace.requests_per_second is None:
            return None
        if self._budget is None:
            self._budget = Budget(pace.requests_per_second, self.clock)
        self._budget.configure(pace.requests_per_second)
        return self._budget

    def answered(self, seconds: float, kind: str = "") -> None:
        """Count the response time of a request; requests of one kind are compared with each other."""
        if (budget := self.budget) is not None and budget.answered(seconds, kind):
            self.on_halved(budget)

    def refused(self) -> None:
        """Let the budget know of a refusal."""
        if (budget := self.budget) is not None and budget.refused():
            self.on_halved(budget)

    def pause(self, seconds: float) -> None:
        """Admit no request for this long. Requests that have started continue."""
        self._open_at = max(self._open_at, self.clock() + seconds)

    def count_refusal(self) -> None:
        """Count a refused request. After too many in a row the bookmaker gets a rest.

        Refusals of requests that were already under way do not extend the rest.
        """
        if self.is_resting:
            return
        self.refused()
        self.refusals_in_a_row += 1
        if self.refusals_in_a_row >= MOST_REFUSALS_IN_A_ROW:
            self._rests_until = self.clock() + REFUSAL_REST_SECONDS

    def forget_refusals(self) -> None:
        """Reset the count and end the rest, because a request succeeded or a new attempt was requested."""
        self.refusals_in_a_row = 0
        self._rests_until = 0.0


def retry_after_seconds(header: str | None, now: datetime | None = None) -> float | None:
    """Parse a Retry-After header, given in seconds or as a date. Returns seconds, or None if it is invalid."""
    if not header:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())
