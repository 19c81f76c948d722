"""The ledger's own tables, the same in every service's schema."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    # The one clock that leases know. Tests and the fleet simulator replace this function, nothing else.
    "create function ledger_now() returns timestamptz language sql volatile as 'select clock_timestamp()'",
    """
    create table incarnation (
        one boolean primary key default true check (one),
        number integer not null default 1,
        raised_at timestamptz not null default now()
    )
    """,
    "insert into incarnation default values",
    """
    create table inbox (
        event_id uuid primary key,
        type text not null,
        subject text not null,
        content_hash text not null,
        received_at timestamptz not null
    )
    """,
    """
    create table task (
        key text primary key,
        slug text not null, -- how the key stands in object keys and file names
        kind text not null,
        subject text not null,
        belongs_to text not null default '',
        payload jsonb not null,
        pool text not null,
        memory_class text not null,
        priority double precision not null default 0,
        state text not null
            check (state in ('waiting', 'ready', 'leased', 'done', 'failed', 'cancelled')),
        ready_at timestamptz not null,
        epoch bigint not null default 0,
        owner text,
        host text,
        lease_until timestamptz,
        crashes integer not null default 0,
        retries integer not null default 0,
        preemptions integer not null default 0,
        losses integer not null default 0,
        loss_hosts text[] not null default '{}',
        checkpoint jsonb not null default '{}',
        result jsonb,
        error jsonb,
        waits_for text,
        reason text,
        traceparent text,
        created_at timestamptz not null,
        started_at timestamptz,
        changed_at timestamptz not null,
        finished_at timestamptz
    ) with (fillfactor = 70)
    """,
    "create index task_claim on task (pool, priority desc, ready_at) where state = 'ready'",
    # By key, not by lease_until: a renewal then changes no indexed column and stays a heap-only update.
    "create index task_leased on task (key) where state = 'leased'",
    "create index task_waiting on task (waits_for) where state = 'waiting'",
    "create index task_subject on task (subject)",
    "create index task_belongs_to on task (belongs_to)",
    """
    create table attempt (
        task_key text not null,
        incarnation integer not null,
        epoch bigint not null,
        owner text,
        host text,
        started_at timestamptz,
        ended_at timestamptz not null,
        ending text not null,
        reason text,
        primary key (task_key, incarnation, epoch)
    )
    """,
    """
    create table outbox (
        id bigserial primary key,
        event_id uuid not null,
        topic text not null,
        key bytea not null,
        headers jsonb not null,
        body bytea not null,
        created_at timestamptz not null
    )
    """,
    """
    create table quarantine (
        id bigserial primary key,
        topic text not null,
        partition integer not null,
        "offset" bigint not null,
        key bytea,
        headers jsonb not null,
        body bytea not null,
        code text not null,
        rejection jsonb not null,
        state text not null default 'held' check (state in ('held', 'replayed', 'discarded')),
        received_at timestamptz not null,
        decided_at timestamptz,
        decided_by text,
        decision_reason text,
        unique (topic, partition, "offset")
    )
    """,
    """
    create table audit (
        request_id uuid primary key,
        type text not null,
        subject text not null,
        actor text not null,
        reason text not null,
        received_at timestamptz not null
    )
    """,
    """
    create table decision (
        id bigserial primary key,
        item bigint not null,
        replay boolean not null,
        actor text not null,
        reason text not null
    )
    """,
    "create table withdrawn (subject text primary key, deadline date, since timestamptz not null)",
    """
    create table fan (
        name text primary key,
        expected integer,
        completed_at timestamptz,
        ended text -- why it will never complete
    )
    """,
    """
    create table fan_arrival (
        name text not null references fan,
        index integer not null,
        value jsonb not null,
        arrived_at timestamptz not null,
        primary key (name, index)
    )
    """,
    """
    create view status_task as
        select key, kind, subject, belongs_to, pool, memory_class, state, priority, ready_at, epoch, owner, lease_until,
               crashes, retries, preemptions, losses, waits_for, reason, error, created_at, started_at, changed_at,
               finished_at
        from task
    """,
    """
    create view status_backlog as
        select pool, kind, state, count(*) as tasks, min(created_at) as oldest,
               sum(extract(epoch from finished_at - started_at)) filter (where state = 'done') as seconds
        from task group by pool, kind, state
    """,
    "create view status_attempt as select * from attempt",
    """
    create view status_quarantine as
        select id, topic, partition, "offset", code, rejection, state, received_at, decided_at, decided_by,
               decision_reason, length(body) as bytes
        from quarantine
    """,
    "create view status_outbox as select count(*) as backlog, min(created_at) as oldest from outbox",
    "create view status_audit as select * from audit",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is restored from a backup, never migrated back")
