"""What was found in a sample's gVCF, and what that means for it."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    # {"policy": note, hold or refuse, "rejection": {...}}; a person's word that is younger than found_at overrules hold
    "alter table sample add column finding jsonb, add column found_at timestamptz",
    """
    create or replace view status_sample as
        select s.key, s.project, s.version, s.verdict,
               case when s.finding is null then s.reasons
                    else s.reasons || jsonb_build_array(
                        format('%s (%s): %s', s.finding #>> '{rejection,code}', s.finding ->> 'policy',
                               s.finding #>> '{rejection,message}')) end as reasons,
               s.mean_coverage, o.verdict as override,
               o.by as override_by, o.reason as override_reason,
               s.reference_name || '@' || left(s.reference_digest, 12) as reference, s.pipeline,
               coalesce((select array_agg(t.tag order by t.tag) from tag t where t.sample = s.key), '{}') as tags,
               s.since, s.finding, s.found_at
        from sample s left join override o on o.sample = s.key
    """,
    """
    create or replace view status_subject as
        select key as subject, 'sample' as kind, project as belongs_to,
               case when s.finding ->> 'policy' = 'refuse' then 'refused: ' || (s.finding #>> '{rejection,code}')
                    when s.finding ->> 'policy' = 'hold' and coalesce(o.since < s.found_at, true)
                        then 'held: ' || (s.finding #>> '{rejection,code}')
                    when coalesce(o.verdict, s.verdict) = 'pass' then 'ready for cohorts'
                    when o.verdict = 'hold' then 'held by ' || o.by
                    else 'called; QC ' || s.verdict end as state,
               greatest(s.since, coalesce(o.since, s.since), coalesce(s.found_at, s.since)) as since,
               case when s.finding ->> 'policy' = 'refuse' then 'its gVCF, called again'
                    when s.finding ->> 'policy' = 'hold' and coalesce(o.since < s.found_at, true)
                        then 'a person: samples pass; or its gVCF, called again'
                    when coalesce(o.verdict, s.verdict) = 'pass' then null
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
