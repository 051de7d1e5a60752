"""What is kept: runs, events, current odds and their history, in SQLite or PostgreSQL."""

from quart_odds.storage.service import OddsService
from quart_odds.storage.store import Store, migrate, open_store
from quart_odds.storage.writer import OddsWriter

__all__ = ["OddsService", "OddsWriter", "Store", "migrate", "open_store"]
