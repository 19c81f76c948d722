"""The lease queue: claim, renew, checkpoint and finish, each write fenced by (key, incarnation, epoch).

A worker that lost its lease changes zero rows, whatever it tries; the caller then throws its result away. The
incarnation is in the fence because a ledger restored from a backup gives the epochs of its forgotten life again.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from chassis.errors import Rejection
from chassis.ledger.ledger import Connection, Tx, storable
from chassis.ledger.tasks import DEFAULT_BUDGETS, Budgets, Ending, Lease, NewTask, TaskState, next_class
from chassis.storage import keys
from chassis.telemetry.context import current_traceparent

ENQUEUE = """
insert into task (key, slug, kind, subject, belongs_to, payload, pool, memory_class, priority, state, ready_at,
                  traceparent, created_at, changed_at)
select $1, $11, $2, $3, $4, $5, $6, $7, $8,
       case when exists (select from withdrawn where withdrawn.subject = $3) then 'cancelled' else 'ready' end,
       moment + $9, $10, moment, moment
from (select ledger_now() as moment) as clock
on conflict (key) do nothing
returning key
"""
NOTIFY = "select pg_notify($1, '')"

# A restored ledger gives no lease before its consumer knows the holds, cancellations and withdrawals of the meantime.
CLAIM = """
with best as (
    select key from task
    where pool = $1 and state = 'ready' and ready_at <= (select ledger_now()) and memory_class = any($2)
          and ($7::text[] is null or kind = any($7))
          and not exists (select from rewound where not caught_up)
    order by priority desc, ready_at
    limit $3
    for update skip locked
), clock as (select ledger_now() as moment)
update task as t
set state = 'leased', epoch = t.epoch + 1, owner = $4, host = $5, lease_until = clock.moment + $6,
    started_at = clock.moment, changed_at = clock.moment, reason = null, waits_for = null
from best, clock, incarnation
where t.key = best.key
returning t.key, t.kind, t.subject, t.belongs_to, t.payload, t.pool, t.memory_class, t.epoch, t.owner, t.lease_until,
          t.checkpoint, t.traceparent, t.crashes + t.retries + t.preemptions + t.losses + 1 as attempts,
          t.created_at, t.started_at, incarnation.number as incarnation
"""
_HELD = "key = $1 and epoch = $2 and (select number from incarnation) = $3 and state = 'leased'"
"""The fence. `$1` to `$3` are the lease's key, epoch and incarnation."""
RENEW = f"""
update task set lease_until = (select ledger_now()) + $4
where {_HELD}
returning lease_until
"""
_NOTHING_NEW = "checkpoint ?& array(select jsonb_object_keys($4::jsonb))"
CHECKPOINT = f"""
update task set checkpoint = checkpoint || $4::jsonb,
                loss_hosts = case when {_NOTHING_NEW} then loss_hosts else '{{}}' end,
                acquitted = case when {_NOTHING_NEW} then acquitted else losses end
where {_HELD}
returning key
"""

