"""Creates the first tables: competitions, events, event odds with their prices and history, runs, notes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "competitions",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("platform", sa.String(length=16), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_competitions")),
        sa.UniqueConstraint("platform", "external_id", name=op.f("uq_competitions_platform_external_id")),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("sportradar_id", sa.Text(), nullable=True),
        sa.Column("home_team", sa.Text(), nullable=False),
        sa.Column("away_team", sa.Text(), nullable=False),
        sa.Column("kickoff", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_index("ix_events_key", "events", ["key"], unique=False)
    op.create_index(op.f("ix_events_kickoff"), "events", ["kickoff"], unique=False)
    op.create_table(
        "notes",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_notes")),
    )
    op.create_table(
        "odds_history",
        sa.Column("quote_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("odds", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("quote_at", "key", name=op.f("pk_odds_history")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("trigger", sa.String(length=64), nullable=False),
        sa.Column("platforms", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("completed_at", sa.BigInteger(), nullable=True),
        sa.Column("events_scraped", sa.Integer(), nullable=False),
        sa.Column("events_failed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_runs_started_at"), "runs", ["started_at"], unique=False)
    op.create_index(op.f("ix_runs_status"), "runs", ["status"], unique=False)
    op.create_table(
        "quotes",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("platform", sa.String(length=16), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("sportradar_id", sa.Text(), nullable=True),
        sa.Column("home_team", sa.Text(), nullable=False),
        sa.Column("away_team", sa.Text(), nullable=False),
        sa.Column("kickoff", sa.BigInteger(), nullable=False),
        sa.Column("competition_id", sa.Integer(), nullable=False),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("gone_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["competition_id"], ["competitions.id"], name=op.f("fk_quotes_competition_id")),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], name=op.f("fk_quotes_event_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quotes")),
        sa.UniqueConstraint("platform", "external_id", name=op.f("uq_quotes_platform_external_id")),
    )
    op.create_index(op.f("ix_quotes_event_id"), "quotes", ["event_id"], unique=False)
    op.create_table(
        "run_errors",
        sa.Column("run_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ends_platform", sa.Boolean(), nullable=False),
        sa.Column("error_type", sa.String(length=64), nullable=False),
        sa.Column("error_message", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("platform", sa.String(length=16), nullable=True),
        sa.Column("where", sa.Text(), nullable=True),
        sa.Column("recoverable", sa.Boolean(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_errors_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "place", name=op.f("pk_run_errors")),
    )
    op.create_table(
        "run_phases",
        sa.Column("run_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("platform", sa.String(length=16), nullable=True),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("events_processed", sa.Integer(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_phases_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "place", name=op.f("pk_run_phases")),
    )
    op.create_table(
        "run_results",
        sa.Column("run_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("platform", sa.String(length=16), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("found", sa.Integer(), nullable=False),
        sa.Column("fetched", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("mapped_markets", sa.Integer(), nullable=False),
        sa.Column("unmapped_markets", sa.Integer(), nullable=False),
        sa.Column("dropped_prices", sa.Integer(), nullable=False),
        sa.Column("is_shrunken", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_results_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "platform", name=op.f("pk_run_results")),
    )
    op.create_table(
        "quote_openings",
        sa.Column("quote_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["quote_id"], ["quotes.id"], name=op.f("fk_quote_openings_quote_id")),
        sa.PrimaryKeyConstraint("quote_id", name=op.f("pk_quote_openings")),
    )
    op.create_table(
        "quote_prices",
        sa.Column("quote_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["quote_id"], ["quotes.id"], name=op.f("fk_quote_prices_quote_id")),
        sa.PrimaryKeyConstraint("quote_id", name=op.f("pk_quote_prices")),
    )


def downgrade() -> None:
    """Drop all tables."""
    op.drop_table("quote_prices")
    op.drop_table("quote_openings")
    op.drop_table("run_results")
    op.drop_table("run_phases")
    op.drop_table("run_errors")
    op.drop_index(op.f("ix_quotes_event_id"), table_name="quotes")
    op.drop_table("quotes")
    op.drop_index(op.f("ix_runs_status"), table_name="runs")
    op.drop_index(op.f("ix_runs_started_at"), table_name="runs")
    op.drop_table("runs")
    op.drop_table("odds_history")
    op.drop_table("notes")
    op.drop_index(op.f("ix_events_kickoff"), table_name="events")
    op.drop_index("ix_events_key", table_name="events")
    op.drop_table("events")
    op.drop_table("competitions")
