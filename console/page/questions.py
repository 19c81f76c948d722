"""What the page asks of the services' views beyond what commands ask: everything bounded or summed up."""

from __future__ import annotations

PAGE = 50
"""Rows of a page."""
MOST_NEEDS = 200
MOST_INTERVALS = 200_000
"""A human genome in intervals of 25 kb is 124,000."""

FLOW = """
select kind, state, count(*) as subjects, max(since) as latest from status_subject
where kind <> 'artifact' group by kind, state
"""
NEEDS = """
select subject from status_subject
where kind <> 'artifact'
  and (state in ('failed', 'rejected') or state like 'refused%' or state like 'FINGERPRINT%'
       or waits_for like 'a person%' or waits_for like '%; a person%')
order by since desc limit $1
"""
ARTIFACT_NEEDS = """
select artifact, kind, subject, state, since, last_act from status_artifact
where state = 'missing' or (state = 'stored' and last_act like 'REFUSED%') order by since desc limit $1
"""
REFUSED_OF = "select subject, code, message from status_rejection where subject = any($1::text[]) order by since"
ENDED_OF = """
select sample as subject, error from status_version
where sample = any($1::text[]) and error is not null order by version
"""
FAILED_FREEZES = """
select "freeze" as subject, error from status_freeze where "freeze" = any($1::text[]) and error is not null
"""
OF_SUBJECTS = "select * from status_subject where subject = any($1::text[])"

RUN_PAGE = """
select *, count(*) over () as total from status_run
where ($1::text is null or state = $1) order by since desc, run limit $2 offset $3
"""
STAGES_OF_RUNS = """
select belongs_to as run, state, count(*) as samples from status_subject
where kind = 'sample' and belongs_to = any($1::text[]) group by belongs_to, state order by belongs_to, state
"""
SAMPLE_PAGE = """
select subject, max(since) as since, count(*) over () as total from status_subject
where kind = 'sample' and ($1::text is null or state = $1) and ($2::text is null or belongs_to = $2)
      and ($3::text is null or starts_with(subject, $3))
group by subject order by 2 desc, 1 limit $4 offset $5
"""
SAMPLES_OF = "select * from status_sample where key = any($1::text[])"
LABELS_OF = "select key, project, label, version from status_sample_label where key = any($1::text[])"
LABELLED = """
select key, project, label, version from status_sample_label
where label = $1 or project || '/' || label = $1 or starts_with(label, $1) order by label <> $1, label limit $2
"""
FILES_OF_SAMPLE = "select * from status_sample_file where sample = $1 order by run, lane, mate limit 400"
ATTEMPTS_OF = "select * from status_attempt where task_key = any($1::text[]) order by started_at limit 500"
TASKS_OF_SUBJECT = """
select key, kind, subject, belongs_to, pool, memory_class, state, epoch, owner, crashes, retries, preemptions, losses,
       waits_for, reason, error, created_at, started_at, changed_at, finished_at, trace_id
from status_task where subject = $1 order by created_at desc, key limit $2
"""
TRACES_OF = """
select trace_id, min(created_at) as since, array_agg(distinct kind) as kinds from status_task
where subject = $1 and trace_id is not null group by trace_id order by 2 desc limit 6
"""
ARTIFACTS_OF = "select * from status_artifact where subject = $1 order by recorded_at, kind limit 300"
ARTIFACT = "select * from status_artifact where artifact = $1 order by uri"
HOLDS_ON = "select * from status_hold where artifact = $1 order by placed_at desc"
RESTORES_OF = "select * from status_restore where artifact = $1 order by number desc limit 20"

FREEZE_PAGE = "select *, count(*) over () as total from status_freeze order by since desc limit $1 offset $2"
OPEN_FREEZES = """
select * from status_freeze where state in ('planning', 'genotyping', 'genotyped') order by since desc limit 100
"""
"""To jointcall a freeze stays genotyped; whether it went on to a panel, annotate says."""
PANELS_ENDED = """
select subject from status_subject where subject = any($1::text[]) and state in ('released', 'failed', 'cancelled')
"""
STAGES_OF_FREEZES = "select subject, state, since, waits_for from status_subject where subject = any($1::text[])"
INTERVALS = """
select index, "interval" ->> 'contig' as contig, ("interval" ->> 'start')::bigint as start,
       ("interval" ->> 'end')::bigint as "end", ("interval" ->> 'contig_length')::bigint as contig_length,
       state, variants, seconds, attempts
from status_interval where "freeze" = $1 order by index limit $2
"""
INTERVAL_TASKS = """
select split_part(key, ':', 4) as index, state, epoch, crashes, retries, preemptions, losses, started_at, waits_for,
       error, trace_id, extract(epoch from now() - started_at)::double precision as running_seconds
from status_task where subject = $1 and kind = 'interval'
"""
"""The key of an interval's task is interval:<cohort>:<number>:<index>:<manifest>."""
KIND_PROGRESS = "select kind, state, count(*) as tasks from status_task where subject = $1 group by kind, state"

THROUGHPUT = """
select pool, count(*) as hour, count(*) filter (where finished_at > now() - interval '15 minutes') as quarter,
       sum(extract(epoch from finished_at - started_at))::double precision as seconds
from status_task
where state = 'done' and kind = any($1::text[]) and finished_at > now() - interval '1 hour' group by pool
"""
ENDINGS = """
select t.pool, a.ending, count(*) as attempts
from status_attempt a join status_task t on t.key = a.task_key
where a.ended_at > now() - interval '1 hour' group by t.pool, a.ending
"""
FINISHED = """
select pool, floor(extract(epoch from finished_at) / $2)::bigint as bucket, count(*) as tasks
from status_task
where state = 'done' and kind = any($1::text[]) and finished_at > now() - make_interval(secs => $2 * $3)
group by 1, 2
"""
QUARANTINE_PAGE = """
select * from status_quarantine where state = any($1::text[]) order by received_at desc limit $2
"""
PLAN_SUMS = """
select policy, action, state, kind, tier, count(*) as objects, coalesce(sum(size), 0)::bigint as bytes,
       sum(saves_monthly)::double precision as saves, min(not_before) as not_before
from status_plan group by policy, action, state, kind, tier order by state, action, kind
"""
OPEN_HOLDS = "select * from status_hold where released_at is null order by placed_at desc limit $1"
OPEN_RESTORES = """
select * from status_restore where state in ('asked', 'unknown') or ended_at > now() - interval '7 days'
order by asked_at desc limit $1
"""
TIERING = "select * from status_tiering"
AUDIT_OF = "select * from status_audit where subject = any($1::text[]) order by received_at desc limit $2"
AUDIT_LATEST = "select * from status_audit order by received_at desc limit $1"
