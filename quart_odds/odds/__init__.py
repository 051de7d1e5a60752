"""What is current and what changed: events matched across bookmakers, their odds in memory, notices of changes."""

from quart_odds.odds.cache import OddsCache
from quart_odds.odds.event import CachedEvent, EventChange
from quart_odds.odds.notices import OddsNotifier
from quart_odds.odds.quote import PriceChange, Quote

__all__ = ["CachedEvent", "EventChange", "OddsCache", "OddsNotifier", "PriceChange", "Quote"]
