"""What is current and what changed: events matched across bookmakers, their odds in memory, notices of changes."""

from quart_odds.odds.book import OddsBook
from quart_odds.odds.event import BookedEvent, EventChange
from quart_odds.odds.notices import OddsNotifier
from quart_odds.odds.quote import PriceChange, Quote

__all__ = ["BookedEvent", "EventChange", "OddsBook", "OddsNotifier", "PriceChange", "Quote"]
