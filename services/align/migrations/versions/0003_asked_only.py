"""The same words on each version, but its tasks are looked at only where it is on its way: most of a large site's
samples are not, and whoever asks where all of them stand need not wait for a look at each."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# A condition beside a lateral join is checked after it; inside, it spares the join.
STATUS_SUBJECT = """
create or replace view status_subject as
    select v.sample as subject, 'sample' as kind, v.run as belongs_to, coalesce(ended.state, v.state) as state, v.since,
           case when ended.state is null then
               case v.state
                   when 'waiting' then 'version ' || v.version - 1 || ' of the sample to be aligned'
                   when 'aligning' then coalesce(parked.reason, 'its alignment')
                   when 'calling' then coalesce(parked.reason, 'its variant calls')
               end
           end as waits_for,
           v.version
    from sample_version v
    left join lateral (
        select t.reason from task t
        where v.state in ('aligning', 'calling') and t.subject = v.sample and t.state = 'waiting'
              and (t.kind = 'align') = (v.state = 'aligning')
        limit 1
    ) parked on true
    left join lateral (
        select 'withdrawn' as state from withdrawn w
        where v.state in ('waiting', 'aligning', 'calling') and w.subject = v.sample
        union all
        select 'cancelled' from task t
        where v.state in ('aligning', 'calling') and t.subject = v.sample
              and t.kind = case v.state when 'aligning' then 'align' else 'call' end
        having bool_and(t.state in ('cancelled', 'done')) and bool_or(t.state = 'cancelled')
        limit 1
    ) ended on true
"""


def upgrade() -> None:
    op.execute(STATUS_SUBJECT)


def downgrade() -> None:
    raise NotImplementedError("a ledger is restored from a backup, never migrated back")
