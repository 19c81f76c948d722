"""The archive's work, run in worker processes: read manifests, compare fingerprints, move, purge, restore."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from chassis.errors import Rejected, reject
from chassis.faultpoints import point
from chassis.ledger.ledger import connect
from chassis.outcomes import Done, Failed, Outcome, Retry
from chassis.storage.manifests import read_manifest
from chassis.storage.store import ARCHIVED_CLASSES, RESTORE_TAKES, ObjectFacts, ObjectMissing
from chassis.worker.context import TaskContext
from contracts.values import Artifact
from services.archive.named import artifacts_in
from services.archive.prices import PURGE
from services.archive.standing import Standing, standing_of
from services.archive.tasks import MANIFEST_PART, ActTask, EnrolTask, LaneFiles, RestoreTask, VerifyTask

POLL_AT_LEAST, POLL_AT_MOST = 1.0, 900.0
"""Seconds between two looks at a restore: a Glacier restore takes minutes to days, a test's takes none."""
POLL_SHARE = 0.25
"""Of the time waited so far: a restore is noticed at most a quarter later than it was ready."""


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


async def act(context: TaskContext) -> Outcome:
    """Purge or move exactly the version that was condemned.

    The ledger is asked again first (still condemned by this very fact, no hold, all guards), then the store (is what
    replaces it really there, is this the object meant). The last step before the act is a fenced write: a worker that
    lost its lease, or whose task a hold cancelled, gets no further. Result: `did`, one of purged, moved, spared, out of
    reach (spared under a new version), refused, gone; `why` in words; the `version` that the object has now or had.
    """
    task = ActTask.of(context.lease)
    standing = await _ask_again(context, task)
    if standing.why_not:
        return await _spare(context, task, "; ".join(standing.why_not))
    for replacement in standing.replacements:
        wrong = await _unlike(context, replacement)
        if wrong is not None:
            code, why = wrong
            return _did("refused", code=code, why=f"REFUSED: {why}", suspect=replacement.id)
    found = await context.store.head(task.uri, version=task.version)
    if found is None:
        return await _not_there(context, task)
    if found.sha256 != task.artifact:
        why = "REFUSED: the object's content is not what its fact named"
        return _did("refused", code="CONTENT_CHANGED", why=why)
    await context.checkpoint("begun", {"version": found.version})
    point("before-act", of=context.service)
    if task.action == PURGE:
        await context.store.delete(task.uri, version=found.version)
        return _did("purged", version=found.version, guards=standing.guards)
    try:
        moved = await context.store.set_tier(task.uri, task.action, version=found.version)
    except ObjectMissing:
        return Retry(reason="the version to be moved is not the current one any more", after=timedelta(seconds=1))
    except Rejected as rejected:
        if rejected.rejection.code != "CONTENT_CHANGED":
            raise
        return _did("refused", code="CONTENT_CHANGED", why=f"REFUSED: {rejected.rejection.message}")
    return _did("moved", version=moved.version)


async def _ask_again(context: TaskContext, task: ActTask) -> Standing:
    """In a session of its own: a task's code has no other way to the ledger, and a decision may be days old."""
    conn = await connect(context.settings.ledger.url(), context.service)
    try:
        return await standing_of(conn, task, settings=context.settings, store=context.store)
    finally:
        await conn.close()


async def _spare(context: TaskContext, task: ActTask, why: str) -> Outcome:
    """Leave it. Where an earlier attempt had begun, its worker may still be about to delete that version: then the same
    content is stored once more, so that what a zombie deletes is not what is kept."""
    begun = context.chunks.get("begun")
    if begun is None:
        return _did("spared", why=why)
    found = await context.store.head(task.uri, version=begun["version"])
    if found is None:
        return await _not_there(context, task)
    whole = Artifact(kind=task.kind, id=task.artifact, uri=task.uri, size=found.size)
    path = await context.fetch(whole, "spared")
    tags = await context.store.read_tags(task.uri, version=found.version)
    again = await context.store.put_file(context.store.key_of(task.uri), path, sha256=task.artifact, tags=tags)
    await context.store.delete(task.uri, version=found.version)
    return _did("out of reach", why=why, version=again.version)


