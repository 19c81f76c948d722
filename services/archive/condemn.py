"""Condemn -> grace -> act: the first step, and the way back."""

from __future__ import annotations

from datetime import datetime, timedelta

from chassis.ledger import outbox, queue
from chassis.ledger.ledger import Tx
from chassis.settings import Settings
from contracts.events import ArtifactCondemned
from services.archive import statements
from services.archive.plan import Planned
from services.archive.tasks import ActTask, condemned

LEASES_IN_GRACE = 2
"""A worker that lost its lease notices within one; after two, nobody reads what nobody held."""


def grace(settings: Settings) -> timedelta:
    """The time in which a hold keeps a condemned object: as configured, never below two leases."""
    return timedelta(seconds=max(settings.archive.grace_seconds, LEASES_IN_GRACE * settings.worker.lease_seconds))


async def condemn(tx: Tx, planned: Planned, *, now: datetime, grace: timedelta) -> bool:
    """Announce what will be done and plan the act. The caller has locked the copy and weighed its guards in this
    transaction. False when it is not stored any more."""
    artifact = planned.artifact
    count = await tell(tx, artifact.id)
    not_before = now + grace
    held = await tx.conn.fetchval(
        statements.CONDEMN, artifact.id, artifact.uri, planned.action, planned.policy, not_before, count
    )
    if held is None:
        return False
    await tx.conn.execute(statements.FORGET_PLAN, artifact.id, artifact.uri)
    act = ActTask(
        artifact=artifact.id,
        uri=artifact.uri,
        version=artifact.version,
        kind=artifact.kind,
        action=planned.action,
        policy=planned.policy,
        count=count,
        not_before=not_before,
    )
    await queue.enqueue(tx, [act.task(now=now)])
    await outbox.add(
        tx,
        ArtifactCondemned(
            artifact=artifact.id,
            kind=artifact.kind,
            uri=artifact.uri,
            version=artifact.version,
            count=count,
            action=planned.action,
            policy=planned.policy,
            not_before=not_before,
        ),
    )
    return True


async def spare_all(tx: Tx, artifact: str, *, why: str) -> bool:
    """Keep every condemned copy of this artifact and cancel the acts on it. False when an act has begun already: it is
    too late then, and the act's end will say what became of it. That holds when its worker is lost, too: it may be
    about to delete."""
    copies = await tx.conn.fetch(statements.COPIES_LOCKED, artifact)
    if await tx.conn.fetchval(statements.BEGUN, condemned(artifact)):
        return False
    await queue.cancel(tx, condemned(artifact), reason=why)
    for copy in copies:
        await tx.conn.fetchval(statements.SPARE, artifact, copy["uri"], why, None)
    return True


async def tell(tx: Tx, artifact: str) -> int:
    """The next number of the archive's facts about this artifact."""
    count = await tx.conn.fetchval(statements.COUNT, artifact)
    assert isinstance(count, int)
    return count
