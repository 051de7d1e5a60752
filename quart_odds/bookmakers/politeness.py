"""Rate limiting per bookmaker: concurrent requests, the delay between them, and pauses after refusals."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_RETRY_AFTER_SECONDS = 60.0
"""A bookmaker that asks for a longer pause is not waited for; the request fails."""

MOST_REFUSALS_IN_A_ROW = 20
"""After this many refusals in a row, the bookmaker gets no requests for a while."""

REFUSAL_REST_SECONDS = 60.0
"""How long that rest lasts, unless a new run starts."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The maximum number of concurrent requests, and the minimum delay between the starts of two requests."""

    concurrency: int
    delay_seconds: float


class Throttle:
    """Admits requests to one bookmaker one by one, at the rate currently configured.

    A process has one throttle per bookmaker, used by runs and refreshes alike. They share the rate, pauses apply to all
    of them, and refusals of all of them are counted together.
    """

    def __init__(
        self,
        pace: Callable[[], Pace],
        *,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.refusals_in_a_row = 0
        self._pace = pace
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()
        self._under_way = 0
        self._open_at = 0.0
        self._rests_until = 0.0

    @property
    def is_resting(self) -> bool:
        """Whether the bookmaker currently gets no requests, because it refused too many."""
        return self._clock() < self._rests_until

    @asynccontextmanager
    async def slot(self, turn_by: float | None = None) -> AsyncIterator[None]:
        """Hold a slot for one request, in order of arrival. Waiting for the delay does not occupy a slot.

        Raises TimeoutError if no slot is free by `turn_by`, a time of the event loop's clock. A request that has
        started is never interrupted.
        """
        async with asyncio.timeout_at(turn_by):
            await self._enter()
        try:
            yield
        finally:
            self._under_way -= 1
            self._freed.set()

    async def _enter(self) -> None:
        async with self._turn:
            while True:
                # Both conditions are checked again after each wait: a pause may have begun while all slots were taken.
                if (wait := self._open_at - self._clock()) > 0:
                    await self._sleep(wait)
                elif self._under_way >= self._pace().concurrency:
                    self._freed.clear()
                    await self._freed.wait()
                else:
                    break
            self._under_way += 1
            self._open_at = max(self._open_at, self._clock() + self._pace().delay_seconds)

    def pause(self, seconds: float) -> None:
        """Admit no request for this long. Requests that have started continue."""
        self._open_at = max(self._open_at, self._clock() + seconds)

    def count_refusal(self) -> None:
        """Count a refused request. After too many in a row the bookmaker gets a rest.

        Refusals of requests that were already under way do not extend the rest.
        """
        if self.is_resting:
            return
        self.refusals_in_a_row += 1
        if self.refusals_in_a_row >= MOST_REFUSALS_IN_A_ROW:
            self._rests_until = self._clock() + REFUSAL_REST_SECONDS

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
