"""What is kept: runs, events, current odds and their history, in SQLite or PostgreSQL."""

from quart_odds.storage.desk import OddsDesk
from quart_odds.storage.store import Store, migrate, open_store
from quart_odds.storage.writer import OddsWriter

__all__ = ["OddsDesk", "OddsWriter", "Store", "migrate", "open_store"]
