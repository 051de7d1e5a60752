"""Fair sharing of the decoding processes: of those who want one, whoever has used the least time goes next."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class _User:
    """Seconds used, places held, and who waits for one."""

    used: float = 0.0
    held: int = 0
    waiting: "deque[asyncio.Future[None]]" = field(default_factory=deque)

    @property
    def is_busy(self) -> bool:
        return bool(self.held or self.waiting)


class Turns:
    """A number of places, assigned by time used rather than by number of bodies, at most `most_each` to one user.

    A user, such as the lists of a bookmaker, whose bodies take long gets its share of the time and no more: bodies of
    the others go before its next one. Idle time is not saved up for later.
    """

    def __init__(self, places: int, most_each: int) -> None:
        self._free = places
        self._most_each = most_each
        self._users: dict[Hashable, _User] = {}

    @property
    def count(self) -> int:
        """The number of bodies that hold a place or wait for one."""
        return sum(each.held + len(each.waiting) for each in self._users.values())

    @asynccontextmanager
    async def turn(self, name: Hashable) -> AsyncIterator[None]:
        """Hold a place of a user. Report the time it took with `use`."""
        user = self._user(name)
        if not user.is_busy:
            user.used = max(user.used, min((each.used for each in self._users.values() if each.is_busy), default=0.0))
        await self._enter(user)
        try:
            yield
        finally:
            self._leave(user)

    def use(self, name: Hashable, seconds: float) -> None:
        """Charge time to a user."""
        self._user(name).used += seconds

    def open_all(self) -> None:
        """Admit everybody, because nothing will be decoded any more."""
        self._free = self._most_each = 1 << 30
        self._pass_on()

    def _user(self, name: Hashable) -> _User:
        return self._users.setdefault(name, _User())

    async def _enter(self, user: _User) -> None:
        # Free places are assigned immediately, so nobody is waiting who could have this one.
        if self._free > 0 and user.held < self._most_each:
            self._take(user)
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        user.waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                self._leave(user)
            elif place in user.waiting:
                user.waiting.remove(place)
            raise

    def _take(self, user: _User) -> None:
        self._free -= 1
        user.held += 1

    def _leave(self, user: _User) -> None:
        self._free += 1
        user.held -= 1
        self._pass_on()

    def _pass_on(self) -> None:
        while self._free > 0:
            able = [each for each in self._users.values() if each.waiting and each.held < self._most_each]
            if not able:
                return
            user = min(able, key=lambda each: each.used)
            place = user.waiting.popleft()
            if not place.done():
                self._take(user)
                place.set_result(None)
