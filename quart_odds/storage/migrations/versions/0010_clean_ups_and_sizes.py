"""Adds the records of clean-ups, samples of the size of the database, and alerts about it."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables. They begin empty."""
    op.create_table(
        "clean_ups",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("trigger", sa.String(16), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("odds_days", sa.Integer(), nullable=False),
        sa.Column("match_days", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("completed_at", sa.BigInteger()),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.Column("history_rows", sa.BigInteger(), nullable=False),
        sa.Column("openings", sa.Integer(), nullable=False),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.Column("listings", sa.Text(), nullable=False),
        sa.Column("rows_by", sa.Text(), nullable=False),
        sa.Column("oldest_odds_at", sa.BigInteger()),
        sa.Column("oldest_kickoff", sa.BigInteger()),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clean_ups")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "storage_samples",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("sampled_at", sa.BigInteger(), nullable=False),
        sa.Column("total_bytes", sa.BigInteger(), nullable=False),
        sa.Column("tables", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_storage_samples")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_storage_samples_sampled_at"), "storage_samples", ["sampled_at"])
    op.create_table(
        "storage_alerts",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("current_bytes", sa.BigInteger(), nullable=False),
        sa.Column("previous_bytes", sa.BigInteger(), nullable=False),
        sa.Column("growth_percent", sa.Float(), nullable=False),
        sa.Column("resolved_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_storage_alerts")),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("storage_alerts", "storage_samples", "clean_ups"):
        op.drop_table(table)
