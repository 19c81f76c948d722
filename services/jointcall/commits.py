"""What becomes true when a task of jointcall ends, inside the transaction that ends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chassis.errors import Rejection
from chassis.ledger import queue
from chassis.ledger.ledger import Tx
from chassis.ledger.tasks import Lease
from contracts.values import Interval, ManifestRef
from services.jointcall import statements
from services.jointcall.findings import hold_for
from services.jointcall.subscribers import fail_freeze
from services.jointcall.tasks import TERMINAL, Columns, IntervalTask, PlanTask, memory_class_for


async def planned(tx: Tx, lease: Lease, result: Mapping[str, Any]) -> None:
    """The manifests are written: one task per interval, largest predicted work first."""
    task = PlanTask.model_validate(lease.payload)
    manifest = ManifestRef.model_validate(result["manifest"])
    row = await tx.conn.fetchrow(
        statements.PLANNED,
        task.freeze,
        len(result["intervals"]),
        result["manifest"],
        result["interval_manifest"],
        result.get("begun_with"),
    )
    if row is None:
        return
    tasks = []
    columns = result.get("columns")
    for index, entry in enumerate(result["intervals"]):
        interval = Interval.model_validate(entry["interval"])
        work = float(entry["predicted_work"])
        await tx.conn.execute(statements.NEW_INTERVAL, task.freeze, index, interval.model_dump(mode="json"), work)
        one = IntervalTask(
            freeze=task.freeze,
            cohort=task.cohort,
            index=index,
            interval=interval,
            manifest=manifest,
            reference=task.reference,
            engine=task.engine,
            earlier=Columns.model_validate(columns[index]) if columns else None,
        )
        memory = memory_class_for(manifest.entries, engine=task.engine)
        tasks.append(one.task(predicted_work=work, memory_class=memory))
    await queue.enqueue(tx, tasks)


async def genotyped(tx: Tx, lease: Lease, result: Mapping[str, Any]) -> None:
    task = IntervalTask.model_validate(lease.payload)
    await tx.conn.execute(
        statements.GENOTYPED,
        task.freeze,
        task.index,
        result["variants"],
        result["seconds"],
        lease.attempts,
        result.get("columns"),
        result.get("reuse"),
        result.get("left_out"),
    )
    if await tx.conn.fetchval(statements.OPEN_INTERVALS, task.freeze) == 0:
        await tx.conn.execute(statements.SET_STATE, task.freeze, "genotyped", None, [*TERMINAL, "genotyped"])


async def gave_up(tx: Tx, lease: Lease, rejection: Rejection) -> None:
    """A freeze that one gVCF ends leaves that sample held: the next one goes on with the others."""
    held = await hold_for(tx, lease.subject, rejection)
    await fail_freeze(
        tx, freeze=lease.subject, cohort=lease.belongs_to, stage="jointcall", rejection=rejection, held=held
    )
