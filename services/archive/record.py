"""Writing down what facts say. Every statement gives the same rows whatever order the facts come in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from chassis.ledger import queue
from chassis.ledger.ledger import Tx
from contracts.events import CramReady, GvcfReady, RunCompleted
from contracts.values import Artifact, ManifestRef, QcStatus
from services.archive import statements
from services.archive.prices import STANDARD
from services.archive.tasks import EnrolTask, RestoreTask, parts_of

NAMED, LISTED, FOUND = 0, 1, 2
"""By whom an artifact is known: an event, a manifest, the inventory. What is said by the former counts more."""


async def artifacts(
    tx: Tx,
    named: Iterable[Artifact],
    *,
    stage: str,
    subject: str,
    rank: int = NAMED,
    found_at: datetime | None = None,
    tier: str = STANDARD,
) -> None:
    """Record each copy, and begin restores that were asked for before anyone had named it.

    `found_at`: when the store got it, for copies that only the inventory knows; `tier`: where it lies.
    """
    ids = []
    for artifact in named:
        ids.append(artifact.id)
        await tx.conn.execute(
            statements.RECORD,
            artifact.id,
            artifact.uri,
            artifact.kind.value,
            artifact.size,
            artifact.version,
            stage,
            subject,
            rank,
            found_at,
            tier,
        )
    for row in await tx.conn.fetch(statements.RESTORES_UNKNOWN, ids):
        await ask_restore(tx, row["artifact"], number=row["number"], days=row["days"])


async def run(tx: Tx, event: RunCompleted) -> None:
    """FASTQs and cards of a run, and which lane each pair of FASTQs is."""
    for one in event.samples:
        files = [one.card, *(file for lane in one.lanes for file in (lane.r1, lane.r2))]
        await artifacts(tx, files, stage="ingest", subject=one.sample.key)
        for lane in one.lanes:
            await tx.conn.execute(
                statements.LANE, one.sample.key, one.sample.version, lane.read_group, lane.r1.id, lane.r2.id
            )


async def cram(tx: Tx, event: CramReady) -> None:
    await artifacts(tx, (event.cram, event.crai), stage="align", subject=event.sample.key)
    await tx.conn.execute(
        statements.CRAM,
        event.cram.id,
        event.crai.id,
        event.sample.key,
        event.sample.version,
        event.run,
        list(event.read_groups),
        event.reference.model_dump(mode="json"),
        event.fingerprint,
    )


async def gvcf(tx: Tx, event: GvcfReady) -> None:
    await artifacts(tx, (event.gvcf, event.index), stage="align", subject=event.sample.key)
    passed = event.verdict.status is QcStatus.passed
    await tx.conn.execute(
        statements.GVCF, event.gvcf.id, event.index.id, event.sample.key, event.sample.version, passed
    )


async def freeze(tx: Tx, freeze: str, cohort: str) -> None:
    """A freeze is known, and open, from the first fact that speaks of it."""
    await tx.conn.execute(statements.FREEZE, freeze, cohort)


async def manifest(tx: Tx, ref: ManifestRef, *, freeze: str, cohort: str, role: str, stage: str) -> None:
    """Plan the reading of a manifest object: its entries are too many for an event, and may be for one task."""
    parts = parts_of(ref)
    await tx.conn.execute(statements.MANIFEST, freeze, role, ref.sha256, ref.uri, parts)
    await queue.enqueue(
        tx,
        [
            EnrolTask(freeze=freeze, cohort=cohort, role=role, stage=stage, manifest=ref, part=part, parts=parts).task()
            for part in range(parts)
        ],
    )


async def ask_restore(tx: Tx, artifact: str, *, number: int, days: int) -> bool:
    """Start making an artifact readable. False when no copy of it lies in the store."""
    await tx.conn.execute(statements.WANTED, artifact, days)
    copies = await tx.conn.fetch(statements.COPIES, [artifact])
    uris = tuple(row["uri"] for row in copies if row["state"] in ("stored", "condemned"))
    if uris:
        await queue.enqueue(tx, [RestoreTask(artifact=artifact, number=number, uris=uris, days=days).task()])
    return bool(uris)
