"""Current odds and their changes: events matched across bookmakers, their odds in memory, and notices of changes."""

from quart_odds.odds.cache import OddsCache
from quart_odds.odds.event import CachedEvent, EventChange
from quart_odds.odds.event_odds import EventOdds, PriceChange
from quart_odds.odds.notices import OddsNotifier
from quart_odds.odds.service import OddsService

__all__ = ["CachedEvent", "EventChange", "EventOdds", "OddsCache", "OddsNotifier", "OddsService", "PriceChange"]
