"""The archive's SQL, named. Statements that change an artifact's state say which state they start from."""

from __future__ import annotations

# --- what facts say ---------------------------------------------------------------------------------------------------

RECORD = """
insert into artifact (id, uri, kind, size, version, stage, subject, rank, recorded_at, made_at, tier, tier_since, since)
select $1, $2, $3, $4, $5, $6, $7, $8, moment, $9, $10, coalesce($9, moment), moment
from (select ledger_now() as moment) as clock
on conflict (id, uri) do update
    set kind = excluded.kind, stage = excluded.stage, subject = excluded.subject, rank = excluded.rank,
        size = coalesce(artifact.size, excluded.size), version = coalesce(artifact.version, excluded.version)
    where (excluded.rank, excluded.stage, excluded.subject) < (artifact.rank, artifact.stage, artifact.subject)
       or artifact.size is null
"""
LANE = """
insert into lane (sample, version, read_group, r1, r2) values ($1, $2, $3, $4, $5)
on conflict (sample, read_group, r1, r2) do update set version = least(lane.version, excluded.version)
"""
CRAM = """
insert into cram (id, crai, sample, version, run, read_groups, reference, fingerprint, recorded_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, (select ledger_now())) on conflict do nothing
"""
GVCF = """
insert into gvcf (id, index_id, sample, version, passed, recorded_at)
values ($1, $2, $3, $4, $5, (select ledger_now()))
on conflict (sample, version, id) do update set passed = gvcf.passed or excluded.passed
"""
FREEZE = """
insert into cohort_freeze (id, cohort, recorded_at) values ($1, $2, (select ledger_now())) on conflict do nothing
"""
RELEASED = "update cohort_freeze set released_at = coalesce(released_at, (select ledger_now())) where id = $1"
FAILED = "update cohort_freeze set failed_at = coalesce(failed_at, (select ledger_now())) where id = $1"
MANIFEST = """
insert into manifest (freeze_id, role, id, uri, parts, recorded_at) values ($1, $2, $3, $4, $5, (select ledger_now()))
on conflict do nothing
"""
PART_READ = "insert into manifest_part (freeze_id, role, id, part) values ($1, $2, $3, $4) on conflict do nothing"
MEMBERS = "insert into member (artifact, freeze_id) select unnest($1::text[]), $2 on conflict do nothing"
COUNT = """
insert into told (artifact, count) values ($1, 1) on conflict (artifact) do update set count = told.count + 1
returning count
"""

# --- what is weighed --------------------------------------------------------------------------------------------------

PAGE = """
select * from artifact
where state = 'stored' and (kind = any($1::text[]) or warm_since is not null) and (id, uri) > ($2, $3)
      and subject not in (select subject from withdrawn)
order by id, uri limit $4
"""
# What the inventory found in a cold place has no other name, and waits for its purge: nobody reads it there.
COPIES = "select * from artifact where id = any($1::text[]) and not (rank = 2 and tier = 'COLD') order by id, uri"
COPIES_LOCKED = "select * from artifact where id = $1 order by uri for update"
COPY = "select * from artifact where id = $1 and uri = $2"
COPY_LOCKED = "select * from artifact where id = $1 and uri = $2 for update"
SAMPLES_OF = """
select sample from lane where r1 = any($1::text[]) or r2 = any($1::text[])
union select sample from cram where id = any($1::text[]) or crai = any($1::text[])
union select sample from gvcf where id = any($1::text[]) or index_id = any($1::text[])
"""
LANES = "select * from lane where sample = any($1::text[])"
CRAMS = """
select cram.*, exists (
    select from artifact a
    where a.id = cram.id and (a.state = 'stored' or (a.state = 'condemned' and a.action <> 'purge'))
) as kept
from cram where sample = any($1::text[])
"""
GVCFS = "select * from gvcf where sample = any($1::text[])"
FREEZES = """
select f.id, f.released_at, f.failed_at is not null as failed,
       exists (
           select from manifest m where m.freeze_id = f.id and m.role = 'members' and m.parts =
               (select count(*) from manifest_part p where p.freeze_id = f.id and p.role = m.role and p.id = m.id)
       ) as read,
       array(select artifact from member where member.freeze_id = f.id and artifact = any($1::text[])) as members
from cohort_freeze f
where (f.released_at is null and f.failed_at is null) or f.id = any($2::text[])
   or exists (select from member where member.freeze_id = f.id and artifact = any($1::text[]))
"""
CRAM_REFERENCE = "select reference from cram where sample = $1 and version = $2 and id = $3"
HOLDS = "select artifact, actor, reason from hold where released_at is null and artifact = any($1::text[])"

# --- the plan ---------------------------------------------------------------------------------------------------------

