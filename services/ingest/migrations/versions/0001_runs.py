"""Runs and what is known of samples, libraries and lanes. Only here do keys and laboratory ids stand side by side."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    create table run (
        run text primary key,
        root text not null,
        folder text not null,
        state text not null check (state in ('copying', 'waiting for conversion', 'waiting for files',
                                             'waiting for QC flag', 'checking', 'completed', 'rejected')),
        since timestamptz not null,
        waits_for text not null default '',
        attempt integer not null default 0, -- how often the folder was offered
        glance text not null default '', -- the folder's mark at the last full look
        papers text not null default '', -- content of sheet and XML files at the last look
        acted text not null default '', -- the papers that were taken in or refused last
        seen jsonb not null default '{}', -- path -> [size, mtime_ns, since]: what has stopped growing
        rejection jsonb,
        flowcell text,
        instrument text,
        optical_distance integer,
        parts integer not null default 0, -- how many run.completed there were
        created_at timestamptz not null,
        unique (root, folder)
    )
    """,
    # A second folder of a run that is known.
    """
    create table run_copy (
        root text not null,
        folder text not null,
        run text not null references run (run) on delete cascade,
        glance text not null,
        seen jsonb not null default '{}',
        verdict text not null check (verdict in ('waiting', 'same', 'conflict')),
        rejection jsonb,
        since timestamptz not null,
        primary key (root, folder)
    )
    """,
    """
    create table sample (
        key text primary key,
        project text not null,
        label text not null,
        version integer not null default 0, -- 0: never announced yet
        created_at timestamptz not null,
        unique (project, label)
    )
    """,
    """
    create table library (
        key text primary key,
        sample text not null references sample (key),
        name text not null
    )
    """,
    "create index library_sample on library (sample)",
    # A lane's index names one library: the three make the read group's id.
    """
    create table lane (
        flowcell text not null,
        lane integer not null,
        index text not null,
        library text not null references library (key),
        sample text not null references sample (key),
        run text not null,
        r1 jsonb not null,
        r2 jsonb not null,
        r1_sha256 text not null unique,
        r2_sha256 text not null unique,
        read_pairs bigint not null,
        stored_at timestamptz not null,
        primary key (flowcell, lane, index)
    )
    """,
    "create index lane_sample on lane (sample)",
    """
    create table run_sample (
        run text not null references run (run) on delete cascade,
        sample text not null,
        attempt integer not null,
        task text not null,
        state text not null check (state in ('checking', 'good', 'announced', 'failed')),
        since timestamptz not null,
        offer jsonb, -- lanes, files and libraries as offered; null where the sheet's own row was refused
        result jsonb,
        rejection jsonb,
        arrival text,
        version integer,
        primary key (run, sample)
    )
    """,
    "create index run_sample_task on run_sample (task)",
    "create index run_sample_sample on run_sample (sample)",
    """
    create view status_run as
        select run.run, run.state, run.since,
               count(rs.sample) as samples,
               count(rs.sample) filter (where rs.state = 'failed') as rejected,
               case run.state
                   when 'checking' then
                       count(rs.sample) filter (where rs.state = 'checking') || ' of ' || count(rs.sample)
                       || ' samples to be checked'
                   when 'rejected' then coalesce(run.rejection ->> 'fix', '')
                   else run.waits_for
               end as waits_for,
               run.root
        from run left join run_sample rs on rs.run = run.run
        group by run.run
    """,
    """
    create view status_subject as
        select run as subject, 'run' as kind, '' as belongs_to, state, since, waits_for from status_run
        union all
        select sample, 'sample', run,
               case state when 'announced' then 'completed' when 'good' then 'checked' when 'failed' then 'rejected'
                          else state end,
               since,
               case state when 'checking' then 'its FASTQs to be checked and stored'
                          when 'good' then 'the other samples of its run'
                          when 'failed' then coalesce(rejection ->> 'fix', '') else '' end
        from run_sample
    """,
    """
    create view status_rejection as
        select run as subject, 'run' as kind, run, rejection ->> 'code' as code, rejection ->> 'message' as message,
               rejection ->> 'where' as place, rejection ->> 'rule' as rule, rejection ->> 'fix' as fix, since
        from run where rejection is not null
        union all
        select run, 'run', run, rejection ->> 'code', rejection ->> 'message', rejection ->> 'where',
               rejection ->> 'rule', rejection ->> 'fix', since
        from run_copy where rejection is not null
        union all
        select sample, 'sample', run, rejection ->> 'code', rejection ->> 'message', rejection ->> 'where',
               rejection ->> 'rule', rejection ->> 'fix', since
        from run_sample where rejection is not null
    """,
    # These two are for people who may see laboratory ids: the console asks first.
    "create view status_sample_label as select key, project, label, version from sample",
    """
    create view status_sample_file as
        select rs.run, rs.sample, (lane ->> 'lane')::integer as lane, mate.number as mate, lane ->> mate.field as file
        from run_sample rs
        cross join lateral jsonb_array_elements(rs.offer -> 'lanes') as lane
        cross join (values (1, 'r1'), (2, 'r2')) as mate (number, field)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is restored from a backup, never migrated back")
