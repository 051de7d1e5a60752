"""Fair sharing of the decoding processes: of those who want one, whoever has used the least time goes next."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class Turns:
    """A number of places, assigned by time used rather than by number of bodies.

    A user, such as the lists of a bookmaker, whose bodies take long gets its share of the time and no more: bodies of
    the others go before its next one. Idle time is not saved up for later.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._used: dict[Hashable, float] = {}
        self._busy: dict[Hashable, int] = {}
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}

    @property
    def count(self) -> int:
        """The number of bodies that hold a place or wait for one."""
        return sum(self._busy.values())

    @asynccontextmanager
    async def turn(self, user: Hashable) -> AsyncIterator[None]:
        """Hold a place. Report the time it took with `use`."""
        if not self._busy.get(user):
            others = [self._used[each] for each, count in self._busy.items() if count]
            self._used[user] = max(self._used.get(user, 0.0), min(others, default=0.0))
        self._busy[user] = self._busy.get(user, 0) + 1
        try:
            await self._enter(user)
            try:
                yield
            finally:
                self._free += 1
                self._pass_on()
        finally:
            self._busy[user] -= 1

    def use(self, user: Hashable, seconds: float) -> None:
        """Charge time to a user."""
        self._used[user] = self._used.get(user, 0.0) + seconds

    def open_all(self) -> None:
        """Admit everybody, because nothing will be decoded any more."""
        self._free = 1 << 30
        self._pass_on()

    async def _enter(self, user: Hashable) -> None:
        if self._free > 0:
            # A free place means that no body is waiting, because free places are assigned immediately.
            self._free -= 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(user, deque()).append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._free += 1
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._free > 0:
            waiting = [user for user, places in self._waiting.items() if places]
            if not waiting:
                return
            place = self._waiting[min(waiting, key=lambda each: self._used[each])].popleft()
            if not place.done():
                self._free -= 1
                place.set_result(None)
