"""The SQL of ingest's own tables, by name."""

from __future__ import annotations

RUNS_OF_ROOT = """
select run.run, folder, state, glance, acted,
       exists (select from run_sample where run_sample.run = run.run and run_sample.state = 'failed') as failures
from run where root = $1
"""
COPIES_OF_ROOT = "select folder, run, glance, verdict from run_copy where root = $1"
SEEN = "select seen from run where root = $1 and folder = $2"
SEEN_COPY = "select seen from run_copy where root = $1 and folder = $2"
PLACE = "select root, folder from run where run = $1"
GONE = "update run set waits_for = $3 where root = $1 and folder = $2 and waits_for <> $3"

NEW_RUN = """
insert into run (run, root, folder, state, since, created_at) values ($1, $2, $3, 'copying', $4, $4)
on conflict do nothing
"""
LOCK_RUN = "select * from run where run = $1 for update"
FORGET_MISNAMED = """
delete from run where root = $1 and folder = $2 and run <> $3
    and not exists (select from run_sample where run_sample.run = run.run)
"""
MOVED = "update run set root = $2, folder = $3 where run = $1"
LOOKED = """
update run set seen = $2, glance = $3, papers = $4
where run = $1 and (seen, glance, papers) is distinct from ($2, $3, $4)
"""
STANDS = """
update run set since = case when state = $2 then since else $4 end, state = $2, waits_for = $3, rejection = null
where run = $1 and (state, waits_for) is distinct from ($2, $3)
"""
ACTED = "update run set acted = papers where run = $1"
ATTEMPT = "update run set attempt = attempt + 1 where run = $1 returning attempt"
OFFERED = """
update run set state = 'checking', since = $2, waits_for = '', rejection = null, flowcell = $3, instrument = $4,
               optical_distance = $5
where run = $1
"""
REFUSED = "update run set state = 'rejected', since = $2, waits_for = '', rejection = $3 where run = $1"
COMPLETED = """
update run set state = 'completed', since = $2, waits_for = '', rejection = null, parts = $3, seen = '{}' where run = $1
"""
NOTE_COPY = """
insert into run_copy (root, folder, run, glance, seen, verdict, rejection, since)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (root, folder) do update
    set run = excluded.run, glance = excluded.glance, seen = excluded.seen, verdict = excluded.verdict,
        rejection = excluded.rejection, since = excluded.since
"""
FORGET_COPY = "delete from run_copy where root = $1 and folder = $2"

SAMPLES_OF_RUN = "select * from run_sample where run = $1 order by sample"
CHECK_SAMPLE = """
insert into run_sample (run, sample, attempt, task, state, since, offer) values ($1, $2, $3, $4, 'checking', $5, $6)
on conflict (run, sample) do update
    set attempt = excluded.attempt, task = excluded.task, state = 'checking', since = excluded.since,
        offer = excluded.offer, result = null, rejection = null
"""
REFUSE_SAMPLE = """
insert into run_sample (run, sample, attempt, task, state, since, offer, rejection)
values ($1, $2, $3, $4, 'failed', $5, $6, $7)
on conflict (run, sample) do update
    set attempt = excluded.attempt, task = excluded.task, state = 'failed', since = excluded.since,
        offer = excluded.offer, result = null, rejection = excluded.rejection
"""
CHECKED = """
update run_sample set state = 'good', since = $2, result = $3, rejection = null
where task = $1 and state in ('checking', 'failed') returning run
"""
GAVE_UP = """
update run_sample set state = 'failed', since = $2, rejection = $3
where task = $1 and state = 'checking' returning run, sample
"""
LEFT_OUT = """
update run_sample set state = 'failed', since = $2, rejection = $3
where (run = $1 or sample = $1) and state in ('checking', 'good') returning run, sample, task
"""
CANCELLED = """
update run_sample set state = 'failed', since = $2, rejection = $3
from task
where (run_sample.run = $1 or run_sample.sample = $1) and run_sample.state = 'checking'
    and task.key = run_sample.task and task.state = 'cancelled'
returning run_sample.run, run_sample.sample, run_sample.task
"""
ANNOUNCED = """
update run_sample set state = 'announced', since = $3, arrival = $4, version = $5 where run = $1 and sample = $2
"""
FAILED_LATE = "update run_sample set state = 'failed', since = $3, rejection = $4 where run = $1 and sample = $2"

NEW_SAMPLE = """
insert into sample (key, project, label, created_at) values ($1, $2, $3, $4) on conflict do nothing
"""
SAMPLES = "select key, version from sample where key = any($1::text[])"
LOCK_SAMPLES = "select key, project, version from sample where key = any($1::text[]) order by key for update"
RAISE_VERSION = "update sample set version = $2 where key = $1"
LIBRARIES = "select key, sample from library where sample = any($1::text[])"
NEW_LIBRARY = "insert into library (key, sample, name) values ($1, $2, $3) on conflict do nothing"
LANES_OF_FLOWCELL = """
select flowcell, lane, index, library, sample, run, r1_sha256, r2_sha256, (r1 ->> 'size')::bigint as r1_size,
       (r2 ->> 'size')::bigint as r2_size
from lane where flowcell = $1
"""
LANES_WITH_FILES = """
select flowcell, lane, index from lane where r1_sha256 = any($1::text[]) or r2_sha256 = any($1::text[])
"""
NEW_LANE = """
insert into lane (flowcell, lane, index, library, sample, run, r1, r2, r1_sha256, r2_sha256, read_pairs, stored_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""
WITHDRAWN = "select subject from withdrawn where subject = any($1::text[])"
