"""Adds the probabilities that a bookmaker gives with its prices."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. Stored prices have no probabilities until they are fetched again."""
    op.add_column("quote_prices", sa.Column("chances", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("quote_prices", "chances")
