"""Values read from the database, each kept for a moment."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")

MOST_KEPT = 4096


class Lookups(Generic[Value]):
    """Reads values by key, and keeps each for `seconds`. Who asks while a value is being read waits for that one.

    What is not there is not kept. The age of a value counts from before it was read, so none is ever used for longer.
    """

    def __init__(
        self,
        read: Callable[[str], Awaitable[Value | None]],
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._seconds = seconds
        self._clock = clock
        self._kept: dict[str, tuple[float, Value]] = {}
        self._reading: dict[str, asyncio.Task[Value | None]] = {}

    def __contains__(self, key: object) -> bool:
        """Whether this was there when it was last read."""
        return key in self._kept

    async def get(self, key: str) -> Value | None:
        """Return the value; None if there is none. Raises what `read` raises."""
        known = self._kept.get(key)
        if known is not None and self._clock() - known[0] < self._seconds:
            return known[1]
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(self._renew(key))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        # One who asks may leave, and the others still wait for the same task.
        return await asyncio.shield(task)

    def forget(self, key: str) -> None:
        """Read this anew when somebody asks for it next."""
        self._kept.pop(key, None)

    async def _renew(self, key: str) -> Value | None:
        began = self._clock()
        try:
            value = await self._read(key)
        finally:
            del self._reading[key]
        self._kept.pop(key, None)
        if value is not None:
            if len(self._kept) >= MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = began, value
        return value
