"""How gently a bookmaker is asked: how many requests at once, how far apart, and a pause when it says it is busy."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_RETRY_AFTER_SECONDS = 60.0
"""A bookmaker that asks for a longer pause is not waited for: the request fails."""

MOST_REFUSALS_IN_A_ROW = 20
"""A bookmaker that refuses so many requests running is left alone."""

REFUSAL_REST_SECONDS = 60.0
"""How long a bookmaker is left alone after that, unless a new run starts."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How many requests may be under way at once, and the least time between the starts of two."""

    concurrency: int
    delay_seconds: float


class Throttle:
    """Lets requests to one bookmaker through one by one, at the pace that is in force at that moment.

    There is one for each bookmaker in a process, whoever asks, so that runs and refreshes together keep the pace, a
    pause holds all of them, and refusals count whoever met them.
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
        """Whether the bookmaker is left alone, because it refused too often."""
        return self._clock() < self._rests_until

    @asynccontextmanager
    async def slot(self, turn_by: float | None = None) -> AsyncIterator[None]:
        """A place to make one request in, first come, first served. Waiting for the delay takes none of the places.

        Raises TimeoutError where the turn does not come by this time of the loop; a request is never cut by it.
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
                # Both are looked at anew after each wait: a pause may have been asked for while all places were taken.
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
        """Let nobody through for so long; those under way go on."""
        self._open_at = max(self._open_at, self._clock() + seconds)

    def count_refusal(self) -> None:
        """One more request was refused; after too many in a row the bookmaker is left alone for a while.

        What was still under way then makes that no longer.
        """
        if self.is_resting:
            return
        self.refusals_in_a_row += 1
        if self.refusals_in_a_row >= MOST_REFUSALS_IN_A_ROW:
            self._rests_until = self._clock() + REFUSAL_REST_SECONDS

    def forget_refusals(self) -> None:
        """A request went well, or somebody wants to try anew."""
        self.refusals_in_a_row = 0
        self._rests_until = 0.0


def retry_after_seconds(header: str | None, now: datetime | None = None) -> float | None:
    """What a Retry-After asks for, in seconds or as a date; None where it says nothing that can be understood."""
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
