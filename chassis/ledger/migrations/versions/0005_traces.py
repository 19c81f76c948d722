"""What a person follows a task by: the trace that it belongs to; and attempts by the time they ended."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = (
    # a traceparent is version-trace-parent-flags
    """
    create or replace view status_task as
        select key, kind, subject, belongs_to, pool, memory_class, state, priority, ready_at, epoch, owner, lease_until,
               crashes, retries, preemptions, losses, waits_for, reason, error, created_at, started_at, changed_at,
               finished_at, nullif(split_part(traceparent, '-', 2), '') as trace_id
        from task
    """,
    "create index attempt_ended on attempt (ended_at desc)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is restored from a backup, never migrated back")
