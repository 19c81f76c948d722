"""What the ledger says of single attempts: for traces, which tell each of them as a span."""

from __future__ import annotations

from collections.abc import Sequence

from chassis.ledger.ledger import Connection, Tx
from chassis.ledger.queue import LAST_LEASES, lease_of
from chassis.ledger.tasks import Before, Ending, Lease
from chassis.telemetry import fixed
from chassis.telemetry.gathered import link_arrivals

BEFORE = """
select incarnation, epoch, ending, reason, ended_at from attempt
where task_key = $1 and (incarnation, epoch) < ($2, $3) order by incarnation desc, epoch desc limit 1
"""
DONE_OF = """
select key, traceparent, attempt.incarnation, attempt.epoch
from task join attempt on task_key = key and attempt.epoch = task.epoch and ending = 'done'
where belongs_to = $1 and kind = $2 order by ended_at desc
"""
ENDING_OF = "select ending from attempt where task_key = $1 and incarnation = $2 and epoch = $3"


async def last_leases(conn: Connection, keys: Sequence[str]) -> list[Lease]:
    """The lease that each of these tasks had last, as the sweep that took it back leaves it."""
    return [lease_of(row) for row in await conn.fetch(LAST_LEASES, list(keys))]


async def before(conn: Connection, lease: Lease) -> Before | None:
    """How the attempt before this one ended; None when this is the first."""
    if lease.epoch == 1:
        return None
    row = await conn.fetchrow(BEFORE, lease.key, lease.incarnation, lease.epoch)
    if row is None:
        return None
    return Before(
        attempt=f"{row['incarnation']}-{row['epoch']}",
        ending=Ending(row["ending"]),
        reason=row["reason"],
        ended_at=row["ended_at"],
    )


async def ending_of(conn: Connection, lease: Lease) -> Ending | None:
    """How this attempt ended; None when the ledger knows of no end."""
    ending = await conn.fetchval(ENDING_OF, lease.key, lease.incarnation, lease.epoch)
    return Ending(ending) if ending is not None else None


async def link_done(tx: Tx, belongs_to: str, kind: str) -> None:
    """Link the current span to the attempts that ended the tasks of this kind well."""
    rows = await tx.conn.fetch(DONE_OF, belongs_to, kind)
    link_arrivals(
        [
            fixed.link(
                fixed.ids_of_attempt(tx.service, row["key"], f"{row['incarnation']}-{row['epoch']}"),
                cause=row["traceparent"],
            )
            for row in rows
        ]
    )
