"""Time limits of many connections with one timer: all members of one `Deadlines` have the same time."""

import asyncio
import math
from collections.abc import Callable
from typing import Generic, TypeVar

Member = TypeVar("Member")

LEAST_SECONDS = 0.05
"""The pause between two looks at the members, so that thousands that are due one after the other cost one look."""


class Deadlines(Generic[Member]):
    """Calls `on_late` with each member once its time is up, unless it is discarded before."""

    def __init__(self, seconds: float, on_late: Callable[[Member], None]) -> None:
        self.seconds = seconds
        self._on_late = on_late
        self._due: dict[Member, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __len__(self) -> int:
        return len(self._due)

    def add(self, member: Member) -> None:
        """Give a member its time, from now on."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            # Of another loop that has ended. Its connections have ended, too.
            self._due.clear()
            self._loop, self._timer = loop, None
        # Members stay in the order of their deadlines.
        self._due.pop(member, None)
        self._due[member] = loop.time() + self.seconds
        if self._timer is None:
            self._timer = loop.call_later(self.seconds, self._look)

    def discard(self, member: Member) -> None:
        """Remove a member. Idempotent."""
        self._due.pop(member, None)

    def _look(self) -> None:
        assert self._loop is not None
        now = self._loop.time()
        late = []
        for member, due in self._due.items():
            if due > now:
                break
            late.append(member)
        try:
            for member in late:
                # One before it may have discarded it, or given it more time.
                if self._due.get(member, math.inf) <= now:
                    del self._due[member]
                    self._on_late(member)
        finally:
            first = next(iter(self._due.values()), None)
            self._timer = None if first is None else self._loop.call_later(max(LEAST_SECONDS, first - now), self._look)
