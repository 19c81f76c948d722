"""A new checkpoint acquits a task of the losses before it."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # how many of `losses` lie before the last new checkpoint
    op.execute("alter table task add column acquitted integer not null default 0")


def downgrade() -> None:
    raise NotImplementedError("a ledger is restored from a backup, never migrated back")
