"""Align's SQL."""

ARRIVE = """
insert into sample_version (sample, version, project, run, arrived, state, since)
values ($1, $2, $3, $4, $5, 'waiting', (select ledger_now()))
on conflict do nothing
returning version
"""
VERSION = "select * from sample_version where sample = $1 and version = $2 for update"
SET_STATE = """
update sample_version set state = $3, since = (select ledger_now()) where sample = $1 and version = $2
"""
ALIGNED = """
update sample_version set state = 'calling', since = (select ledger_now()), aligned = $3
where sample = $1 and version = $2
"""
CALLED = """
update sample_version set state = 'called', since = (select ledger_now()), called = $3
where sample = $1 and version = $2
"""
FAILED = """
update sample_version set state = 'failed', since = (select ledger_now()), error = $3
where sample = $1 and version = $2
"""
"""Lock order is always by version, so that two transactions of one sample cannot block each other."""
