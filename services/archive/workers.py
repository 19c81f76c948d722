"""The archive's work that destroys nothing: read manifests, compare fingerprints. The other is in acting.py."""

from __future__ import annotations

import asyncio

from chassis.outcomes import Done, Outcome
from chassis.storage.manifests import read_manifest
from chassis.storage.store import ObjectMissing
from chassis.worker.context import TaskContext
from services.archive.named import artifacts_in
from services.archive.tasks import MANIFEST_PART, EnrolTask, LaneFiles, VerifyTask


async def enrol(context: TaskContext) -> Outcome:
    """Result: `artifacts`, those that this part's entries name, anywhere inside; and the manifest's own `size`."""
    task = EnrolTask.of(context.lease)
    entries = await read_manifest(context.store, task.manifest)
    last = task.part == task.parts - 1
    mine = entries[task.part * MANIFEST_PART : None if last else (task.part + 1) * MANIFEST_PART]
    found = artifacts_in(mine, where=task.manifest.uri)
    itself = await context.store.head(task.manifest.uri)
    if itself is None:
        raise ObjectMissing(task.manifest.uri)
    return Done(
        result={
            "artifacts": [artifact.model_dump(mode="json") for artifact in found],
            "size": itself.size,
            "version": itself.version,
        }
    )


async def verify(context: TaskContext) -> Outcome:
    """A chunk per lane and one for the CRAM; each file is checked against its SHA-256 before it is fingerprinted.

    Result: `lanes` read group -> fingerprint, `cram` the CRAM's own, `agrees`, and `found` in words where not.
    """
    from chassis.tools.fingerprint import combine

    task = VerifyTask.of(context.lease)
    lanes = {lane.read_group: await _lane_fingerprint(context, lane) for lane in task.lanes}
    aligned = await _cram_fingerprint(context, task)
    sequenced = combine(*lanes.values())
    found = None
    if aligned != task.fingerprint:
        found = f"the CRAM has fingerprint {aligned[:12]}, its event said {task.fingerprint[:12]}"
    elif sequenced != task.fingerprint:
        found = f"the FASTQs have fingerprint {sequenced[:12]}, the CRAM {task.fingerprint[:12]}"
    return Done(result={"lanes": lanes, "cram": aligned, "agrees": found is None, "found": found})


async def _lane_fingerprint(context: TaskContext, lane: LaneFiles) -> str:
    from chassis.tools.fingerprint import reads_fingerprint_of_fastq

    if lane.fingerprint is not None:
        return lane.fingerprint
    name = f"lane {lane.read_group}"
    if name in context.chunks:
        return str(context.chunks[name]["fingerprint"])
    r1 = await context.fetch(lane.r1, "r1.fastq.gz")
    r2 = await context.fetch(lane.r2, "r2.fastq.gz")
    fingerprint = await asyncio.to_thread(reads_fingerprint_of_fastq, r1, r2)
    for path in (r1, r2):
        path.unlink()
    await context.checkpoint(name, {"fingerprint": fingerprint})
    return fingerprint


async def _cram_fingerprint(context: TaskContext, task: VerifyTask) -> str:
    from chassis.tools.cram_reference import require_reference
    from chassis.tools.fingerprint import reads_fingerprint_of_alignment

    if "cram" in context.chunks:
        return str(context.chunks["cram"]["fingerprint"])
    reference = await context.reference(task.reference)
    cram = await context.fetch(task.cram, "reads.cram")
    await asyncio.to_thread(require_reference, cram, fasta=reference.fasta)
    fingerprint = await asyncio.to_thread(reads_fingerprint_of_alignment, cram, reference.fasta)
    cram.unlink()
    await context.checkpoint("cram", {"fingerprint": fingerprint})
    return fingerprint