# An attempt's end and its line in the attempt log are one statement, so that neither can be without the other.
_ENDED = """
, logged as (
    insert into attempt (task_key, incarnation, epoch, owner, host, started_at, ended_at, ending, reason)
    select ended.key, incarnation.number, ended.epoch, ended.owner, ended.host, ended.started_at, ended.changed_at,
           {ending}, {reason}
    from ended, incarnation
)
select * from ended
"""
FINISH = f"""
with clock as (select ledger_now() as moment), ended as (
    update task set state = 'done', result = $4, lease_until = null, changed_at = clock.moment,
                    finished_at = clock.moment, error = null
    from clock where {_HELD}
    returning key, epoch, owner, host, started_at, task.changed_at
)""" + _ENDED.format(ending="'done'", reason="null")
GIVE_BACK = f"""
with clock as (select ledger_now() as moment), ended as (
    update task set state = $4, ready_at = clock.moment + $5, lease_until = null, changed_at = clock.moment,
                    finished_at = case when $4 = 'failed' then clock.moment end,
                    crashes = crashes + $6, retries = retries + $7, preemptions = preemptions + $8,
                    memory_class = coalesce($9, memory_class), waits_for = $10, reason = $11,
                    error = coalesce($12, error)
    from clock where {_HELD}
    returning key, epoch, owner, host, started_at, task.changed_at
)""" + _ENDED.format(ending="$13", reason="$11")
COUNTS = f"""
select crashes, retries, preemptions, memory_class from task
where {_HELD} for update
"""
SWEEP = """
with clock as (select ledger_now() as moment), expired as (
    select key, kind from task where state = 'leased' and lease_until < (select moment from clock)
    limit $1 for update skip locked
), judged as (
    select key, coalesce(own.hosts, $2) as most_hosts, coalesce(own.losses, $3) as most_losses
    from expired left join unnest($4::text[], $5::integer[], $6::integer[]) as own (kind, hosts, losses) using (kind)
), ended as (
    update task set
        state = case when cardinality(array_remove(loss_hosts, host) || host) >= most_hosts
                          or task.losses - acquitted + 1 >= most_losses
                     then 'failed' else 'ready' end,
        ready_at = clock.moment, lease_until = null, losses = task.losses + 1, changed_at = clock.moment,
        loss_hosts = array_remove(loss_hosts, host) || host, reason = 'the lease expired without a word'
    from clock, judged where task.key = judged.key
    returning task.key, epoch, owner, host, started_at, task.changed_at, task.state
)""" + _ENDED.format(ending="'loss'", reason="'the lease expired without a word'")
FAIL_SWEPT = "update task set error = $2, finished_at = (select ledger_now()) where key = $1"
CANCEL = """
with clock as (select ledger_now() as moment), alive as (
    select key, state from task
    where (subject = $1 or belongs_to = $1) and state in ('waiting', 'ready', 'leased') for update
), ended as (
    update task set state = 'cancelled', changed_at = clock.moment, finished_at = clock.moment, lease_until = null,
                    reason = $2
    from clock, alive where task.key = alive.key
    returning task.key, epoch, owner, host, started_at, task.changed_at, alive.state as before
), logged as (
    insert into attempt (task_key, incarnation, epoch, owner, host, started_at, ended_at, ending, reason)
    select key, incarnation.number, epoch, owner, host, started_at, changed_at, 'cancelled', $2
    from ended, incarnation where before = 'leased'
)
select key from ended
"""
REPRIORITISE = """
update task set priority = $2
where (subject = $1 or belongs_to = $1) and state in ('waiting', 'ready') returning key
"""
PAUSE = """
update task set state = 'waiting', waits_for = 'resume', reason = $2, changed_at = (select ledger_now())
where (subject = $1 or belongs_to = $1) and state = 'ready' returning key
"""
WAKE = """
update task set state = 'ready', ready_at = (select ledger_now()), changed_at = (select ledger_now()), waits_for = null
where state = 'waiting' and waits_for = $1 returning key
"""
WAKE_OVERDUE = """
update task set state = 'ready', changed_at = (select ledger_now())
where state = 'waiting' and waits_for <> 'resume' and ready_at <= (select ledger_now()) returning key
"""
REVIVE = """
update task set state = 'ready', ready_at = (select ledger_now()), changed_at = (select ledger_now()), error = null,
                crashes = 0, retries = 0, losses = 0, acquitted = 0, loss_hosts = '{}', finished_at = null
where key = $1 and state in ('failed', 'cancelled') returning key
"""
DEAD_OF = "select key from task where (subject = $1 or belongs_to = $1) and state = 'failed' order by key for update"
ENDED_AS = "select state from task where key = $1 and epoch = $2 and (select number from incarnation) = $3"
LAST_LEASES = """
select t.*, t.crashes + t.retries + t.preemptions + t.losses as attempts, incarnation.number as incarnation
from task t, incarnation where key = any($1)
"""
WITHDRAW = """
insert into withdrawn (subject, deadline, since) values ($1, $2, (select ledger_now())) on conflict do nothing
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """How giving a lease back ended: the task's new state, None when the lease was lost; `spent` names the budget
    that is used up."""

    state: TaskState | None
    spent: str | None = None


def channel(service: str) -> str:
    return f"cohortstream_task_{service}"


async def enqueue(tx: Tx, tasks: Iterable[NewTask]) -> tuple[str, ...]:
    """Add tasks; keys that are known already stay as they are. A withdrawn subject's task is born cancelled.

    Returns the keys that are new.
    """
    fresh: list[str] = []
    traceparent = current_traceparent()
    for task in tasks:
        key = await tx.conn.fetchval(
            ENQUEUE,
            task.key,
            task.kind,
            task.subject,
            task.belongs_to,
            dict(task.payload),
            task.pool,
            task.memory_class,
            task.priority,
            task.delay,
            traceparent,
            keys.slug(task.key),
        )
        if key is not None:
            fresh.append(key)
    if fresh:
        await tx.conn.execute(NOTIFY, channel(tx.service))
    return tuple(fresh)


async def claim(
    conn: Connection,
    *,
    pools: Sequence[str],
    memory_classes: Sequence[str],
    owner: str,
    host: str,
    ttl: timedelta,
    limit: int = 1,
    kinds: Sequence[str] | None = None,
) -> list[Lease]:
    """Take up to `limit` best ready tasks of the first of `pools` that has any. One statement per pool asked.

    `kinds` are those that the worker knows: of two versions beside each other, each takes what it can do.
    """
    for pool in pools:
        rows = await conn.fetch(
            CLAIM, pool, list(memory_classes), limit, owner, host, ttl, None if kinds is None else list(kinds)
        )
        if rows:
            return [lease_of(row) for row in rows]
    return []


async def renew(conn: Connection, lease: Lease, *, ttl: timedelta) -> bool:
    """True while the lease is held; False for ever once it is not."""
    return await conn.fetchval(RENEW, *_fence(lease), ttl) is not None


async def checkpoint(conn: Connection, lease: Lease, *, chunk: str, value: Mapping[str, Any]) -> bool:
    """Record a finished chunk; the next attempt starts after it. False when the lease is lost.

    A chunk that is new acquits the task of its losses so far: it gets on, so it was not what ended those hosts.
    """
    return await conn.fetchval(CHECKPOINT, *_fence(lease), {chunk: dict(value)}) is not None


async def finish(tx: Tx, lease: Lease, *, result: Mapping[str, Any]) -> bool:
    """Commit the result with whatever else this transaction holds. False when the lease is lost: roll back."""
    return await tx.conn.fetchrow(FINISH, *_fence(lease), dict(result)) is not None


async def fail(tx: Tx, lease: Lease, rejection: Rejection) -> bool:
    """End the task for good: a dead letter with its reason. False when the lease is lost."""
    return await _give_back(tx, lease, TaskState.failed, ending=Ending.failed, error=rejection)


async def retry(
    tx: Tx,
    lease: Lease,
    *,
    reason: str,
    after: timedelta,
    waits_for: str | None = None,
    budgets: Budgets = DEFAULT_BUDGETS,
) -> Given:
    """Give the lease back to try again later, or to wait for `waits_for`; waiting costs no budget."""
    if waits_for is not None:
        held = await _give_back(
            tx, lease, TaskState.waiting, ending=Ending.waiting, after=after, waits_for=waits_for, reason=reason
        )
        return Given(state=TaskState.waiting if held else None)
    counts = await tx.conn.fetchrow(COUNTS, *_fence(lease))
    if counts is None:
        return Given(state=None)
    if counts["retries"] + 1 >= budgets.retries:
        return Given(state=TaskState.failed, spent="retries")
    held = await _give_back(tx, lease, TaskState.ready, ending=Ending.retry, after=after, retries=1, reason=reason)
    return Given(state=TaskState.ready if held else None)


async def crash(
    tx: Tx, lease: Lease, *, reason: str, more_memory: bool = False, budgets: Budgets = DEFAULT_BUDGETS
) -> Given:
    """The work failed while its parent lived to say so. `failed` means: the budget is spent, call `fail` now."""
    counts = await tx.conn.fetchrow(COUNTS, *_fence(lease))
    if counts is None:
        return Given(state=None)
    larger = next_class(counts["memory_class"]) if more_memory else None
    if more_memory and larger is None:
        return Given(state=TaskState.failed, spent="memory")
    if counts["crashes"] + 1 >= budgets.crashes and not more_memory:
        return Given(state=TaskState.failed, spent="crashes")
    held = await _give_back(
        tx,
        lease,
        TaskState.ready,
        ending=Ending.crash,
        after=backoff(counts["crashes"]),
        crashes=1,
        reason=reason,
        memory_class=larger,
    )
    return Given(state=TaskState.ready if held else None)


async def release(tx: Tx, lease: Lease, *, reason: str = "preempted", budgets: Budgets = DEFAULT_BUDGETS) -> Given:
    """Announced end of the worker: the next one may start at once."""
    counts = await tx.conn.fetchrow(COUNTS, *_fence(lease))
    if counts is None:
        return Given(state=None)
    if counts["preemptions"] + 1 >= budgets.preemptions:
        return Given(state=TaskState.failed, spent="preemptions")
    held = await _give_back(tx, lease, TaskState.ready, ending=Ending.preemption, preemptions=1, reason=reason)
    if held:
        await tx.conn.execute(NOTIFY, channel(tx.service))
    return Given(state=TaskState.ready if held else None)


async def sweep(
    tx: Tx, *, budgets: Budgets = DEFAULT_BUDGETS, of_kinds: Mapping[str, Budgets] | None = None, limit: int = 100
) -> tuple[list[str], list[str]]:
    """Take back expired leases and wake the overdue. Returns (keys ready again, keys whose loss budget is spent).

    `of_kinds` are the budgets by kind of task; a kind that is not named there has `budgets`.
    """
    own = of_kinds or {}
    rows = await tx.conn.fetch(
        SWEEP,
        limit,
        budgets.loss_hosts,
        budgets.losses,
        list(own),
        [each.loss_hosts for each in own.values()],
        [each.losses for each in own.values()],
    )
    woken = await tx.conn.fetch(WAKE_OVERDUE)
    again = [row["key"] for row in rows if row["state"] == "ready"]
    if again or woken:
        await tx.conn.execute(NOTIFY, channel(tx.service))
    return again, [row["key"] for row in rows if row["state"] == "failed"]


async def fail_swept(tx: Tx, key: str, rejection: Rejection) -> Lease:
    """Give the reason to a task that the sweep declared dead."""
    await tx.conn.execute(FAIL_SWEPT, key, rejection.as_dict())
    row = await tx.conn.fetchrow(LAST_LEASES, [key])
    assert row is not None
    return lease_of(row)


async def cancel(tx: Tx, subject: str, *, reason: str) -> tuple[str, ...]:
    """Cancel what has not ended; a leased task's worker learns it at its next heartbeat."""
    return tuple(row["key"] for row in await tx.conn.fetch(CANCEL, subject, reason))


