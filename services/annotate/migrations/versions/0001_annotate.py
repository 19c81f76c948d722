"""Panels as annotate makes them. Their intervals' results stand in the ledger's fans."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    create table panel (
        freeze_id text primary key,
        cohort text not null,
        number integer not null,
        recalibrated jsonb, -- the event that started it; none where the freeze failed before it came
        intervals integer,
        state text not null,
        since timestamptz not null,
        released_at timestamptz,
        manifest jsonb,
        summary jsonb,
        report jsonb,
        error jsonb
    )
    """,
    """
    create view status_panel as
        select freeze_id as "freeze", cohort, number, released_at, manifest, summary,
               recalibrated -> 'decisions' as decisions, report
        from panel where released_at is not null
    """,
    """
    create view status_subject as
        select p.freeze_id as subject, 'freeze' as kind, p.cohort as belongs_to, p.state, p.since,
               case p.state
                   when 'annotating' then
                       'its annotation: '
                       || (select count(*) from fan_arrival a where a.name = 'annotated:' || p.freeze_id)
                       || coalesce(' of ' || p.intervals, '') || ' intervals are done'
                   when 'releasing' then 'its gathered files'
               end as waits_for
        from panel p
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is restored from a backup, never migrated back")
