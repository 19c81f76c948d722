"""What becomes true when a task of annotate ends, inside the transaction that ends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chassis.errors import Rejection
from chassis.ledger import fanout, outbox, queue
from chassis.ledger.ledger import Tx
from chassis.ledger.tasks import Lease
from contracts.events import FilterDecision, FreezeFailed
from services.annotate import statements
from services.annotate.tasks import Annotated, AnnotateTask, FilteredInterval, PlanTask, ReleaseTask, annotated_fan


async def planned(tx: Tx, lease: Lease, result: Mapping[str, Any]) -> None:
    """The panel's intervals are known: one task each."""
    task = PlanTask.model_validate(lease.payload)
    entries = [FilteredInterval.model_validate(entry) for entry in result["entries"]]
    if await tx.conn.fetchrow(statements.PLANNED, task.freeze, len(entries)) is None:
        return
    await fanout.expect(tx, annotated_fan(task.freeze), len(entries))
    tasks = [
        AnnotateTask(freeze=task.freeze, cohort=task.cohort, reference=task.reference, entry=entry).task()
        for entry in entries
    ]
    await queue.enqueue(tx, tasks)


async def annotated(tx: Tx, lease: Lease, result: Mapping[str, Any]) -> None:
    """After the last interval the panel is gathered and released."""
    task = AnnotateTask.model_validate(lease.payload)
    await fanout.arrive(tx, annotated_fan(task.freeze), task.entry.index, result)
    values = await fanout.complete(tx, annotated_fan(task.freeze))
    if values is None:
        return
    row = await tx.conn.fetchrow(statements.RELEASING, task.freeze)
    if row is None:
        return
    release = ReleaseTask(
        freeze=task.freeze,
        cohort=task.cohort,
        reference=task.reference,
        number=row["number"],
        decisions=tuple(FilterDecision.model_validate(one) for one in row["recalibrated"]["decisions"]),
        intervals=tuple(Annotated.model_validate(value) for value in values),
    )
    await queue.enqueue(tx, [release.task()])


async def released(tx: Tx, lease: Lease, result: Mapping[str, Any]) -> None:
    await tx.conn.execute(statements.RELEASED, lease.subject, result["manifest"], result["summary"], result["report"])


async def gave_up(tx: Tx, lease: Lease, rejection: Rejection) -> None:
    cohort = await tx.conn.fetchval(statements.FAIL, lease.subject, rejection.as_dict())
    if cohort is None:
        return
    await fanout.end(tx, annotated_fan(lease.subject), reason=rejection.code)
    await queue.cancel(tx, lease.subject, reason="the freeze has failed")
    await outbox.add(
        tx,
        FreezeFailed(
            freeze=lease.subject,
            cohort=cohort,
            stage="annotate",
            rejection=rejection.detail(),
            went_on="the cohort's earlier freezes and all samples are as they were",
        ),
    )
