"""A clock for tests of the throttle and its budget."""

import asyncio


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
