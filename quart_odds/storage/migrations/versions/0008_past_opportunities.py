"""Adds the opportunities that are over."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table. It begins empty."""
    op.create_table(
        "past_opportunities",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("event_name", sa.Text(), nullable=False),
        sa.Column("kickoff", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("keys", sa.Text(), nullable=False),
        sa.Column("platforms", sa.Text(), nullable=False),
        sa.Column("margin", sa.Integer(), nullable=False),
        sa.Column("best_margin", sa.Integer(), nullable=False),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_past_opportunities")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_past_opportunities_ended_at"), "past_opportunities", ["ended_at"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("past_opportunities")
