"""How gently a bookmaker is asked: how many requests at once, how far apart, and a pause when it says it is busy."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_RETRY_AFTER_SECONDS = 60.0
"""A bookmaker that asks for a longer pause is not waited for: the request fails."""


class Gate:
    """Lets requests through one by one, `delay_seconds` apart, at most `concurrency` of them under way."""

    def __init__(
        self,
        concurrency: int,
        delay_seconds: float,
        *,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        self._delay_seconds = delay_seconds
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._open_at = 0.0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """A place to make one request in. Waiting for the delay takes none of the places."""
        async with self._turn:
            while True:
                if (wait := self._open_at - self._clock()) > 0:
                    await self._sleep(wait)
                    continue
                await self._slots.acquire()
                if self._open_at <= self._clock():
                    break
                # A pause was asked for while all places were taken.
                self._slots.release()
            self._open_at = max(self._open_at, self._clock() + self._delay_seconds)
        try:
            yield
        finally:
            self._slots.release()

    def pause(self, seconds: float) -> None:
        """Let nobody through for so long; those under way go on."""
        self._open_at = max(self._open_at, self._clock() + seconds)


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
