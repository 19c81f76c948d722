"""Cold places: where a copy lies, what was brought back, how objects go cold here; why a restore was refused."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    "alter table artifact add column cold_uri text",
    "alter table artifact add column warm_since timestamptz",
    "create index artifact_cold_uri on artifact (cold_uri) where cold_uri is not null",
    "alter table restore add column code text",
    """
    create table tiering (
        one boolean primary key default true check (one),
        backend text not null check (backend in ('storage-class', 'copy', 'none')),
        said text not null,
        classes text[],
        cold text, -- the last cold place that could be used, and what it says of itself
        place_id text,
        decided_at timestamptz not null
    )
    """,
    "create view status_tiering as select backend, said, classes, cold, decided_at from tiering",
    """
    create or replace view status_artifact as
        select a.id as artifact, a.uri, a.kind, a.size, a.version, a.stage, a.subject, a.recorded_at, a.tier,
               a.tier_since, a.state, a.since, a.action, a.policy, a.not_before, a.last_act, a.wanted_until,
               coalesce(told.count, 0) as count, a.cold_uri, a.warm_since
        from artifact a left join told on told.artifact = a.id
    """,
    """
    create or replace view status_restore as
        select artifact, number, days, actor, reason, state, asked_at, ended_at, until, code from restore
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
               case when state = 'unknown' then 'a fact that names it'
                    when code is null or code = 'OBJECT_MISSING' then 'a person: it is gone'
                    else 'a person: the restore was refused, ' || code end
        from restore r where state in ('unknown', 'refused')
             and not exists (select from restore later where later.artifact = r.artifact and later.number > r.number)
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
