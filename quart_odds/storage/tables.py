"""The tables, as SQLAlchemy Core sees them. Migrations make them; docs/storage.md explains them.

Moments are microseconds since 1970 in UTC, as integers, so that both databases keep exactly the same; only the history
counts whole seconds.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

MAX_ID = 2**31 - 1
"""Ids of events, quotes and runs are positive and at most this."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970. Raises ValueError for a naive datetime."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone")
    return (moment - _EPOCH) // _MICROSECOND


class Moment(TypeDecorator[datetime]):
    """An aware datetime as microseconds since 1970; it comes back in UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """To the database. Raises ValueError for a naive datetime."""
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


competitions = Table(
    "competitions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("platform", String(16), nullable=False),
    Column("external_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("country", Text, nullable=False),
    UniqueConstraint("platform", "external_id"),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False),
    Column("sportradar_id", Text),
    Column("home_team", Text, nullable=False),
    Column("away_team", Text, nullable=False),
    Column("kickoff", Moment, nullable=False, index=True),
    Column("created_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
)
"""One match. `key` is unique while nothing is moved between events, so it is indexed and not constrained."""
Index("ix_events_key", events.c.key)

quotes = Table(
    "quotes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("event_id", Integer, ForeignKey("events.id"), nullable=False, index=True),
    Column("platform", String(16), nullable=False),
    Column("external_id", Text, nullable=False),
    Column("sportradar_id", Text),
    Column("home_team", Text, nullable=False),
    Column("away_team", Text, nullable=False),
    Column("kickoff", Moment, nullable=False),
    Column("competition_id", Integer, ForeignKey("competitions.id"), nullable=False),
    Column("first_seen_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
    Column("gone_at", Moment),
    Column("genius_id", Text),
    Column("missed_at", Moment),
    Column("promotions", Text, nullable=False, server_default=""),
    UniqueConstraint("platform", "external_id"),
)
"""One event at one bookmaker. `promotions` are the bookmaker's own words, joined by commas."""

quote_prices = Table(
    "quote_prices",
    metadata,
    Column("quote_id", Integer, ForeignKey("quotes.id"), primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)
"""The current prices of a quote, packed by `storage.packing`."""

quote_openings = Table(
    "quote_openings",
    metadata,
    Column("quote_id", Integer, ForeignKey("quotes.id"), primary_key=True, autoincrement=False),
    Column("at", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
"""The first prices of a quote, packed: where each price's history begins."""

odds_history = Table(
    "odds_history",
    metadata,
    Column("quote_at", BigInteger, primary_key=True, autoincrement=False),
    Column("key", Integer, primary_key=True, autoincrement=False),
    Column("odds", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""One row a changed price: quote id and epoch second in one integer, the price's key, the packed odds (-1: gone).

Keys have 32 bits and the column is signed: see `odds_rows.signed_key`.

A quote's changes of one moment lie together, so a scrape writes one or two pages a quote. With the price first, each
row had a page of its own: four times the bytes written, measured over a day.
"""

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("status", String(16), nullable=False, index=True),
    Column("trigger", String(64), nullable=False),
    Column("platforms", Text, nullable=False),
    Column("started_at", Moment, nullable=False, index=True),
    Column("completed_at", Moment),
    Column("events_scraped", Integer, nullable=False),
    Column("events_failed", Integer, nullable=False),
    sqlite_autoincrement=True,
)

run_results = Table(
    "run_results",
    metadata,
    Column("run_id", Integer, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("platform", String(16), primary_key=True),
    Column("phase", String(16), nullable=False),
    Column("found", Integer, nullable=False),
    Column("fetched", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("duration_ms", Integer),
    Column("mapped_markets", Integer, nullable=False),
    Column("unmapped_markets", Integer, nullable=False),
    Column("dropped_prices", Integer, nullable=False),
    Column("is_shrunken", Boolean, nullable=False),
)

run_errors = Table(
    "run_errors",
    metadata,
    Column("run_id", Integer, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("ends_platform", Boolean, nullable=False),
    Column("error_type", String(64), nullable=False),
    Column("error_message", Text, nullable=False),
    Column("occurred_at", Moment, nullable=False),
    Column("platform", String(16)),
    Column("where", Text),
    Column("recoverable", Boolean, nullable=False),
    Column("times", Integer, nullable=False),
)
"""What went wrong, in order. `ends_platform` marks the error of a platform's result."""

run_phases = Table(
    "run_phases",
    metadata,
    Column("run_id", Integer, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("platform", String(16)),
    Column("phase", String(16), nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("events_processed", Integer),
    Column("message", Text),
)

notes = Table(
    "notes",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
"""Small things to remember over a restart, such as that the scheduler is paused."""

writer = Table(
    "writer",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("term", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False),
)
"""One row. `term` counts how often the right to write has changed hands: a transaction of the writer fails unless the
term is its own. `revision` grows with each such transaction, so that those who only read know when to read again.
"""
