"""Subjects and tasks that stand still: what the watchdog has an eye on, and the view of those past their time."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    create table watched (
        subject text not null,
        kind text not null,
        state text not null,
        moved_at timestamptz not null, -- when it moved last: its state changed, or what it waits for did
        expected_seconds double precision not null,
        waits_for text not null,
        found_at timestamptz, -- when it was found past its time; null while it may still be on its way
        primary key (subject, kind, state)
    )
    """,
    # The watchdog reads the last few of a kind: how long they took, and that their pool moves.
    "create index task_ended on task (kind, finished_at desc) where state = 'done'",
    """
    create view status_stuck as
        select subject, kind, state, moved_at as since, expected_seconds, waits_for, found_at
        from watched where found_at is not null
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is restored from a backup, never migrated back")
