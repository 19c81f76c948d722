"""Withdrawn samples: what is left of them, which panels hold them. And by when a restore is to be expected."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    "create table withdrawal_told (sample text primary key, told_at timestamptz not null)",
    # What a person has to see about a withdrawal: the archive purges a sample's own, and rewrites no panel.
    """
    create view status_withdrawal as
        select w.subject as sample, w.deadline, w.since,
               (select count(*) from artifact a
                where a.subject = w.subject and a.state in ('stored', 'condemned')) as left_over,
               array(select distinct a.id from artifact a join hold h on h.artifact = a.id and h.released_at is null
                     where a.subject = w.subject and a.state in ('stored', 'condemned') order by 1) as held,
               array(select distinct f.id from cohort_freeze f join member m on m.freeze_id = f.id
                     join gvcf g on g.id = m.artifact
                     where g.sample = w.subject and f.failed_at is null order by 1) as panels,
               t.told_at
        from withdrawn w left join withdrawal_told t on t.sample = w.subject
    """,
)

# The hours are those of chassis.storage.store.RESTORE_TAKES.
SUBJECTS = """
    create or replace view status_subject as
        select a.id as subject, 'artifact' as kind, a.subject as belongs_to,
               case when a.state = 'stored' and r.artifact is not null then 'restoring'
                    when a.state = 'stored' and a.tier <> 'STANDARD' then 'tiered'
                    else a.state end as state,
               coalesce(r.asked_at, a.since) as since,
               case when a.state = 'condemned' then
                        'the end of its grace period at '
                        || to_char(a.not_before at time zone 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC, then ' || a.action
                    when a.state = 'missing' then 'a person: a fact names it and the store has it not'
                    when a.state = 'stored' and r.artifact is not null then
                        'the store, to make it readable again; to be expected by '
                        || to_char(
                            (r.asked_at + make_interval(hours => case a.tier when 'DEEP_ARCHIVE' then 12 else 5 end))
                            at time zone 'UTC', 'YYYY-MM-DD HH24:MI')
                        || ' UTC'
                    when a.state = 'stored' and a.last_act like 'REFUSED%' then 'a person: ' || a.last_act
               end as waits_for
        from artifact a
        left join lateral (
            select artifact, asked_at from restore
            where restore.artifact = a.id and restore.state = 'asked' order by number desc limit 1
        ) r on true
        union all
        select sample, 'sample', run,
               case checked when 'agrees' then 'reads verified in its CRAM' when 'differs' then 'FINGERPRINT DIFFERS'
                            when 'failed' then 'FINGERPRINT NOT VERIFIED' else 'CRAM recorded' end,
               coalesce(checked_at, recorded_at),
               case when checked in ('differs', 'failed') then
                        'a person: its FASTQs stay where they are (' || coalesce(found, 'no reason') || ')' end
        from cram
        union all
        select f.id, 'freeze', f.cohort,
               case when f.released_at is not null then 'released' when f.failed_at is not null then 'failed'
                    else 'open' end,
               coalesce(f.released_at, f.failed_at, f.recorded_at),
               case when f.released_at is null and f.failed_at is null then 'its panel' end
        from cohort_freeze f
        union all
        select artifact, 'artifact', '', 'restore ' || state, asked_at,
               case state when 'unknown' then 'a fact that names it' else 'a person: it is gone' end
        from restore where state in ('unknown', 'refused')
        union all
        select sample, 'sample', '', case when left_over > 0 then 'withdrawn: purging' else 'withdrawn: purged' end,
               coalesce(told_at, since),
               nullif(concat_ws('; ',
                   case when cardinality(held) > 0 then
                        'a person: ' || cardinality(held) || ' of its objects are held' end,
                   case when left_over > 0 then left_over || ' objects to be purged by ' || deadline end,
                   case when cardinality(panels) > 0 then
                        'a person: to make again without it by ' || deadline || ': '
                        || array_to_string(panels, ', ') end
               ), '')
        from status_withdrawal
"""


def upgrade() -> None:
    for statement in (*STATEMENTS, SUBJECTS):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is restored from a backup, never migrated back")
