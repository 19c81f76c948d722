"""Jointcall's events: gVCFs that are ready, verdicts of people, freezes asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chassis.errors import Rejection
from chassis.ledger import outbox, queue
from chassis.ledger.ledger import Tx
from chassis.messaging.receive import note_command
from contracts.events import (
    CohortFreezeRequested,
    FreezeFailed,
    GvcfReady,
    PanelReleased,
    SampleFailed,
    SampleTagRequested,
    SampleVerdictRequested,
    WorkCancelRequested,
)
from contracts.values import ReferenceId
from services.jointcall import statements
from services.jointcall.findings import Policy, coverage_of
from services.jointcall.selection import Candidate, Chosen, choose
from services.jointcall.tasks import TERMINAL, PlanTask, freeze_id


class Arrivals:
    """Handles gVCFs under one policy: what becomes of a sample whose gVCF leaves calling intervals out."""

    def __init__(self, *, coverage_policy: Policy) -> None:
        self._policy = coverage_policy

    async def on_gvcf_ready(self, tx: Tx, event: GvcfReady) -> None:
        """Learn a sample, unless a later version is known already: events of other keys come in any order."""
        rejection = coverage_of(event)
        finding = {"policy": self._policy, "rejection": rejection.as_dict()} if rejection is not None else None
        learnt = await _learn(tx, event, finding)
        if learnt and rejection is not None and self._policy == "refuse":
            failed = SampleFailed(
                sample=event.sample.key,
                stage="jointcall",
                task=f"gvcf:{event.sample.key}:{event.sample.version}:{event.gvcf.id[:12]}",
                rejection=rejection.detail(),
                went_on="every other sample, and freezes without this one",
            )
            await outbox.add(tx, failed)


async def _learn(tx: Tx, event: GvcfReady, finding: Mapping[str, Any] | None) -> bool:
    provenance = event.provenance
    learnt = await tx.conn.fetchval(
        statements.LEARN,
        event.sample.key,
        event.sample.project,
        event.sample.version,
        {"gvcf": event.gvcf.model_dump(mode="json"), "index": event.index.model_dump(mode="json")},
        event.reference.name,
        event.reference.digest,
        f"{provenance.tool} {provenance.version} {provenance.parameters[:16]}",
        event.verdict.status.value,
        list(event.verdict.reasons),
        event.mean_coverage,
        finding,
    )
    return learnt is not None


async def on_verdict(tx: Tx, event: SampleVerdictRequested) -> None:
    await _note(tx, event, event.sample, event.reason)
    await tx.conn.execute(statements.OVERRIDE, event.sample, event.verdict, event.actor.name, event.reason)


async def on_tag(tx: Tx, event: SampleTagRequested) -> None:
    await _note(tx, event, event.sample, f"tag {event.tag}")
    await tx.conn.execute(statements.TAG if event.present else statements.UNTAG, event.sample, event.tag)


async def on_freeze_requested(tx: Tx, event: CohortFreezeRequested) -> None:
    """Fix who takes part, now: what arrives later belongs to the next freeze."""
    await _note(tx, event, event.cohort, event.reason)
    await tx.conn.execute(statements.MEET_COHORT, event.cohort)
    number = await tx.conn.fetchval(statements.NEXT_NUMBER, event.cohort)
    freeze = freeze_id(event.cohort, number)
    chosen = await _choose(tx, event, freeze)
    if isinstance(chosen, Rejection):
        await _new_freeze(tx, event, freeze, number, state="failed", reference=None, samples=0)
        await fail_freeze(tx, freeze=freeze, cohort=event.cohort, stage="selection", rejection=chosen)
        return
    await _new_freeze(
        tx, event, freeze, number, state="planning", reference=chosen.reference, samples=len(chosen.samples)
    )
    await tx.conn.executemany(
        statements.FREEZE_SAMPLE, [(freeze, one.key, one.version, one.member) for one in chosen.samples]
    )
    task = PlanTask(
        freeze=freeze,
        cohort=event.cohort,
        number=number,
        engine=event.engine,
        reference=chosen.reference,
        requested_by=event.actor.name,
    )
    await queue.enqueue(tx, [task.task()])


async def on_cancel(tx: Tx, event: WorkCancelRequested) -> None:
    """The chassis cancels the tasks; a freeze that is cancelled says so to whoever waits for it."""
    await _note(tx, event, event.target, event.reason)
    await queue.cancel(tx, event.target, reason=f"cancelled: {event.reason}")
    if ":" in event.target:
        rejection = Rejection(
            code="CANCELLED",
            message=f"cancelled by {event.actor.name}: {event.reason}",
            where=event.target,
            rule="a person may cancel a freeze",
            fix="ask for a new freeze",
        )
        cohort = event.target.rpartition(":")[0]
        await fail_freeze(tx, freeze=event.target, cohort=cohort, stage="jointcall", rejection=rejection)


async def on_released(tx: Tx, event: PanelReleased) -> None:
    await tx.conn.execute(statements.SET_STATE, event.freeze, "released", None, TERMINAL)


async def on_freeze_failed(tx: Tx, event: FreezeFailed) -> None:
    """Another service gave the freeze up (our own word comes back too, and changes nothing)."""
    detail = event.rejection.model_dump(mode="json")
    await tx.conn.execute(statements.SET_STATE, event.freeze, "failed", detail, TERMINAL)
    await queue.cancel(tx, event.freeze, reason="the freeze has failed")


async def fail_freeze(
    tx: Tx, *, freeze: str, cohort: str, stage: str, rejection: Rejection, held: str | None = None
) -> None:
    """End a freeze once: its other tasks are cancelled, whoever waits is told. `held`: the sample that is left out of
    the next one because of it."""
    state = "cancelled" if rejection.code == "CANCELLED" else "failed"
    ended = await tx.conn.fetchval(statements.SET_STATE, freeze, state, rejection.as_dict(), TERMINAL)
    if ended is None and stage != "selection":
        return
    if stage == "selection":
        await tx.conn.execute(statements.SET_ERROR, freeze, rejection.as_dict())
    await queue.cancel(tx, freeze, reason="the freeze has ended")
    await outbox.add(
        tx,
        FreezeFailed(
            freeze=freeze,
            cohort=cohort,
            stage=stage,
            rejection=rejection.detail(),
            went_on="the cohort's earlier freezes and all samples are as they were"
            if held is None
            else f"the cohort's earlier freezes and all other samples; {held} is held, so ask for the freeze again",
        ),
    )


async def _choose(tx: Tx, event: CohortFreezeRequested, freeze: str) -> Chosen | Rejection:
    named: list[str] | None = None
    match event.selection.how:
        case "list":
            named = list(event.selection.samples)
        case "tag":
            named = [row["sample"] for row in await tx.conn.fetch(statements.TAGGED, event.selection.tag)]
        case "all":
            pass
    rows = await tx.conn.fetch(statements.CANDIDATES, named)
    return choose(event.selection, [_candidate(row) for row in rows], named=named, where=f"freeze {freeze}")


async def _new_freeze(
    tx: Tx,
    event: CohortFreezeRequested,
    freeze: str,
    number: int,
    *,
    state: str,
    reference: ReferenceId | None,
    samples: int,
) -> None:
    await tx.conn.execute(
        statements.NEW_FREEZE,
        freeze,
        event.cohort,
        number,
        event.request_id,
        event.actor.name,
        event.engine,
        reference.name if reference else None,
        reference.digest if reference else None,
        state,
        samples,
    )


async def _note(tx: Tx, event: Any, subject: str, reason: str) -> None:
    await note_command(
        tx, request_id=event.request_id, type=event.TYPE, subject=subject, actor=event.actor.name, reason=reason
    )


def _candidate(row: Any) -> Candidate:
    return Candidate(
        key=row["key"],
        version=row["version"],
        gvcf=row["gvcf"],
        reference=ReferenceId(name=row["reference_name"], digest=row["reference_digest"]),
        pipeline=row["pipeline"],
        verdict=row["verdict"],
        override=row["override"],
        withdrawn=row["withdrawn"],
        finding=row["finding"],
        found=row["found"],
        decided=row["decided"],
    )