PLANNED = """
insert into planned (id, uri, policy, action, why_not, note, saves_monthly, planned_at)
values ($1, $2, $3, $4, $5, $6, $7, (select ledger_now()))
on conflict (id, uri, policy) do update
    set action = excluded.action, why_not = excluded.why_not, note = excluded.note,
        saves_monthly = excluded.saves_monthly, planned_at = excluded.planned_at
    where (planned.action, planned.why_not, planned.note, planned.saves_monthly)
          is distinct from (excluded.action, excluded.why_not, excluded.note, excluded.saves_monthly)
"""
STALE_OF_PAGE = """
delete from planned p using unnest($1::text[], $2::text[]) as page (id, uri)
where p.id = page.id and p.uri = page.uri
  and not exists (
      select from unnest($3::text[], $4::text[], $5::text[]) as kept (id, uri, policy)
      where (kept.id, kept.uri, kept.policy) = (p.id, p.uri, p.policy)
  )
"""
STALE_POLICIES = "delete from planned where policy <> all($1::text[])"
FORGET_PLAN = "delete from planned where id = $1 and uri = $2"
PRICE = """
insert into price (tier, per_gb_month, overhead_bytes) values ($1, $2, $3)
on conflict (tier) do update set per_gb_month = excluded.per_gb_month, overhead_bytes = excluded.overhead_bytes
"""

# --- condemn, spare, act ----------------------------------------------------------------------------------------------

CONDEMN = """
update artifact set state = 'condemned', since = (select ledger_now()), action = $3, policy = $4, not_before = $5,
                    condemned_count = $6, last_act = null
where id = $1 and uri = $2 and state = 'stored'
returning id
"""
SPARE = """
update artifact set state = 'stored', since = (select ledger_now()), action = null, policy = null, not_before = null,
                    condemned_count = null, last_act = $3, not_again_before = $4
where id = $1 and uri = $2 and state = 'condemned' returning uri
"""
STRANDED = """
update artifact a set state = 'stored', since = (select ledger_now()), action = null, policy = null, not_before = null,
                      condemned_count = null, last_act = 'its act was cancelled'
where a.state = 'condemned'
  and (select task.state from task where task.key = 'act:' || a.id || ':' || a.condemned_count)
      in ('cancelled', 'failed', 'done')
"""
BEGUN = """
select exists (
    select from task
    where belongs_to = $1 and state in ('leased', 'ready', 'waiting') and checkpoint ? 'begun'
)
"""
CONDEMNED_BY = """
select * from artifact where id = $1 and uri = $2 and state = 'condemned' and condemned_count = $3
"""
MOVED = """
update artifact set state = 'stored', since = (select ledger_now()), tier = $4, tier_since = (select ledger_now()),
                    version = $5, action = null, policy = null, not_before = null, condemned_count = null,
                    last_act = null, cold_uri = coalesce($6, cold_uri),
                    warm_since = case when $7 then coalesce(warm_since, (select ledger_now())) end
where id = $1 and uri = $2 and state = 'condemned' and condemned_count = $3 returning kind
"""
ANOTHER_VERSION = """
update artifact set version = $3, tier = $4, cold_uri = coalesce($5, cold_uri),
                    tier_since = case when tier = $4 then tier_since else (select ledger_now()) end
where id = $1 and uri = $2 and state = 'stored'
"""
PURGED = """
update artifact set state = 'purged', since = (select ledger_now()), action = null, not_before = null, version = $4,
                    cold_uri = null, warm_since = null
where id = $1 and uri = $2 and state = 'condemned' and condemned_count = $3 returning kind
"""
MISSING = """
update artifact set state = 'missing', since = (select ledger_now()), action = null, policy = null, not_before = null
where id = $1 and uri = $2 and state in ('stored', 'condemned') returning kind
"""

# --- withdrawals ------------------------------------------------------------------------------------------------------

WITHDRAWN_PAGE = """
select a.*, w.deadline from artifact a join withdrawn w on w.subject = a.subject
where a.state = 'stored' and (a.id, a.uri) > ($1, $2)
order by a.id, a.uri limit $3 for update of a
"""
WITHDRAWN = "select subject from withdrawn"
DEADLINE = "select deadline from withdrawn where subject = $1"
ALSO_OF = """
select sample from (
    select sample from lane where r1 = $1 or r2 = $1
    union select sample from cram where id = $1 or crai = $1
    union select sample from gvcf where id = $1 or index_id = $1
) as owner
where sample not in (select subject from withdrawn)
  and not exists (
      select from artifact a
      where a.id = $1 and a.uri <> $2 and a.subject = sample and a.state in ('stored', 'condemned')
  )
order by sample
"""
WITHDRAWN_AND_GONE = """
insert into withdrawal_told (sample, told_at)
select w.subject, (select ledger_now()) from withdrawn w
where w.since + $1 <= (select ledger_now())
  and not exists (
      select from artifact a where a.subject = w.subject and a.state in ('stored', 'condemned', 'missing')
  )
on conflict do nothing returning sample
"""

