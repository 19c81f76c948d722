"""What brought each arrival of a fan: for the trace of what gathers them."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("alter table fan_arrival add column traceparent text")


def downgrade() -> None:
    raise NotImplementedError("a ledger is restored from a backup, never migrated back")
