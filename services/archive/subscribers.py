"""What the archive hears: every fact that names artifacts, and what people and services ask of them."""

from __future__ import annotations

import logging

from chassis.errors import reject
from chassis.ledger import queue
from chassis.ledger.ledger import Tx
from chassis.messaging.receive import note_command
from chassis.service import Subscriptions
from contracts.events import (
    ArtifactHoldReleased,
    ArtifactHoldRequested,
    ArtifactRestoreRequested,
    CohortFrozen,
    CramReady,
    FreezeFailed,
    GvcfReady,
    IntervalGenotyped,
    PanelRecalibrated,
    PanelReleased,
    RunCompleted,
    SampleWithdrawalRequested,
)
from services.archive import record, statements
from services.archive.condemn import spare_all
from services.archive.tasks import MEMBERS

log = logging.getLogger(__name__)


def subscriptions() -> Subscriptions:
    on = Subscriptions()
    on.on(RunCompleted, record.run)
    on.on(CramReady, record.cram)
    on.on(GvcfReady, record.gvcf)
    on.on(CohortFrozen, on_frozen)
    on.on(IntervalGenotyped, on_genotyped)
    on.on(PanelRecalibrated, on_recalibrated)
    on.on(PanelReleased, on_released)
    on.on(FreezeFailed, on_freeze_failed)
    on.on(ArtifactHoldRequested, on_hold)
    on.on(ArtifactHoldReleased, on_hold_released)
    on.on(ArtifactRestoreRequested, on_restore_requested)
    on.on(SampleWithdrawalRequested, on_withdrawal)
    return on


async def on_frozen(tx: Tx, event: CohortFrozen) -> None:
    await record.freeze(tx, event.freeze, event.cohort)
    for role, ref in ((MEMBERS, event.manifest), ("intervals", event.intervals)):
        await record.manifest(tx, ref, freeze=event.freeze, cohort=event.cohort, role=role, stage="jointcall")


async def on_genotyped(tx: Tx, event: IntervalGenotyped) -> None:
    await record.freeze(tx, event.freeze, event.cohort)
    made = (event.vcf, event.vcf_index, event.sites, event.sites_index)
    await record.artifacts(tx, made, stage="jointcall", subject=event.freeze)


async def on_recalibrated(tx: Tx, event: PanelRecalibrated) -> None:
    await record.freeze(tx, event.freeze, event.cohort)
    for role, ref in (("filtered", event.manifest), ("model", event.model)):
        if ref is not None:
            await record.manifest(tx, ref, freeze=event.freeze, cohort=event.cohort, role=role, stage="vqsr")


async def on_released(tx: Tx, event: PanelReleased) -> None:
    await record.freeze(tx, event.freeze, event.cohort)
    await tx.conn.execute(statements.RELEASED, event.freeze)
    await record.artifacts(tx, (event.report,), stage="annotate", subject=event.freeze)
    await record.manifest(tx, event.manifest, freeze=event.freeze, cohort=event.cohort, role="panel", stage="annotate")


async def on_freeze_failed(tx: Tx, event: FreezeFailed) -> None:
    """A freeze that failed needs its samples no longer."""
    await record.freeze(tx, event.freeze, event.cohort)
    await tx.conn.execute(statements.FAILED, event.freeze)


async def on_hold(tx: Tx, event: ArtifactHoldRequested) -> None:
    """Within the grace period a hold keeps the object; once an act has begun it is noted as late."""
    await _note(tx, event)
    spared = await spare_all(tx, event.artifact, why=f"held by {event.actor.name}")
    await tx.conn.execute(statements.HOLD, event.request_id, event.artifact, event.actor.name, event.reason, not spared)
    if not spared:
        log.warning("a hold came after the act had begun", extra={"artifact": event.artifact})


async def on_hold_released(tx: Tx, event: ArtifactHoldReleased) -> None:
    """Lifts this actor's holds. One that arrives after its release stays: keeping too long loses nothing."""
    await _note(tx, event)
    lifted = await tx.conn.fetch(statements.RELEASE, event.artifact, event.actor.name)
    if not lifted:
        log.warning("a release found no hold of this actor", extra={"artifact": event.artifact})


async def on_restore_requested(tx: Tx, event: ArtifactRestoreRequested) -> None:
    """Make it readable and keep it so for as long as was asked; asked again meanwhile, it is one restore."""
    await _note(tx, event)
    copies = await tx.conn.fetch(statements.COPIES_LOCKED, event.artifact)
    if copies and all(copy["state"] == "purged" for copy in copies):
        raise reject(
            code="ARTIFACT_PURGED",
            message="every copy of the artifact was purged",
            where=event.artifact,
            rule="a restore brings back what lies in a cold tier; what was purged is gone",
            fix="read artifact.purged for what replaces it, and make it again from that",
        )
    pending = await tx.conn.fetchrow(statements.OPEN_RESTORE, event.artifact)
    if pending is not None:
        await tx.conn.execute(statements.RESTORE_LONGER, event.artifact, pending["number"], event.days)
        await tx.conn.execute(statements.WANTED, event.artifact, event.days)
        return
    await spare_all(tx, event.artifact, why=f"{event.actor.name} asked to read it")
    state = "asked" if copies else "unknown"
    number = await tx.conn.fetchval(
        statements.RESTORE, event.artifact, event.days, event.actor.name, event.reason, state
    )
    if copies and not await record.ask_restore(tx, event.artifact, number=number, days=event.days):
        await tx.conn.execute(statements.RESTORE_REFUSED, event.artifact, number, "OBJECT_MISSING")


async def on_withdrawal(tx: Tx, event: SampleWithdrawalRequested) -> None:
    """Leave the tombstone, which every later sweep and every later fact of the sample meets. That it is done is told
    when nothing of it is left: see withdrawal.py."""
    await note_command(
        tx,
        request_id=event.request_id,
        type=event.TYPE,
        subject=event.sample,
        actor=event.actor.name,
        reason=event.reason or "consent withdrawn",
    )
    await queue.withdraw(tx, event.sample, deadline=event.deadline)


async def _note(tx: Tx, event: ArtifactHoldRequested | ArtifactHoldReleased | ArtifactRestoreRequested) -> None:
    await note_command(
        tx,
        request_id=event.request_id,
        type=event.TYPE,
        subject=event.artifact,
        actor=event.actor.name,
        reason=event.reason,
    )
