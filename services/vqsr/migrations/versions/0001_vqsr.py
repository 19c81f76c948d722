"""Freezes as vqsr sees them. Their intervals' facts stand in the ledger's fans."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    create table cohort_freeze (
        freeze_id text primary key,
        cohort text not null,
        reference jsonb,
        samples integer,
        intervals integer,
        state text not null,
        since timestamptz not null,
        decisions jsonb,
        model jsonb,
        error jsonb
    )
    """,
    """
    create view status_subject as
        select f.freeze_id as subject, 'freeze' as kind, f.cohort as belongs_to, f.state, f.since,
               case f.state
                   when 'gathering' then
                       'its intervals: '
                       || (select count(*) from fan_arrival a where a.name = 'genotyped:' || f.freeze_id)
                       || coalesce(' of ' || f.intervals, '') || ' are genotyped'
                   when 'training' then 'the decision between a model and hard filters'
                   when 'filtering' then
                       'its filters: '
                       || (select count(*) from fan_arrival a where a.name = 'filtered:' || f.freeze_id)
                       || coalesce(' of ' || f.intervals, '') || ' intervals are done'
                   when 'finalising' then 'its manifest'
               end as waits_for
        from cohort_freeze f
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is restored from a backup, never migrated back")
