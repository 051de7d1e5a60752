"""The tables about the database itself: clean-ups, its size, and what was reported about it. See `storage.tables`."""

from sqlalchemy import BigInteger, Column, Float, Integer, String, Table, Text

from quart_odds.storage.tables import Moment, metadata

__all__ = ["clean_ups", "metadata", "storage_alerts", "storage_samples"]
"""`metadata` has all tables once this module is imported."""

clean_ups = Table(
    "clean_ups",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("trigger", String(16), nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("odds_days", Integer, nullable=False),
    Column("match_days", Integer, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("status", String(16), nullable=False),
    Column("completed_at", Moment),
    Column("events", Integer, nullable=False),
    Column("history_rows", BigInteger, nullable=False),
    Column("openings", Integer, nullable=False),
    Column("runs", Integer, nullable=False),
    Column("listings", Text, nullable=False),
    Column("rows_by", Text, nullable=False),
    Column("oldest_odds_at", Moment),
    Column("oldest_kickoff", Moment),
    Column("error", Text),
    sqlite_autoincrement=True,
)
"""One row per clean-up. `listings` and `rows_by` are JSON, by the slug of the bookmaker."""

storage_samples = Table(
    "storage_samples",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("sampled_at", Moment, nullable=False, index=True),
    Column("total_bytes", BigInteger, nullable=False),
    Column("tables", Text, nullable=False),
    sqlite_autoincrement=True,
)
"""The size of the database, about once a day. `tables` is JSON: a name, its bytes and its rows for each."""

storage_alerts = Table(
    "storage_alerts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(32), nullable=False),
    Column("message", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("current_bytes", BigInteger, nullable=False),
    Column("previous_bytes", BigInteger, nullable=False),
    Column("growth_percent", Float, nullable=False),
    Column("resolved_at", Moment),
    sqlite_autoincrement=True,
)
"""What was reported about the size and the freshness of the database."""
