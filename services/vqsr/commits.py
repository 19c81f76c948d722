"""What becomes true when a task of vqsr ends, inside the transaction that ends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chassis.errors import Rejection
from chassis.ledger import fanout, outbox, queue
from chassis.ledger.ledger import Tx
from chassis.ledger.tasks import Lease
from contracts.events import FilterDecision, FreezeFailed, IntervalGenotyped
from services.vqsr import statements
from services.vqsr.subscribers import filtered_fan, genotyped_fan
from services.vqsr.tasks import Filtered, FilterTask, FinaliseTask, Model, TrainTask


async def trained(tx: Tx, lease: Lease, result: Mapping[str, Any]) -> None:
    """How to filter is decided: one task per interval."""
    task = TrainTask.model_validate(lease.payload)
    row = await tx.conn.fetchrow(statements.DECIDED, task.freeze, result["decisions"], result["models"])
    if row is None:
        return
    decisions = tuple(FilterDecision.model_validate(one) for one in result["decisions"])
    models = {kind: Model.model_validate(one) for kind, one in result["models"].items()}
    values = await tx.conn.fetch(statements.GENOTYPED_OF, genotyped_fan(task.freeze))
    events = [IntervalGenotyped.model_validate(value["value"]) for value in values]
    await fanout.expect(tx, filtered_fan(task.freeze), len(events))
    tasks = [
        FilterTask(
            freeze=task.freeze,
            cohort=task.cohort,
            reference=task.reference,
            index=event.index,
            interval=event.interval,
            vcf=event.vcf,
            vcf_index=event.vcf_index,
            decisions=decisions,
            models=models,
        ).task(variants=event.variants)
        for event in events
    ]
    await queue.enqueue(tx, tasks)


async def filtered(tx: Tx, lease: Lease, result: Mapping[str, Any]) -> None:
    """An interval is filtered; after the last of them the panel's manifest is written."""
    task = FilterTask.model_validate(lease.payload)
    await fanout.arrive(tx, filtered_fan(task.freeze), task.index, result)
    values = await fanout.complete(tx, filtered_fan(task.freeze))
    if values is None:
        return
    row = await tx.conn.fetchrow(statements.SET_STATE, task.freeze, "finalising")
    if row is None:
        return
    finalise = FinaliseTask(
        freeze=task.freeze,
        cohort=task.cohort,
        reference=task.reference,
        samples=row["samples"],
        decisions=task.decisions,
        models=task.models,
        intervals=tuple(Filtered.model_validate(value) for value in values),
    )
    await queue.enqueue(tx, [finalise.task()])


async def finalised(tx: Tx, lease: Lease, result: Mapping[str, Any]) -> None:
    await tx.conn.execute(statements.SET_STATE, lease.subject, "recalibrated")


async def gave_up(tx: Tx, lease: Lease, rejection: Rejection) -> None:
    cohort = await tx.conn.fetchval(statements.FAIL, lease.subject, rejection.as_dict())
    if cohort is None:
        return
    await fanout.end(tx, filtered_fan(lease.subject), reason=rejection.code)
    await queue.cancel(tx, lease.subject, reason="the freeze has failed")
    await outbox.add(
        tx,
        FreezeFailed(
            freeze=lease.subject,
            cohort=cohort,
            stage="vqsr",
            rejection=rejection.detail(),
            went_on="the cohort's earlier freezes and all samples are as they were",
        ),
    )
