"""What the watchdog asks and writes. Each question is bounded: by an index, or by a number of rows."""

from __future__ import annotations

LEAD = "select pg_try_advisory_xact_lock(hashtextextended($1, 0))"
"""Of several processes one looks, and the others read what it noted."""
HURRY = "set local statement_timeout = '10s'"

OFFERS_SUBJECTS = "select to_regclass('status_subject') is not null"
# Artifacts are left out: they are millions, most rest, and what moves them are tasks. A subject with a task that lives
# is judged by that task; the two look-ups end at the first such task.
SUBJECTS = """
with clock as (select ledger_now() as moment)
select s.subject, s.kind, s.state, s.since, s.waits_for, coalesce(rule.seconds, $4) as expected_seconds
from clock, status_subject s
left join unnest($1::text[], $2::text[], $3::double precision[]) as rule (kind, state, seconds)
       on rule.kind = s.kind and rule.state = s.state
where s.kind <> 'artifact' and s.waits_for <> '' and s.waits_for not like 'a person%'
      and extract(epoch from clock.moment - s.since) > coalesce(rule.seconds, $4) / 2
      and (select true from task t
           where t.subject = s.subject and t.state in ('waiting', 'ready', 'leased') limit 1) is null
      and (select true from task t
           where t.belongs_to = s.subject and t.state in ('waiting', 'ready', 'leased') limit 1) is null
order by s.since limit $5
"""

# The last of each kind, by the index task_ended.
ENDED = """
select k.kind, d.pool, d.memory_class, extract(epoch from d.finished_at - d.started_at)::double precision as seconds,
       extract(epoch from ledger_now() - d.finished_at)::double precision as ended_ago
from unnest($1::text[]) as k (kind)
cross join lateral (
    select pool, memory_class, started_at, finished_at from task
    where kind = k.kind and state = 'done' order by finished_at desc limit $2
) d
"""
# By the index task_leased: as many as there are workers.
AT_WORK = """
select subject, kind, pool, memory_class, host, started_at,
       extract(epoch from ledger_now() - started_at)::double precision as seconds
from task where state = 'leased' order by key limit $1
"""
# By the index task_claim: pool by pool, the head of the queue, where the next claims are made.
READY = """
with recursive pool as (
    (select pool from task where state = 'ready' order by pool limit 1)
    union all
    select (select t.pool from task t where t.state = 'ready' and t.pool > pool.pool order by t.pool limit 1)
    from pool where pool.pool is not null
)
select head.subject, head.kind, pool.pool, head.memory_class, min(head.ready_at) as since
from pool cross join lateral (
    select subject, kind, memory_class, ready_at from task
    where state = 'ready' and task.pool = pool.pool order by priority desc, ready_at limit $2
) head
where pool.pool is not null and extract(epoch from ledger_now() - head.ready_at) > $1
group by 1, 2, 3, 4 limit $2
"""
# By the index task_waiting.
OVERDUE = """
select subject, kind, min(ready_at) as since from task
where state = 'waiting' and waits_for <> 'resume' and extract(epoch from ledger_now() - ready_at) > $1
group by 1, 2 limit $2
"""

# What it waits for counts as movement: the time begins anew when the words change.
NOTE = """
insert into watched as w (subject, kind, state, moved_at, expected_seconds, waits_for)
select * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::double precision[], $6::text[])
on conflict (subject, kind, state) do update set
    moved_at = case when excluded.waits_for = w.waits_for then greatest(w.moved_at, excluded.moved_at)
                    else (select ledger_now()) end,
    expected_seconds = excluded.expected_seconds, waits_for = excluded.waits_for
"""
GONE = """
delete from watched w where not exists (
    select from unnest($1::text[], $2::text[], $3::text[]) as s (subject, kind, state)
    where (s.subject, s.kind, s.state) = (w.subject, w.kind, w.state)
)
returning subject, kind, state, expected_seconds, found_at is not null as found
"""
MOVES = """
update watched set found_at = null
where found_at is not null
      and extract(epoch from (select ledger_now()) - moved_at) <= expected_seconds
returning subject, kind, state, expected_seconds
"""
FOUND = """
update watched set found_at = (select ledger_now())
where found_at is null and extract(epoch from (select ledger_now()) - moved_at) > expected_seconds
returning subject, kind, state, expected_seconds
"""
COUNTS = "select kind, state, count(*) as subjects from watched where found_at is not null group by kind, state"
