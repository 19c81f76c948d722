"""What tasks have taken, attempt by attempt: for what they cost. And dead letters, to be counted without a scan."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STATEMENTS = (
    "create index task_dead on task (pool, kind) where state = 'failed'",
    # An attempt that ended with a result, or was only parked, is not wasted; one that is under way is neither yet.
    """
    create view status_effort as
        select t.key as task, t.kind, t.subject, t.belongs_to, t.pool, t.memory_class, t.state, t.finished_at,
               case when t.state = 'leased' then t.started_at end as running_since,
               e.attempts, e.seconds, e.wasted_attempts, e.wasted_seconds
        from task t
        cross join lateral (
            select count(*) as attempts,
                   coalesce(sum(extract(epoch from a.ended_at - a.started_at)), 0)::double precision as seconds,
                   count(*) filter (where a.ending not in ('done', 'waiting')) as wasted_attempts,
                   coalesce(sum(extract(epoch from a.ended_at - a.started_at))
                            filter (where a.ending not in ('done', 'waiting')), 0)::double precision as wasted_seconds
            from attempt a where a.task_key = t.key
        ) e
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is restored from a backup, never migrated back")
