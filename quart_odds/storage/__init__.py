"""Storage of runs, events, current odds and their history in SQLite or PostgreSQL."""

from quart_odds.storage.store import Store, migrate, open_migrated, open_store
from quart_odds.storage.writer import OddsWriter

__all__ = ["OddsWriter", "Store", "migrate", "open_migrated", "open_store"]
