"""Annotate's SQL."""

MEET = """
insert into panel (freeze_id, cohort, number, recalibrated, state, since)
values ($1, $2, $3, $4, 'annotating', (select ledger_now()))
on conflict do nothing
returning freeze_id
"""
MEET_FAILED = """
insert into panel (freeze_id, cohort, number, state, since, error)
values ($1, $2, $3, 'failed', (select ledger_now()), $4)
on conflict do nothing
"""
"""A freeze's failure may overtake its filtered panel, which then finds this."""
PLANNED = """
update panel set intervals = $2, since = (select ledger_now())
where freeze_id = $1 and state = 'annotating' returning *
"""
RELEASING = """
update panel set state = 'releasing', since = (select ledger_now())
where freeze_id = $1 and state = 'annotating' returning *
"""
RELEASED = """
update panel set state = 'released', since = (select ledger_now()), released_at = (select ledger_now()),
                 manifest = $2, summary = $3, report = $4
where freeze_id = $1 and state = 'releasing'
"""
FAIL = """
update panel set state = 'failed', since = (select ledger_now()), error = $2
where freeze_id = $1 and state not in ('failed', 'released') returning cohort
"""
