"""Adds the mode of runs, and the hourly figures of sweeps."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COUNTS = ("sweeps", "completed", "partial", "failed")
SUMS = ("events_found", "events_scraped", "events_failed")


def upgrade() -> None:
    """Add the column and the table. Every run so far was a full one."""
    op.add_column("runs", sa.Column("mode", sa.String(16), nullable=False, server_default="full"))
    op.create_index(op.f("ix_runs_mode_id"), "runs", ["mode", "id"])
    op.create_table(
        "sweep_hours",
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("platform", sa.String(16), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in COUNTS),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in SUMS),
        sa.Column("timed", sa.Integer(), nullable=False),
        sa.Column("duration_us", sa.BigInteger(), nullable=False),
        sa.Column("first_id", sa.Integer(), nullable=False),
        sa.Column("last_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "platform", name=op.f("pk_sweep_hours")),
    )


def downgrade() -> None:
    """Restore the previous tables. Sweeps are removed: an older version would take them for full runs."""
    op.drop_table("sweep_hours")
    for table in ("run_phases", "run_errors", "run_results"):
        op.execute(f"DELETE FROM {table} WHERE run_id IN (SELECT id FROM runs WHERE mode <> 'full')")  # noqa: S608
    op.execute("DELETE FROM runs WHERE mode <> 'full'")
    op.drop_index(op.f("ix_runs_mode_id"), "runs")
    op.drop_column("runs", "mode")
