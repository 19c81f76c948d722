"""The archive's tables: copies of artifacts, who came from whom, holds, restores, plan, inventory; and their views."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    # One row per copy: an artifact is its content, and the same content may lie in several places.
    """
    create table artifact (
        id text not null check (id ~ '^[0-9a-f]{64}$'),
        uri text not null,
        kind text not null,
        size bigint,
        version text,
        stage text not null,
        subject text not null,
        rank smallint not null, -- 0 an event names it, 1 a manifest does, 2 the inventory found it
        recorded_at timestamptz not null,
        made_at timestamptz,
        tier text not null default 'STANDARD',
        tier_since timestamptz not null,
        state text not null default 'stored' check (state in ('stored', 'condemned', 'purged', 'missing')),
        since timestamptz not null,
        action text,
        policy text,
        not_before timestamptz,
        condemned_count integer, -- the count of the fact that condemned it: a later act has another
        last_act text, -- why the last act did not come about
        wanted_until timestamptz,
        not_again_before timestamptz,
        primary key (id, uri)
    )
    """,
    "create index artifact_uri on artifact (uri)",
    "create index artifact_subject on artifact (subject)",
    "create table told (artifact text primary key, count integer not null)",
    """
    create table lane (
        sample text not null,
        version integer not null,
        read_group text not null,
        r1 text not null,
        r2 text not null,
        fingerprint text, -- a function of the files' content, so once computed it holds for ever
        primary key (sample, read_group, r1, r2)
    )
    """,
    "create index lane_r1 on lane (r1)",
    "create index lane_r2 on lane (r2)",
    """
    create table cram (
        id text not null,
        crai text not null,
        sample text not null,
        version integer not null,
        run text not null,
        read_groups text[] not null,
        reference jsonb not null,
        fingerprint text not null,
        recorded_at timestamptz not null,
        checked text check (checked in ('agrees', 'differs', 'failed')),
        compared text[] not null default '{}', -- the FASTQs that it was compared with
        found text,
        checked_at timestamptz,
        primary key (sample, version, id)
    )
    """,
    "create index cram_id on cram (id)",
    """
    create table gvcf (
        id text not null,
        index_id text not null,
        sample text not null,
        version integer not null,
        passed boolean not null,
        recorded_at timestamptz not null,
        primary key (sample, version, id)
    )
    """,
    "create index gvcf_id on gvcf (id)",
    """
    create table cohort_freeze (
        id text primary key,
        cohort text not null,
        recorded_at timestamptz not null,
        released_at timestamptz,
        failed_at timestamptz
    )
    """,
    """
    create table manifest (
        freeze_id text not null,
        role text not null, -- members: the freeze's gVCFs; others are lists of what was made
        id text not null,
        uri text not null,
        parts integer not null,
        recorded_at timestamptz not null,
        primary key (freeze_id, role, id)
    )
    """,
    """
    create table manifest_part (
        freeze_id text, role text, id text, part integer, primary key (freeze_id, role, id, part)
    )
    """,
    "create table member (artifact text not null, freeze_id text not null, primary key (artifact, freeze_id))",
    """
    create table hold (
        request_id uuid primary key,
        artifact text not null,
        actor text not null,
        reason text not null,
        placed_at timestamptz not null,
        late boolean not null default false, -- it came after an act had begun
        released_at timestamptz,
        released_by text
    )
    """,
    "create index hold_open on hold (artifact) where released_at is null",
    """
    create table restore (
        artifact text not null,
        number integer not null,
        days integer not null,
        actor text not null,
        reason text not null,
        state text not null check (state in ('unknown', 'asked', 'readable', 'refused')),
        asked_at timestamptz not null,
        ended_at timestamptz,
        until timestamptz,
        primary key (artifact, number)
    )
    """,
    """
    create table planned (
        id text not null,
        uri text not null,
        policy text not null,
        action text not null,
        why_not text[] not null,
        note text,
        saves_monthly double precision,
        planned_at timestamptz not null,
        primary key (id, uri, policy)
    )
    """,
    """
    create table price (
        tier text primary key,
        per_gb_month double precision not null,
        overhead_bytes bigint not null
    )
    """,
    """
    create table inventory_run (
        number serial primary key,
        began_at timestamptz not null,
        ended_at timestamptz,
        objects bigint,
        bytes bigint
    )
    """,
    """
    create table inventory (
        number integer not null,
        uri text not null,
        what text not null,
        kind text,
        tier text not null,
        size bigint, -- null for an unfinished upload: the store does not say
        modified timestamptz not null
    )
    """,
    "create index inventory_number on inventory (number)",
    """
    create view status_artifact as
        select a.id as artifact, a.uri, a.kind, a.size, a.version, a.stage, a.subject, a.recorded_at, a.tier,
               a.tier_since, a.state, a.since, a.action, a.policy, a.not_before, a.last_act, a.wanted_until,
               coalesce(told.count, 0) as count
        from artifact a left join told on told.artifact = a.id
    """,
    """
    create view status_plan as
        select a.id as artifact, a.uri, a.kind, a.subject, a.size, a.tier, p.policy, p.action,
               case when cardinality(p.why_not) = 0 then 'due' else 'waits' end as state,
               p.why_not, p.note, p.saves_monthly, null::timestamptz as not_before, p.planned_at
        from planned p join artifact a using (id, uri)
        where a.state = 'stored'
        union all
        select a.id, a.uri, a.kind, a.subject, a.size, a.tier, a.policy, a.action, 'condemned',
               array['in its grace period'], null, null, a.not_before, a.since
        from artifact a where a.state = 'condemned'
    """,
    """
    create view status_storage as
        select a.kind, a.tier, count(*) as objects, coalesce(sum(a.size), 0)::bigint as bytes,
               (sum(coalesce(a.size, 0) + p.overhead_bytes) / 1073741824.0 * max(p.per_gb_month))::double precision
                   as monthly
        from artifact a left join price p on p.tier = a.tier
        where a.state in ('stored', 'condemned')
        group by a.kind, a.tier
    """,
    """
    create view status_inventory_run as
        select number, began_at, ended_at, objects, bytes from inventory_run where ended_at is not null
        order by number desc limit 1
    """,
    """
    create view status_inventory as
        select r.ended_at as taken_at, i.what, i.kind, i.tier, count(*) as objects,
               coalesce(sum(i.size), 0)::bigint as bytes,
               (sum(coalesce(i.size, 0) + p.overhead_bytes) / 1073741824.0 * max(p.per_gb_month))::double precision
                   as monthly
        from status_inventory_run r join inventory i using (number) left join price p on p.tier = i.tier
        group by r.ended_at, i.what, i.kind, i.tier
    """,
    """
    create view status_inventory_object as
        select r.ended_at as taken_at, i.uri, i.what, i.kind, i.tier, i.size, i.modified
        from status_inventory_run r join inventory i using (number)
    """,
    """
    create view status_hold as
        select artifact, actor, reason, placed_at, late, released_at, released_by from hold
    """,
    """
    create view status_restore as
        select artifact, number, days, actor, reason, state, asked_at, ended_at, until from restore
    """,
    """
    create view status_subject as
        select a.id as subject, 'artifact' as kind, a.subject as belongs_to,
               case when a.state = 'stored' and r.artifact is not null then 'restoring'
                    when a.state = 'stored' and a.tier <> 'STANDARD' then 'tiered'
                    else a.state end as state,
               coalesce(r.asked_at, a.since) as since,
               case when a.state = 'condemned' then
                        'the end of its grace period at '
                        || to_char(a.not_before at time zone 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC, then ' || a.action
                    when a.state = 'missing' then 'a person: a fact names it and the store has it not'
                    when a.state = 'stored' and r.artifact is not null then 'the store, to make it readable again'
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
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is restored from a backup, never migrated back")
