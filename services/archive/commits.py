"""What becomes true when a task of the archive ends, inside the transaction that ends it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from chassis.errors import Rejection
from chassis.ledger import outbox
from chassis.ledger.ledger import Tx
from chassis.ledger.tasks import Lease
from contracts.events import ArtifactPurged, ArtifactRestored, ArtifactTiered
from contracts.values import Artifact, ArtifactKind
from services.archive import record, statements
from services.archive.alerts import alert, refused
from services.archive.condemn import tell
from services.archive.facts import Check
from services.archive.prices import STANDARD
from services.archive.tasks import MEMBERS, ActTask, EnrolTask, RestoreTask, VerifyTask

log = logging.getLogger(__name__)

REST = timedelta(days=1)
"""Between an act that was refused or given up and the next: a person has to look in between, a loop must not."""


async def enrolled(tx: Tx, lease: Lease, result: Mapping[str, Any]) -> None:
    """Record what the part names; a manifest of members is known once all of its parts are."""
    task = EnrolTask.of(lease)
    itself = Artifact(
        kind=ArtifactKind.manifest,
        id=task.manifest.sha256,
        uri=task.manifest.uri,
        size=result["size"],
        version=result["version"],
    )
    await record.artifacts(tx, [itself], stage=task.stage, subject=task.freeze)
    listed = [Artifact.model_validate(one) for one in result["artifacts"]]
    await record.artifacts(tx, listed, stage=task.stage, subject=task.freeze, rank=record.LISTED)
    if task.role == MEMBERS:
        await tx.conn.execute(statements.MEMBERS, [artifact.id for artifact in listed], task.freeze)
    await tx.conn.execute(statements.PART_READ, task.freeze, task.role, task.manifest.sha256, task.part)


async def verified(tx: Tx, lease: Lease, result: Mapping[str, Any]) -> None:
    """Keep the lanes' fingerprints, which hold for ever, and the verdict; raise the alarm where it is bad."""
    task = VerifyTask.of(lease)
    for lane in task.lanes:
        await tx.conn.execute(statements.LANE_FINGERPRINT, lane.r1.id, lane.r2.id, result["lanes"][lane.read_group])
    check = Check.agrees if result["agrees"] else Check.differs
    await _checked(tx, task, check, result["found"])
    if check is Check.differs:
        refused("FINGERPRINT_DIFFERS", f"FASTQs stay: {result['found']}", sample=task.sample, artifact=task.cram.id)


async def not_verified(tx: Tx, lease: Lease, rejection: Rejection) -> None:
    task = VerifyTask.of(lease)
    await _checked(tx, task, Check.failed, rejection.code)
    alert("not-verified", f"FASTQs stay: {rejection.code}", sample=task.sample, artifact=task.cram.id)


async def _checked(tx: Tx, task: VerifyTask, check: Check, found: str | None) -> None:
    await tx.conn.fetchval(
        statements.CHECKED, task.sample, task.version, task.cram.id, check.value, list(task.files), found
    )


async def acted(tx: Tx, lease: Lease, result: Mapping[str, Any]) -> None:
    """Tell what was done. What was spared or refused goes back to being stored, with the reason."""
    task = ActTask.of(lease)
    match result["did"]:
        case "moved":
            await _moved(tx, task, result)
        case "purged":
            await _purged(tx, task, result)
        case "spared":
            await _spare(tx, task, str(result["why"]))
        case "out of reach":
            await _out_of_reach(tx, task, result)
        case "refused":
            refused(str(result["code"]), str(result["why"]), artifact=task.artifact, policy=task.policy)
            await _spare(tx, task, str(result["why"]), not_again_before=await tx.now() + REST)
        case "gone":
            await _missing(tx, task.artifact, task.uri)
        case other:
            raise ValueError(f"an act reported {other!r}, which is no ending")


async def not_acted(tx: Tx, lease: Lease, rejection: Rejection) -> None:
    task = ActTask.of(lease)
    alert("act-given-up", f"{task.action}: {rejection.code}", artifact=task.artifact, policy=task.policy)
    await _spare(tx, task, f"REFUSED: {rejection.code}", not_again_before=await tx.now() + REST)


async def _moved(tx: Tx, task: ActTask, result: Mapping[str, Any]) -> None:
    version, cold = result["version"], result.get("cold")
    # it may have been brought back since an earlier attempt had moved it
    warm = bool(result.get("warm"))
    held = await tx.conn.fetchval(
        statements.MOVED, task.artifact, task.uri, task.count, task.action, version, cold, warm
    )
    if held is None:
        raise _changed(task)
    await _told_tiered(tx, task, tier=task.action, version=version, cold=cold)


