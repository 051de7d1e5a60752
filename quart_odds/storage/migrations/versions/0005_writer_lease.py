"""Adds the writer lease: who writes, until when, and whether that process holds the writer lock."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. Nobody holds the lease: the next process to start takes it with the writer lock."""
    op.add_column("writer", sa.Column("holder", sa.String(128), nullable=True))
    op.add_column("writer", sa.Column("expires_at", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("writer", sa.Column("is_locked", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Drop the columns."""
    for name in ("is_locked", "expires_at", "holder"):
        op.drop_column("writer", name)
