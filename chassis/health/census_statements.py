"""What the census asks. Backlogs and dead letters by their partial indexes, the attempt log by the time of its ends."""

from __future__ import annotations

STATES = ("ready", "delayed", "waiting", "running", "failed")
"""`ready`: a worker could take it now; `delayed`: later by itself (a retry's pause, a grace period); `waiting`: for
something named; `running`: leased; `failed`: a dead letter, which waits for a person."""

TASKS = """
with clock as (select ledger_now() as moment)
select pool, kind, case when ready_at <= moment then 'ready' else 'delayed' end as state, count(*) as tasks,
       extract(epoch from max(moment - least(ready_at, moment)))::double precision as oldest
from task, clock where state = 'ready' group by 1, 2, 3
union all
select pool, kind, 'running', count(*), extract(epoch from max(moment - started_at))::double precision
from task, clock where state = 'leased' group by 1, 2
union all
select pool, kind, 'waiting', count(*), extract(epoch from max(moment - changed_at))::double precision
from task, clock where state = 'waiting' group by 1, 2
union all
select pool, kind, 'failed', count(*), null from task where state = 'failed' group by 1, 2
"""

# `settled`: nothing that ended so long ago can still be committed.
ATTEMPTS_PAGE = "select ended_at from attempt where ended_at > $1 order by ended_at offset $2 limit 1"
ATTEMPTS = """
select t.pool, t.kind, a.ending, a.ended_at <= $3 as settled,
       width_bucket(length.seconds, $4::double precision[]) as bucket, count(*) as count, sum(length.seconds) as total
from attempt a
join task t on t.key = a.task_key
cross join lateral (select extract(epoch from a.ended_at - a.started_at)::double precision as seconds) length
where a.ended_at > $1 and a.ended_at <= coalesce($2, 'infinity'::timestamptz)
group by 1, 2, 3, 4, 5
"""
DONE_PAGE = """
select finished_at from task where kind = $3 and state = 'done' and finished_at > $1
order by finished_at offset $2 limit 1
"""
# A pool without a price of its own has the one of `default`.
COSTS = """
with rate as (
    select * from unnest($6::text[], $7::text[], $8::double precision[]) as r (pool, memory_class, slot_hour)
), done as (
    select t.finished_at <= $3 as settled, coalesce(own.slot_hour, usual.slot_hour) / 3600 * spent.seconds as amount
    from task t
    cross join lateral (
        select coalesce(sum(extract(epoch from a.ended_at - a.started_at)), 0)::double precision as seconds
        from attempt a where a.task_key = t.key
    ) spent
    join rate usual on usual.pool = 'default' and usual.memory_class = t.memory_class
    left join rate own on own.pool = t.pool and own.memory_class = t.memory_class
    where t.kind = $5 and t.state = 'done' and t.finished_at > $1
          and t.finished_at <= coalesce($2, 'infinity'::timestamptz)
)
select settled, width_bucket(amount, $4::double precision[]) as bucket, count(*) as count, sum(amount) as total
from done group by 1, 2
"""

HELD = """
select code, count(*) as events, extract(epoch from ledger_now() - min(received_at))::double precision as oldest
from quarantine where state = 'held' group by code
"""
OFFERS_STORAGE = "select to_regclass('status_storage') is not null"
STORED = "select kind, tier, objects, bytes, monthly from status_storage"