# --- fingerprints -----------------------------------------------------------------------------------------------------

LANE_FINGERPRINT = "update lane set fingerprint = $3 where r1 = $1 and r2 = $2"
CHECKED = """
update cram set checked = $4, compared = $5, found = $6, checked_at = (select ledger_now())
where sample = $1 and version = $2 and id = $3 and checked is distinct from 'agrees' returning id
"""

# --- holds and restores -----------------------------------------------------------------------------------------------

HOLD = """
insert into hold (request_id, artifact, actor, reason, placed_at, late)
values ($1, $2, $3, $4, (select ledger_now()), $5)
on conflict do nothing
"""
RELEASE = """
update hold set released_at = (select ledger_now()), released_by = $2
where artifact = $1 and actor = $2 and released_at is null returning request_id
"""
OPEN_RESTORE = "select number, days, state from restore where artifact = $1 and state in ('unknown', 'asked')"
RESTORE = """
insert into restore (artifact, number, days, actor, reason, state, asked_at)
select $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5, (select ledger_now()) from restore where artifact = $1
returning number
"""
RESTORE_LONGER = "update restore set days = greatest(days, $3) where artifact = $1 and number = $2"
RESTORES_UNKNOWN = """
update restore set state = 'asked' where artifact = any($1::text[]) and state = 'unknown'
returning artifact, number, days
"""
WANTED = """
update artifact set wanted_until = greatest(wanted_until, (select ledger_now()) + make_interval(days => $2))
where id = $1
"""
RESTORED = """
update restore set state = 'readable', ended_at = (select ledger_now()), until = $3
where artifact = $1 and number = $2 and state = 'asked'
"""
RESTORE_REFUSED = """
update restore set state = 'refused', ended_at = (select ledger_now()), code = $3
where artifact = $1 and number = $2 and state = 'asked'
"""
SEEN_IN = """
update artifact set tier = $3, tier_since = case when tier = $3 then tier_since else (select ledger_now()) end
where id = $1 and uri = $2 and tier is distinct from $3
"""
BROUGHT_BACK = """
update artifact set version = $3, cold_uri = $4, warm_since = coalesce(warm_since, (select ledger_now()))
where id = $1 and uri = $2 and state in ('stored', 'condemned') returning wanted_until
"""

# --- how objects go cold ----------------------------------------------------------------------------------------------

TIERING = "select backend, said, classes, cold, place_id from tiering"
TIERING_DECIDED = """
insert into tiering (backend, said, classes, cold, place_id, decided_at)
values ($1, $2, $3, $4, $5, (select ledger_now()))
on conflict (one) do update set backend = $1, said = $2, classes = $3, cold = coalesce($4, tiering.cold),
                                place_id = case when $4 is null then tiering.place_id else $5 end,
                                decided_at = (select ledger_now())
"""
PLACE_KNOWN = "select place_id from tiering where cold = $1"
HELD_LATE = """
select a.* from artifact a
where a.cold_uri is not null and a.state = 'stored'
  and exists (select from hold h where h.artifact = a.id and h.late and h.released_at is null)
"""

# --- inventory --------------------------------------------------------------------------------------------------------

INVENTORY_BEGINS = "insert into inventory_run (began_at) values ((select ledger_now())) returning number"
KNOWN = """
select uri from artifact where uri = any($1::text[]) and state in ('stored', 'condemned', 'missing') and rank < 2
union select uri from manifest where uri = any($1::text[])
union select cold_uri from artifact where cold_uri = any($1::text[]) and state in ('stored', 'condemned', 'missing')
"""
ACTS_LIVE = "select key from task where key = any($1::text[]) and state in ('leased', 'ready', 'waiting')"
PURGED_THERE = "select uri from artifact where uri = any($1::text[]) and state = 'purged'"
KINDS_SEEN = """
select i.uri, i.kind from inventory i join status_inventory_run r using (number)
where i.uri = any($1::text[]) and i.kind is not null
"""
FOUND = """
insert into inventory (number, uri, what, kind, tier, size, modified) values ($1, $2, $3, $4, $5, $6, $7)
"""
INVENTORY_ENDS = """
update inventory_run set ended_at = (select ledger_now()), objects = $2, bytes = $3 where number = $1
"""
INVENTORY_FORGET = "delete from inventory where number < $1"
INVENTORY_FORGET_RUNS = "delete from inventory_run where ended_at is null and number < $1"
