"""Samples that may join cohorts, cohorts, freezes and their intervals."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    create table sample (
        key text primary key,
        project text not null,
        version integer not null,
        gvcf jsonb not null, -- the artifact and its index
        reference_name text not null,
        reference_digest text not null,
        pipeline text not null, -- tool, version and parameters that made the gVCF
        verdict text not null,
        reasons jsonb not null default '[]',
        mean_coverage double precision not null,
        since timestamptz not null
    )
    """,
    """
    create table override (
        sample text primary key,
        verdict text not null check (verdict in ('hold', 'pass')),
        by text not null,
        reason text not null,
        since timestamptz not null
    )
    """,
    "create table tag (sample text not null, tag text not null, primary key (sample, tag))",
    """
    create table cohort (
        cohort text primary key,
        freezes integer not null default 0,
        created_at timestamptz not null
    )
    """,
    """
    create table cohort_freeze (
        freeze_id text primary key,
        cohort text not null references cohort,
        number integer not null,
        request_id uuid not null unique,
        requested_by text not null,
        engine text not null,
        reference_name text,
        reference_digest text,
        state text not null,
        since timestamptz not null,
        samples integer not null default 0,
        intervals integer,
        manifest jsonb,
        interval_manifest jsonb,
        error jsonb
    )
    """,
    """
    create table freeze_sample (
        freeze_id text not null references cohort_freeze,
        sample text not null,
        version integer not null,
        gvcf jsonb not null,
        primary key (freeze_id, sample)
    )
    """,
    """
    create table freeze_interval (
        freeze_id text not null references cohort_freeze,
        index integer not null,
        interval jsonb not null,
        predicted_work double precision not null,
        state text not null default 'queued',
        variants integer,
        seconds double precision,
        attempts integer,
        primary key (freeze_id, index)
    )
    """,
    """
    create view status_sample as
        select s.key, s.project, s.version, s.verdict, s.reasons, s.mean_coverage, o.verdict as override,
               o.by as override_by, o.reason as override_reason,
               s.reference_name || '@' || left(s.reference_digest, 12) as reference, s.pipeline,
               coalesce((select array_agg(t.tag order by t.tag) from tag t where t.sample = s.key), '{}') as tags,
               s.since
        from sample s left join override o on o.sample = s.key
    """,
    "create view status_cohort as select cohort, created_at, freezes from cohort",
    """
    create view status_freeze as
        select f.freeze_id as "freeze", f.cohort, f.number, f.state, f.since, f.samples, f.intervals,
               (select count(*) from freeze_interval i
                where i.freeze_id = f.freeze_id and i.state = 'genotyped') as genotyped,
               f.engine, f.requested_by, f.error, f.request_id,
               case f.state
                   when 'planning' then 'its manifest'
                   when 'genotyping' then 'its intervals'
                   when 'genotyped' then 'filters, annotation and release'
               end as waits_for
        from cohort_freeze f
    """,
    """
    create view status_interval as
        select freeze_id as "freeze", index, interval, predicted_work, state, variants, seconds, attempts
        from freeze_interval
    """,
    """
    create view status_subject as
        select key as subject, 'sample' as kind, project as belongs_to,
               case when coalesce(o.verdict, s.verdict) = 'pass' then 'ready for cohorts'
                    when o.verdict = 'hold' then 'held by ' || o.by
                    else 'called; QC ' || s.verdict end as state,
               greatest(s.since, coalesce(o.since, s.since)) as since,
               case when coalesce(o.verdict, s.verdict) = 'pass' then null
                    else 'a person: samples pass' end as waits_for
        from sample s left join override o on o.sample = s.key
        union all
        select "freeze", 'freeze', cohort, state, since, waits_for from status_freeze
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is restored from a backup, never migrated back")