async def pause(tx: Tx, subject: str, *, reason: str) -> tuple[str, ...]:
    return tuple(row["key"] for row in await tx.conn.fetch(PAUSE, subject, reason))


async def reprioritise(tx: Tx, subject: str, *, priority: float) -> tuple[str, ...]:
    return tuple(row["key"] for row in await tx.conn.fetch(REPRIORITISE, subject, priority))


async def wake(tx: Tx, waits_for: str) -> tuple[str, ...]:
    """What the tasks waited for is there: make them ready."""
    keys = tuple(row["key"] for row in await tx.conn.fetch(WAKE, waits_for))
    if keys:
        await tx.conn.execute(NOTIFY, channel(tx.service))
    return keys


async def revive(tx: Tx, key: str) -> bool:
    """Give a dead or cancelled task new budgets; its checkpoints are kept."""
    alive = await tx.conn.fetchval(REVIVE, key) is not None
    if alive:
        await tx.conn.execute(NOTIFY, channel(tx.service))
    return alive


async def revive_subject(tx: Tx, subject: str) -> tuple[str, ...]:
    """Revive every dead task of a subject; what a person cancelled stays cancelled."""
    keys = [row["key"] for row in await tx.conn.fetch(DEAD_OF, subject)]
    return tuple([key for key in keys if await revive(tx, key)])


