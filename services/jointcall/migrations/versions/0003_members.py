"""Which samples take part in a freeze, for whoever shares out what it costs."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    "create index freeze_sample_sample on freeze_sample (sample)",
    'create view status_freeze_sample as select freeze_id as "freeze", sample, version from freeze_sample',
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is restored from a backup, never migrated back")
