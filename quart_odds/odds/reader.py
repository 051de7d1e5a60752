"""The odds in a database that other processes write: read again when somebody asks, if anything was committed since."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from quart_odds.domain.clock import utc_now
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.ports import OddsStore
from quart_odds.odds.served import ServedOdds
from quart_odds.odds.service import KEEP

REST = 3.0
"""How long what was read is kept, however much is committed meanwhile, in times as long as reading it took."""


class OddsReader:
    """A cache that never writes, takes no lease, and costs nothing while nobody asks."""

    def __init__(self, store: OddsStore, *, clock: Callable[[], datetime] = utc_now, rest: float = REST) -> None:
        self.cache = OddsCache()
        self.served = ServedOdds(store, self.cache)
        self._store = store
        self._clock = clock
        self._rest = rest
        self._revision: int | None = None
        self._next_at = 0.0
        self._turn = asyncio.Lock()

    async def refresh(self) -> None:
        """Read everything again if the writer has committed anything. Raises StorageError.

        A second caller waits for the first. What is served stays as it is until everything is read.
        """
        loop = asyncio.get_running_loop()
        async with self._turn:
            if loop.time() < self._next_at or await self._store.odds_revision() == self._revision:
                return
            began = loop.time()
            stored = await self._store.load(self._clock() - KEEP)
            stored.restore(self.cache)
            self._revision = stored.revision
            self._next_at = loop.time() + self._rest * (loop.time() - began)
