"""The tables for SQLAlchemy Core. Migrations create them, and docs/storage.md explains them.

Times are integers, in microseconds since 1970 (UTC), so that both databases store exactly the same values. Only the
history and the openings use whole seconds.
"""

from datetime import datetime

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
    false,
)

from quart_odds.domain.clock import of_micros, to_micros

MAX_ID = 2**31 - 1
"""Maximum id of events, event odds and runs. Ids are positive."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Moment(TypeDecorator[datetime]):
    """A column type for aware datetimes, stored as microseconds since 1970 and read back in UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Convert a value for the database. Raises ValueError for a naive datetime."""
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Convert a value from the database."""
        return None if value is None else of_micros(value)


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
"""One row per match. `key` may be duplicated while odds move between events, so it has an index but no constraint."""
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
    Column("listed_at", Moment),
    Column("offer_times", LargeBinary),
    UniqueConstraint("platform", "external_id"),
)
"""One row per event and bookmaker. `promotions` are the bookmaker's own terms, comma-separated.

`listed_at` is the time of the newest list that had the event with prices. `offer_times` are times of single markets and
lines, packed by `storage.offer_times`.
"""

quote_prices = Table(
    "quote_prices",
    metadata,
    Column("quote_id", Integer, ForeignKey("quotes.id"), primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
    Column("chances", LargeBinary),
)
"""The current prices of an event's odds, packed by `storage.packing`, and their probabilities (`odds.chances`)."""

quote_openings = Table(
    "quote_openings",
    metadata,
    Column("quote_id", Integer, ForeignKey("quotes.id"), primary_key=True, autoincrement=False),
    Column("at", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
"""The first prices of an event's odds, packed: each price's history begins with them."""

odds_history = Table(
    "odds_history",
    metadata,
    Column("quote_at", BigInteger, primary_key=True, autoincrement=False),
    Column("key", Integer, primary_key=True, autoincrement=False),
    Column("odds", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""One row per changed price: `quotes.id` and epoch second in one integer, the price's key, and its packed odds.

Odds of -1 mean that the price is gone. Keys have 32 bits but the column is signed: see `odds_rows.signed_key`.

The changes of an event's odds at one moment are adjacent, so a scrape writes one or two pages for each. With the key as
the first column, every row went to a different page, and four times as many bytes were written (measured over a day).
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
    Column("mode", String(16), nullable=False, server_default="full"),
    sqlite_autoincrement=True,
)
"""One row per run. Sweeps are folded into `sweep_hours` a day after their end."""
Index("ix_runs_mode_id", runs.c.mode, runs.c.id)

sweep_hours = Table(
    "sweep_hours",
    metadata,
    Column("hour", Moment, primary_key=True),
    Column("platform", String(16), primary_key=True),
    Column("sweeps", Integer, nullable=False),
    Column("completed", Integer, nullable=False),
    Column("partial", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("events_found", BigInteger, nullable=False),
    Column("events_scraped", BigInteger, nullable=False),
    Column("events_failed", BigInteger, nullable=False),
    Column("timed", Integer, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    Column("first_id", Integer, nullable=False),
    Column("last_id", Integer, nullable=False),
)
"""The sweeps that started in an hour, added up: one row per bookmaker, and one for the runs as a whole ("all").

`failed` includes cancelled and interrupted ones. `timed` is the number of those whose duration is known, and
`duration_us` the sum of these durations.
"""

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
"""The errors of a run, in order. `ends_platform` marks the error that is part of a platform's result."""

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

past_opportunities = Table(
    "past_opportunities",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("event_id", Integer, nullable=False),
    Column("event_name", Text, nullable=False),
    Column("kickoff", Moment, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("keys", Text, nullable=False),
    Column("platforms", Text, nullable=False),
    Column("margin", Integer, nullable=False),
    Column("best_margin", Integer, nullable=False),
    Column("first_seen_at", Moment, nullable=False),
    Column("ended_at", Moment, nullable=False, index=True),
    sqlite_autoincrement=True,
)
"""One row per opportunity that is over. `keys` are those of its prices, and `platforms` who had them, comma-separated.

Margins are in hundredths of a percent. An event may be removed before its opportunities are.
"""

notes = Table(
    "notes",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
"""Key-value pairs that survive restarts, such as whether the scheduler is paused."""

writer = Table(
    "writer",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("term", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("holder", String(128)),
    Column("expires_at", BigInteger, nullable=False, server_default="0"),
    Column("is_locked", Boolean, nullable=False, server_default=false()),
)
"""A single row. `term` counts the changes of the writer: a transaction of the writer fails if its term is not this one.

`revision` grows with what the writer commits, so other processes know when to read again. `holder` names the process
that has the lease, and `expires_at` says until when, by the clock of the database, in microseconds since 1970.
`is_locked` says whether that process holds the writer lock, too.
"""

alert_targets = Table(
    "alert_targets",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("secret", Text),
    Column("created_at", Moment, nullable=False),
    sqlite_autoincrement=True,
)
"""Where alerts are sent. URLs contain tokens, and `secret` signs requests: neither is shown to anybody."""

alert_rules = Table(
    "alert_rules",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("is_enabled", Boolean, nullable=False),
    Column("cooldown_seconds", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    sqlite_autoincrement=True,
)
"""What alerts are about. `spec` is JSON, and its fields depend on the kind."""

alert_rule_targets = Table(
    "alert_rule_targets",
    metadata,
    Column("rule_id", Integer, ForeignKey("alert_rules.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column(
        "target_id", Integer, ForeignKey("alert_targets.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
)

alert_states = Table(
    "alert_states",
    metadata,
    Column("rule_id", Integer, ForeignKey("alert_rules.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("subject", String(200), primary_key=True),
    Column("is_armed", Boolean, nullable=False),
    Column("fired_at", Moment),
    Column("changed_at", Moment, nullable=False),
)
"""Where each subject of a rule is: armed, or beyond the threshold. A subject without a row is armed."""

alerts = Table(
    "alerts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("rule_id", Integer, ForeignKey("alert_rules.id", ondelete="SET NULL"), index=True),
    Column("rule_name", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("fired_at", Moment, nullable=False, index=True),
    sqlite_autoincrement=True,
)
"""The alerts that fired. `data` is JSON."""

alert_deliveries = Table(
    "alert_deliveries",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("key", String(64), nullable=False),
    Column("alert_id", Integer, ForeignKey("alerts.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("rule_id", Integer, nullable=False),
    Column("target_id", Integer, ForeignKey("alert_targets.id", ondelete="SET NULL"), index=True),
    Column("target_name", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Moment, nullable=False),
    Column("reason", Text),
    Column("created_at", Moment, nullable=False),
    Column("ended_at", Moment),
    UniqueConstraint("key"),
    sqlite_autoincrement=True,
)
"""The queue: one row per alert and target. `key` is the idempotency key, and `reason` says why the last attempt failed.

`rule_id` stays when its rule is removed, since deliveries of one rule to one target are made in order.
"""
Index("ix_alert_deliveries_state_rule_id", alert_deliveries.c.state, alert_deliveries.c.rule_id)

access_tokens = Table(
    "access_tokens",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("name", Text, nullable=False),
    Column("scope", String(16), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
    Column("last_used_at", Moment),
)
"""The tokens of the API. `digest` is the SHA-256 of a token's text, which is stored nowhere."""

access_sessions = Table(
    "access_sessions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("token_id", String(16), ForeignKey("access_tokens.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
)
"""Who is logged in on the pages, and with which token."""

access_tickets = Table(
    "access_tickets",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("scope", String(16), nullable=False),
    Column("token_id", String(16)),
    Column("ends_at", Moment),
    Column("expires_at", Moment, nullable=False),
)
"""Tickets that nobody has used yet."""