async def _told_tiered(tx: Tx, task: ActTask, *, tier: str, version: str | None, cold: str | None = None) -> None:
    await outbox.add(
        tx,
        ArtifactTiered(
            artifact=task.artifact,
            kind=task.kind,
            uri=task.uri,
            version=version,
            count=await tell(tx, task.artifact),
            tier=tier,
            policy=task.policy,
            lies_at=cold,
        ),
    )


async def _purged(tx: Tx, task: ActTask, result: Mapping[str, Any]) -> None:
    version = result["version"]
    held = await tx.conn.fetchval(statements.PURGED, task.artifact, task.uri, task.count, version)
    if held is None:
        raise _changed(task)
    await outbox.add(
        tx,
        ArtifactPurged(
            artifact=task.artifact,
            kind=task.kind,
            uri=task.uri,
            version=version,
            count=await tell(tx, task.artifact),
            policy=task.policy,
            guards=tuple(result.get("guards", ())),
        ),
    )


def _changed(task: ActTask) -> RuntimeError:
    # A begun act keeps its copy condemned: see condemn.spare_all. Anything else is a fault of ours.
    return RuntimeError(f"the copy that {task.policy} acted on is not condemned by this fact any more")


async def _spare(tx: Tx, task: ActTask, why: str, *, not_again_before: datetime | None = None) -> None:
    condemned = await tx.conn.fetchrow(statements.CONDEMNED_BY, task.artifact, task.uri, task.count)
    if condemned is not None:
        await tx.conn.fetchval(statements.SPARE, task.artifact, task.uri, why, not_again_before)
        log.info("spared", extra={"artifact": task.artifact, "policy": task.policy, "why": why})


async def _out_of_reach(tx: Tx, task: ActTask, result: Mapping[str, Any]) -> None:
    """Spared, and the content has another version now, or lies apart too: where it lies is what the last fact says, so
    one is told."""
    await _spare(tx, task, str(result["why"]))
    tier, version, cold = str(result.get("tier", STANDARD)), result["version"], result.get("cold")
    await tx.conn.execute(statements.ANOTHER_VERSION, task.artifact, task.uri, version, tier, cold)
    await _told_tiered(tx, task, tier=tier, version=version, cold=cold)


async def _missing(tx: Tx, artifact: str, uri: str) -> None:
    if await tx.conn.fetchval(statements.MISSING, artifact, uri) is not None:
        alert("missing", "a fact names an object that is not in the store", artifact=artifact)


async def restored(tx: Tx, lease: Lease, result: Mapping[str, Any]) -> None:
    """It can be read: tell everyone who waits. The ledger learns the tier that the store says, if it was mistaken."""
    task = RestoreTask.of(lease)
    until = None if result["until"] is None else datetime.fromisoformat(result["until"])
    await tx.conn.execute(statements.WANTED, task.artifact, task.days)
    for uri in result["missing"]:
        await _missing(tx, task.artifact, uri)
    for uri, copy in result["copies"].items():
        await tx.conn.execute(statements.SEEN_IN, task.artifact, uri, copy["tier"])
        if "cold" in copy:
            wanted = await tx.conn.fetchval(statements.BROUGHT_BACK, task.artifact, uri, copy["version"], copy["cold"])
            # the archive takes it away again, and not before: it is readable for as long as anyone asked
            until = min(until, wanted) if until is not None and wanted is not None else wanted
    await tx.conn.execute(statements.RESTORED, task.artifact, task.number, until)
    uri, copy = next(iter(result["copies"].items()))
    row = await tx.conn.fetchrow(statements.COPY, task.artifact, uri)
    assert row is not None
    await outbox.add(
        tx,
        ArtifactRestored(
            artifact=task.artifact,
            kind=ArtifactKind(row["kind"]),
            uri=uri,
            version=copy["version"],
            count=await tell(tx, task.artifact),
            until=until,
        ),
    )


async def not_restored(tx: Tx, lease: Lease, rejection: Rejection) -> None:
    task = RestoreTask.of(lease)
    await tx.conn.execute(statements.RESTORE_REFUSED, task.artifact, task.number, rejection.code)
    if rejection.code == "OBJECT_MISSING":
        for uri in task.uris:
            await _missing(tx, task.artifact, uri)
    else:
        alert("not-restored", rejection.code, artifact=task.artifact)
