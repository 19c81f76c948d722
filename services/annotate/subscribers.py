"""Annotate's events."""

from __future__ import annotations

from chassis.ledger import fanout, queue
from chassis.ledger.ledger import Tx
from contracts.events import FreezeFailed, PanelRecalibrated
from services.annotate import statements
from services.annotate.tasks import PlanTask, annotated_fan


async def on_recalibrated(tx: Tx, event: PanelRecalibrated) -> None:
    started = event.model_dump(mode="json")
    if await tx.conn.fetchval(statements.MEET, event.freeze, event.cohort, _number(event.freeze), started) is None:
        return
    task = PlanTask(freeze=event.freeze, cohort=event.cohort, reference=event.reference, manifest=event.manifest)
    await queue.enqueue(tx, [task.task()])


async def on_failed(tx: Tx, event: FreezeFailed) -> None:
    await fanout.end(tx, annotated_fan(event.freeze), reason=event.rejection.code)
    await queue.cancel(tx, event.freeze, reason="the freeze has failed")
    why = event.rejection.model_dump(mode="json")
    await tx.conn.execute(statements.MEET_FAILED, event.freeze, event.cohort, _number(event.freeze), why)
    await tx.conn.execute(statements.FAIL, event.freeze, why)


def _number(freeze: str) -> int:
    return int(freeze.rpartition(":")[2])