async def withdraw(tx: Tx, subject: str, *, deadline: Any) -> tuple[str, ...]:
    """Leave a tombstone that later facts meet, and cancel work in flight."""
    await tx.conn.execute(WITHDRAW, subject, deadline)
    return await cancel(tx, subject, reason="consent withdrawn")


async def ended_as(conn: Connection, lease: Lease) -> TaskState | None:
    """The state of the task if this lease's epoch is still its last: tells a committed finish, whose acknowledgement
    was lost, from one that never happened."""
    state = await conn.fetchval(ENDED_AS, *_fence(lease))
    return TaskState(state) if state is not None else None


def backoff(failures: int, *, base: float = 1.0, most: float = 300.0) -> timedelta:
    """Full-jitter exponential back-off: uniform in [half, whole] of base * 2^failures seconds, at most `most`."""
    span = min(most, base * 2.0**failures)
    return timedelta(seconds=span * random.uniform(0.5, 1.0))  # noqa: S311  jitter, not a secret


async def _give_back(
    tx: Tx,
    lease: Lease,
    state: TaskState,
    *,
    ending: Ending,
    after: timedelta = timedelta(0),
    crashes: int = 0,
    retries: int = 0,
    preemptions: int = 0,
    memory_class: str | None = None,
    waits_for: str | None = None,
    reason: str | None = None,
    error: Rejection | None = None,
) -> bool:
    said = reason if error is None else error.code
    row = await tx.conn.fetchrow(
        GIVE_BACK,
        *_fence(lease),
        state.value,
        after,
        crashes,
        retries,
        preemptions,
        memory_class,
        waits_for,
        None if said is None else storable(said),
        None if error is None else {name: storable(text) for name, text in error.as_dict().items()},
        ending.value,
    )
    return row is not None


def _fence(lease: Lease) -> tuple[str, int, int]:
    return lease.key, lease.epoch, lease.incarnation


def lease_of(row: Any) -> Lease:
    return Lease(
        key=row["key"],
        kind=row["kind"],
        subject=row["subject"],
        belongs_to=row["belongs_to"],
        payload=row["payload"],
        pool=row["pool"],
        memory_class=row["memory_class"],
        epoch=row["epoch"],
        incarnation=row["incarnation"],
        owner=row["owner"] or "",
        until=row["lease_until"] or row["created_at"],
        checkpoint=row["checkpoint"],
        traceparent=row["traceparent"],
        attempts=row["attempts"],
        created_at=row["created_at"],
        started_at=row["started_at"] or row["created_at"],
    )
