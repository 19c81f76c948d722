"""The sweeper: takes expired leases back, ends tasks whose losses are spent, removes what abandoned attempts wrote."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta

from chassis.errors import Rejection
from chassis.health.pulse import Beat, unwatched
from chassis.ledger import attempts, queue
from chassis.ledger.incarnation import NUMBER
from chassis.ledger.ledger import Connection, Ledger
from chassis.service import Service
from chassis.storage import keys
from chassis.storage.keys import AttemptPrefix
from chassis.storage.store import Store
from chassis.worker.attempt import DATABASE_TROUBLE
from chassis.worker.settle import dead_letter
from chassis.worker.trail import tell_lost

log = logging.getLogger(__name__)

SWEEPS_PER_LEASE = 4
TASKS_WRITING = """
select slug, state, task.epoch, checkpoint, result, coalesce(attempt.incarnation, incarnation.number) as incarnation,
       array(select a.incarnation || '-' || a.epoch from attempt a where a.task_key = task.key) as ended
from task cross join incarnation
left join attempt on task_key = task.key and attempt.epoch = task.epoch and ending = 'done'
where slug = any($1::text[])
"""


async def sweep_leases(ledger: Ledger, service: Service) -> list[str]:
    """One sweep, which tells of the attempts that it ended in their workers' place. Returns the keys that are ready
    again."""
    async with ledger.transaction() as tx:
        again, dead = await queue.sweep(tx, of_kinds={kind.name: kind.budgets for kind in service.kinds})
        for key in dead:
            rejection = Rejection(
                code="BUDGET_SPENT",
                message="every host that took this task vanished with it",
                where=key,
                rule="a task may be lost on a few distinct hosts only",
                fix="read the logs of attempts and hosts, mend the cause, then `cohortstream revive` its subject",
            )
            lease = await queue.fail_swept(tx, key, rejection)
            if lease.kind in {kind.name for kind in service.kinds}:
                await dead_letter(tx, service.kind(lease.kind), lease, rejection)
            else:
                log.error("a task of a kind that is unknown here is dead; nobody is told", extra={"task": key})
        now = await tx.now()
        lost = [
            (lease, await attempts.before(tx.conn, lease))
            for lease in await attempts.last_leases(tx.conn, [*again, *dead])
        ]
    for lease, before in lost:
        tell_lost(service.name, lease, now=now, before=before)
    return again


async def sweeping(ledger: Ledger, service: Service, *, ttl: timedelta, beat: Beat = unwatched) -> None:
    """Sweep for ever. Any number of processes may: rows are skipped while another has them."""
    while True:
        await asyncio.sleep(ttl.total_seconds() / SWEEPS_PER_LEASE)
        try:
            for key in await sweep_leases(ledger, service):
                log.warning("a lease expired; the task is ready again", extra={"task": key})
        except DATABASE_TROUBLE:
            log.warning("the ledger cannot be reached; no sweep")
        beat()


async def sweep_orphans(ledger: Ledger, store: Store, *, older_than: timedelta) -> list[str]:
    """Remove what attempts left that neither live on nor were committed: a live attempt keeps its prefix, and so does
    the one that finished its task (a manifest among its outputs may name the rest); of the others only what a
    checkpoint or a result names is kept.

    An object younger than `older_than` stays: its attempt may be about to record it. So does what an attempt of a
    former incarnation wrote whose end this ledger never learned: a life that a restore from backup took back may have
    announced it, and people may use it. The inventory shows and prices such objects. Returns the keys removed.
    """
    prefix = f"{keys.WORKING}/{ledger.service}"
    now = await ledger.now()
    removed: list[str] = []
    found: dict[str, list[tuple[AttemptPrefix, str, str | None]]] = {}
    async for facts in store.list(prefix):
        writer = keys.attempt_of(facts.key)
        if writer is not None and now - facts.modified > older_than:
            found.setdefault(writer.task, []).append((writer, facts.key, facts.version))
    if not found:
        return removed
    async with ledger.connection() as conn:
        kept = await _kept(conn, list(found))
        incarnation = await conn.fetchval(NUMBER)
    for task, objects in found.items():
        known = kept.get(task, _UNKNOWN)
        for writer, key, version in objects:
            attempt = f"{writer.incarnation}-{writer.epoch}"
            if attempt == known.own or key in known.named:
                continue
            if writer.incarnation < incarnation and attempt not in known.ended:
                continue
            await store.delete(key, version=version)
            removed.append(key)
    return removed


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """Of a task: the attempt whose prefix stays whole, the text of checkpoint and result, which names URIs, and the
    attempts that ended."""

    own: str | None = None
    named: str = ""
    ended: frozenset[str] = frozenset()


_UNKNOWN = _Kept()


async def _kept(conn: Connection, slugs: list[str]) -> dict[str, _Kept]:
    rows = await conn.fetch(TASKS_WRITING, slugs)
    return {
        row["slug"]: _Kept(
            own=f"{row['incarnation']}-{row['epoch']}" if row["state"] in ("leased", "done") else None,
            named=repr(row["checkpoint"]) + repr(row["result"]),
            ended=frozenset(row["ended"]),
        )
        for row in rows
    }