async def _unlike(context: TaskContext, replacement: Artifact) -> tuple[str, str] | None:
    """How the stored object differs from the artifact that must be there before the other goes, as a code and in words;
    None: it does not."""
    found = await context.store.head(replacement.uri)
    what = f"the {replacement.kind.value} {replacement.id[:12]} that replaces it"
    if found is None:
        return "REPLACEMENT_MISSING", f"{what} is not in the store"
    if found.size != replacement.size:
        return "REPLACEMENT_CHANGED", f"{what} has {found.size} bytes, {replacement.size} were recorded"
    if found.sha256 != replacement.id:
        return "REPLACEMENT_CHANGED", f"{what} has another checksum in the store"
    return None


async def _not_there(context: TaskContext, task: ActTask) -> Outcome:
    """The version condemned is gone: by an earlier attempt of this very task, or by another hand."""
    begun = context.chunks.get("begun")
    if task.action == PURGE:
        if begun is not None:
            return _did("purged", version=begun["version"])
        return _did("gone", why="the object is not in the store")
    current = await context.store.head(task.uri)
    if current is not None and current.sha256 == task.artifact and current.storage_class == task.action:
        return _did("moved", version=current.version)
    return _did("gone", why="the version that was condemned is not in the store")


def _did(did: str, **more: Any) -> Done:
    return Done(result={"did": did, **more})


async def restore(context: TaskContext) -> Outcome:
    """Ask the store for every copy that cannot be read at once, and look again later, without a lease in between.

    Result: `copies` by URI (`tier`, `version`, `until`), `missing` URIs, and `until`: when the first copy goes.
    """
    task = RestoreTask.of(context.lease)
    heads = {uri: await context.store.head(uri) for uri in task.uris}
    there = {uri: head for uri, head in heads.items() if head is not None and head.sha256 == task.artifact}
    if not there:
        return _lost(task)
    waiting = {uri: head for uri, head in there.items() if not head.readable(now=context.lease.started_at)}
    for uri, head in waiting.items():
        if head.restore is None or not head.restore.ongoing:
            await context.store.request_restore(uri, days=task.days)
            there[uri] = await context.store.head(uri) or head
    waiting = {uri: head for uri, head in there.items() if not head.readable(now=context.lease.started_at)}
    if waiting:
        waited = (context.lease.started_at - context.lease.created_at).total_seconds()
        after = min(max(waited * POLL_SHARE, POLL_AT_LEAST), POLL_AT_MOST)
        return Retry(
            reason=f"WAITING_RESTORE: to be expected by {_expected(context, waiting):%Y-%m-%d %H:%M} UTC",
            after=timedelta(seconds=after),
            waits_for=f"store:{task.artifact}",
        )
    return Done(result=_readable(task, there))


def _expected(context: TaskContext, waiting: Mapping[str, ObjectFacts]) -> datetime:
    return context.lease.created_at + max(RESTORE_TAKES[head.storage_class] for head in waiting.values())


def _readable(task: RestoreTask, there: Mapping[str, ObjectFacts]) -> dict[str, Any]:
    expiries = {
        uri: head.restore.expires
        for uri, head in there.items()
        if head.storage_class in ARCHIVED_CLASSES and head.restore is not None and head.restore.expires is not None
    }
    first = min(expiries.values(), default=None)
    return {
        "copies": {uri: {"tier": head.storage_class, "version": head.version} for uri, head in there.items()},
        "missing": [uri for uri in task.uris if uri not in there],
        "until": None if first is None else first.isoformat(),
    }


def _lost(task: RestoreTask) -> Failed:
    return Failed(
        rejection=reject(
            code="OBJECT_MISSING",
            message="no copy of the artifact lies in the store",
            where=task.artifact,
            rule="what a fact names and no artifact.purged took away lies in the store",
            fix="look for it in the inventory and in the store's own versions; make it again if it is gone",
        ).rejection
    )
