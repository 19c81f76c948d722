"""Vqsr's SQL."""

MEET = """
insert into cohort_freeze (freeze_id, cohort, state, since) values ($1, $2, 'gathering', (select ledger_now()))
on conflict do nothing
"""
FROZEN = """
insert into cohort_freeze (freeze_id, cohort, reference, samples, intervals, state, since)
values ($1, $2, $3, $4, $5, 'gathering', (select ledger_now()))
on conflict (freeze_id) do update set
    reference = excluded.reference, samples = excluded.samples, intervals = excluded.intervals
"""
SET_STATE = """
update cohort_freeze set state = $2, since = (select ledger_now())
where freeze_id = $1 and state <> 'failed' returning *
"""
DECIDED = """
update cohort_freeze set state = 'filtering', since = (select ledger_now()), decisions = $2, model = $3
where freeze_id = $1 and state <> 'failed' returning *
"""
FAIL = """
update cohort_freeze set state = 'failed', since = (select ledger_now()), error = $2
where freeze_id = $1 and state not in ('failed', 'recalibrated') returning cohort
"""
GENOTYPED_OF = "select value from fan_arrival where name = $1 order by index"
