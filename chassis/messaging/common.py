"""Subscriptions that every service has: cancel, withdrawal, restored artifacts, decisions on its quarantine."""

from __future__ import annotations

from dataclasses import replace

from chassis.ledger import outbox, quarantine, queue
from chassis.ledger.ledger import Tx
from chassis.messaging.receive import note_command
from chassis.service import Service, Subscriptions
from contracts.events import (
    ArtifactRestored,
    QuarantineDecisionRequested,
    SampleWithdrawalRequested,
    SampleWithdrawn,
    WorkCancelRequested,
    WorkReviveRequested,
)

DECISION = "insert into decision (item, replay, actor, reason) values ($1, $2, $3, $4)"


def with_common(service: Service) -> Service:
    """The service with the chassis's own subscriptions added where it has none of its own."""
    handlers = dict(service.subscriptions.handlers)
    for event, handler in (
        (WorkCancelRequested, on_cancel),
        (WorkReviveRequested, on_revive),
        (SampleWithdrawalRequested, on_withdrawal),
        (ArtifactRestored, on_restored),
        (QuarantineDecisionRequested, on_decision),
    ):
        handlers.setdefault(event.TYPE, (event, handler))
    return replace(service, subscriptions=Subscriptions(handlers=handlers))


async def on_cancel(tx: Tx, event: WorkCancelRequested) -> None:
    await note_command(
        tx,
        request_id=event.request_id,
        type=event.TYPE,
        subject=event.target,
        actor=event.actor.name,
        reason=event.reason,
    )
    await queue.cancel(tx, event.target, reason=f"cancelled: {event.reason}")


async def on_revive(tx: Tx, event: WorkReviveRequested) -> None:
    await note_command(
        tx,
        request_id=event.request_id,
        type=event.TYPE,
        subject=event.target,
        actor=event.actor.name,
        reason=event.reason,
    )
    await queue.revive_subject(tx, event.target)


async def on_withdrawal(tx: Tx, event: SampleWithdrawalRequested) -> None:
    await note_command(
        tx,
        request_id=event.request_id,
        type=event.TYPE,
        subject=event.sample,
        actor=event.actor.name,
        reason=event.reason or "consent withdrawn",
    )
    await queue.withdraw(tx, event.sample, deadline=event.deadline)
    await outbox.add(tx, SampleWithdrawn(sample=event.sample, service=tx.service))


async def on_restored(tx: Tx, event: ArtifactRestored) -> None:
    await queue.wake(tx, f"restore:{event.artifact}")


async def on_decision(tx: Tx, event: QuarantineDecisionRequested) -> None:
    """Discard at once; a replay is noted and carried out beside the consumer, in transactions of its own."""
    if event.service != tx.service:
        return
    await note_command(
        tx,
        request_id=event.request_id,
        type=event.TYPE,
        subject=event.subject,
        actor=event.actor.name,
        reason=event.reason,
    )
    if event.decision == "discard":
        await quarantine.decide(tx, event.item, replayed=False, actor=event.actor.name, reason=event.reason)
        return
    await tx.conn.execute(DECISION, event.item, True, event.actor.name, event.reason)
