"""Adds when lists had an event's prices, and when the bookmaker changed them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. Stored odds have no such times: their event's own body was the last fetch."""
    op.add_column("quotes", sa.Column("listed_at", sa.BigInteger(), nullable=True))
    op.add_column("quotes", sa.Column("offer_times", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    """Drop the columns. Prices that lists had later count as seen when their event's own body was last fetched."""
    op.drop_column("quotes", "offer_times")
    op.drop_column("quotes", "listed_at")
