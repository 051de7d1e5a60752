"""Live connections that end when what they rest on is over: a token that is revoked, a session, a time."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

import structlog

from quart_odds.access.values import Grant
from quart_odds.errors import StorageError

CHECK_SECONDS = 2.0
"""How often all grants with live connections are looked up."""
END_SLICE = 100
"""How many connections are ended before others get a turn."""

log = structlog.get_logger(__name__)


class Tied(Protocol):
    """A live connection."""

    def end(self) -> None:
        """End it, because it may not be any longer."""


class Ties:
    """Live connections by what they rest on. One timer looks after all of them, while there are any.

    `over` returns which grants are over. While the database does not answer, connections stay: nobody gets a new one.
    """

    def __init__(
        self, over: Callable[[Collection[Grant]], Awaitable[set[Grant]]], seconds: float = CHECK_SECONDS
    ) -> None:
        self._over = over
        self._seconds = seconds
        self._tied: dict[Grant, set[Tied]] = {}
        self._looking: asyncio.Task[None] | None = None
        self.ended = 0
        """The number of connections that were ended."""

    def __len__(self) -> int:
        return sum(map(len, self._tied.values()))

    def add(self, grant: Grant, connection: Tied) -> None:
        """End a connection when the grant is over, unless it is discarded before."""
        if not grant.may_end:
            return
        self._tied.setdefault(grant, set()).add(connection)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_after(), name="token-ends")

    def discard(self, grant: Grant, connection: Tied) -> None:
        """Remove a connection. Idempotent."""
        tied = self._tied.get(grant)
        if tied is not None:
            tied.discard(connection)
            if not tied:
                del self._tied[grant]

    async def close(self) -> None:
        """Stop the timer."""
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking

    async def _look_after(self) -> None:
        while self._tied:
            await asyncio.sleep(self._seconds)
            try:
                over = await self._over(list(self._tied))
            except StorageError as error:
                log.warning("access.not_checked", reason=error.for_operator)
                continue
            for grant in over:
                await self._end(list(self._tied.get(grant, ())))

    async def _end(self, connections: list[Tied]) -> None:
        for place, connection in enumerate(connections, 1):
            try:
                connection.end()
            except Exception:
                log.exception("access.connection_not_ended")
            self.ended += 1
            if place % END_SLICE == 0:
                await asyncio.sleep(0)
