"""Vqsr's events. A freeze and its intervals come on two topics, in any order: facts are kept, completeness is asked."""

from __future__ import annotations

from chassis.ledger import fanout, queue
from chassis.ledger.ledger import Tx
from contracts.events import CohortFrozen, FreezeFailed, IntervalGenotyped
from contracts.values import ReferenceId
from services.vqsr import statements
from services.vqsr.tasks import Sites, TrainTask


def genotyped_fan(freeze: str) -> str:
    return f"genotyped:{freeze}"


def filtered_fan(freeze: str) -> str:
    return f"filtered:{freeze}"


async def on_frozen(tx: Tx, event: CohortFrozen) -> None:
    await tx.conn.execute(
        statements.FROZEN,
        event.freeze,
        event.cohort,
        event.reference.model_dump(mode="json"),
        event.manifest.entries,
        event.intervals.entries,
    )
    await fanout.expect(tx, genotyped_fan(event.freeze), event.intervals.entries)
    await _gather(tx, event.freeze)


async def on_genotyped(tx: Tx, event: IntervalGenotyped) -> None:
    await tx.conn.execute(statements.MEET, event.freeze, event.cohort)
    await fanout.arrive(tx, genotyped_fan(event.freeze), event.index, event.model_dump(mode="json"))
    await _gather(tx, event.freeze)


async def on_failed(tx: Tx, event: FreezeFailed) -> None:
    """Whatever of it is still under way here ends too."""
    await tx.conn.execute(statements.MEET, event.freeze, event.cohort)
    for fan in (genotyped_fan(event.freeze), filtered_fan(event.freeze)):
        await fanout.end(tx, fan, reason=event.rejection.code)
    await queue.cancel(tx, event.freeze, reason="the freeze has failed")
    await tx.conn.execute(statements.FAIL, event.freeze, event.rejection.model_dump(mode="json"))


async def _gather(tx: Tx, freeze: str) -> None:
    """When the last interval is there: decide how to filter."""
    values = await fanout.complete(tx, genotyped_fan(freeze))
    if values is None:
        return
    events = [IntervalGenotyped.model_validate(value) for value in values]
    row = await tx.conn.fetchrow(statements.SET_STATE, freeze, "training")
    assert row is not None
    task = TrainTask(
        freeze=freeze,
        cohort=row["cohort"],
        reference=ReferenceId.model_validate(row["reference"]),
        samples=row["samples"],
        sites=tuple(Sites(sites=event.sites, index=event.sites_index) for event in events),
    )
    await queue.enqueue(tx, [task.task()])
