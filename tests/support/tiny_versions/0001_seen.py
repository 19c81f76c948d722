"""How often tiny acted on each fact: a count, so that acting twice shows."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("create table seen (sample text primary key, times integer not null)")


def downgrade() -> None:
    raise NotImplementedError
