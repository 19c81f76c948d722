"""A version whose work was ended by people stands as withdrawn or cancelled, and waits for nothing."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

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
        where t.subject = v.sample and t.state = 'waiting' and (t.kind = 'align') = (v.state = 'aligning')
        limit 1
    ) parked on v.state in ('aligning', 'calling')
    left join lateral (
        select 'withdrawn' as state from withdrawn w where w.subject = v.sample
        union all
        select 'cancelled' from task t
        where t.subject = v.sample and t.kind = case v.state when 'aligning' then 'align' when 'calling' then 'call' end
        having bool_and(t.state in ('cancelled', 'done')) and bool_or(t.state = 'cancelled')
        limit 1
    ) ended on v.state in ('waiting', 'aligning', 'calling')
"""


def upgrade() -> None:
    op.execute(STATUS_SUBJECT)


def downgrade() -> None:
    raise NotImplementedError("a ledger is restored from a backup, never migrated back")
