"""The odds that this process serves. In one process they are those of the odds service."""

from quart_odds.odds.cache import OddsCache
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.freshness import Freshness
from quart_odds.odds.ports import OddsStore


class ServedOdds:
    """What the API, the pages and live listeners read. Only `OddsService`, or the log of several processes, changes it.

    Several processes that serve the same odds each have a replica of the writer's cache, the writer's process too: so
    what is served is always what is on the log.
    """

    def __init__(self, store: OddsStore, cache: OddsCache) -> None:
        self.cache = cache
        self.freshness = Freshness(cache)
        self._store = store

    async def find(self, event_id: int) -> CachedEvent | None:
        """Return an event in memory, or one that only the database still has; None if there is no such event."""
        event = self.cache.get(event_id)
        if event is not None:
            return event
        stored = await self._store.load_event(event_id)
        return None if stored is None else stored.joined()
