"""Jointcall's SQL."""

LEARN = """
insert into sample (key, project, version, gvcf, reference_name, reference_digest, pipeline, verdict, reasons,
                    mean_coverage, since, finding, found_at)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, moment, $11, case when $11::jsonb is not null then moment end
from (select ledger_now() as moment) as clock
on conflict (key) do update set
    version = excluded.version, gvcf = excluded.gvcf, reference_name = excluded.reference_name,
    reference_digest = excluded.reference_digest, pipeline = excluded.pipeline, verdict = excluded.verdict,
    reasons = excluded.reasons, mean_coverage = excluded.mean_coverage, since = excluded.since,
    finding = excluded.finding, found_at = excluded.found_at
where excluded.version >= sample.version
returning key
"""
FOUND = """
update sample set finding = $3, found_at = (select ledger_now())
from freeze_sample f
where f.freeze_id = $1 and f.sample = $2 and sample.key = f.sample and sample.version = f.version
returning sample.key
"""
OVERRIDE = """
insert into override (sample, verdict, by, reason, since) values ($1, $2, $3, $4, (select ledger_now()))
on conflict (sample) do update set
    verdict = excluded.verdict, by = excluded.by, reason = excluded.reason, since = excluded.since
"""
TAG = "insert into tag (sample, tag) values ($1, $2) on conflict do nothing"
UNTAG = "delete from tag where sample = $1 and tag = $2"

MEET_COHORT = "insert into cohort (cohort, created_at) values ($1, (select ledger_now())) on conflict do nothing"
NEXT_NUMBER = "update cohort set freezes = freezes + 1 where cohort = $1 returning freezes"
NEW_FREEZE = """
insert into cohort_freeze (freeze_id, cohort, number, request_id, requested_by, engine, reference_name,
                           reference_digest, state, since, samples)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, (select ledger_now()), $10)
"""
CANDIDATES = """
select s.key, s.version, s.gvcf, s.reference_name, s.reference_digest, s.pipeline, s.verdict, o.verdict as override,
       w.subject is not null as withdrawn, s.finding ->> 'policy' as finding,
       s.finding #>> '{rejection,code}' as found, coalesce(o.since >= s.found_at, false) as decided
from sample s
left join override o on o.sample = s.key
left join withdrawn w on w.subject = s.key
where $1::text[] is null or s.key = any($1)
order by s.key
"""
TAGGED = "select sample from tag where tag = $1"
FREEZE_SAMPLE = "insert into freeze_sample (freeze_id, sample, version, gvcf) values ($1, $2, $3, $4)"
SAMPLES_OF = "select sample, version, gvcf from freeze_sample where freeze_id = $1 order by sample"
SET_STATE = """
update cohort_freeze set state = $2, since = (select ledger_now()), error = coalesce($3, error)
where freeze_id = $1 and state <> all($4::text[])
returning freeze_id
"""
SET_ERROR = "update cohort_freeze set error = $2 where freeze_id = $1"
PLANNED = """
update cohort_freeze set state = 'genotyping', since = (select ledger_now()), intervals = $2, manifest = $3,
                  interval_manifest = $4, begun_with = $5
where freeze_id = $1 and state = 'planning'
returning cohort, number, engine, reference_name, reference_digest
"""
NEW_INTERVAL = """
insert into freeze_interval (freeze_id, index, interval, predicted_work) values ($1, $2, $3, $4)
on conflict do nothing
"""
GENOTYPED = """
update freeze_interval set state = 'genotyped', variants = $3, seconds = $4, attempts = $5, columns = $6, reuse = $7,
    left_out = $8
where freeze_id = $1 and index = $2
"""
OPEN_INTERVALS = "select count(*) from freeze_interval where freeze_id = $1 and state <> 'genotyped'"
LAST_FREEZE = """
select freeze_id, interval_manifest from cohort_freeze
where cohort = $1 and number < $2 and reference_digest = $3 and interval_manifest is not null
order by number desc limit 1
"""
DENSITY = """
select interval, variants from freeze_interval where freeze_id = $1 and variants is not null order by index
"""
"""Variants seen per interval by an earlier freeze: what work is predicted from."""
LAST_WHOLE = """
select freeze_id from cohort_freeze f
where cohort = $1 and number < $2 and reference_digest = $3 and engine = $4
  and intervals = (select count(*) from freeze_interval i
                   where i.freeze_id = f.freeze_id and i.state = 'genotyped' and i.columns ->> 'lineage' = $5)
order by number desc limit 1
"""
"""The latest freeze with a generation of the lineage for each interval. These generations stay in the store; those that
only older freezes name may go."""
STANDING = "select interval, columns, variants from freeze_interval where freeze_id = $1 order by index"
SHARED = """
select count(*) from freeze_sample one join freeze_sample other using (sample, version)
where one.freeze_id = $1 and other.freeze_id = $2
"""
