"""Versions of samples, as align makes them: reads aligned, then called."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    create table sample_version (
        sample text not null,
        version integer not null,
        project text not null,
        run text not null,
        arrived jsonb not null, -- what came for it in its run
        state text not null,
        since timestamptz not null,
        aligned jsonb, -- CRAM, index and metrics
        called jsonb, -- gVCF, index and verdict
        error jsonb,
        primary key (sample, version)
    )
    """,
    """
    create view status_subject as
        select v.sample as subject, 'sample' as kind, v.run as belongs_to, v.state, v.since,
               case v.state
                   when 'waiting' then 'version ' || v.version - 1 || ' of the sample to be aligned'
                   when 'aligning' then coalesce(parked.reason, 'its alignment')
                   when 'calling' then coalesce(parked.reason, 'its variant calls')
               end as waits_for,
               v.version
        from sample_version v
        left join lateral (
            select t.reason from task t
            where t.subject = v.sample and t.state = 'waiting' and (t.kind = 'align') = (v.state = 'aligning')
            limit 1
        ) parked on v.state in ('aligning', 'calling')
    """,
    """
    create view status_version as
        select sample, version, project, run, state, since, aligned -> 'metrics' as metrics,
               called -> 'verdict' as verdict, aligned -> 'cram' as cram, called -> 'gvcf' as gvcf, error
        from sample_version
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is restored from a backup, never migrated back")
