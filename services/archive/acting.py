"""What workers do to objects: move and purge what was condemned, bring back what was asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from chassis.errors import reject
from chassis.ledger.ledger import connect
from chassis.outcomes import Done, Failed, Outcome, Retry
from chassis.storage.keys import ColdCopy
from chassis.storage.store import ARCHIVED_CLASSES, RESTORE_TAKES, ObjectFacts
from chassis.storage.stub import COLD
from chassis.worker.context import TaskContext
from contracts.values import Artifact, ArtifactKind
from services.archive.prices import PURGE
from services.archive.standing import Lies, Standing, lies, standing_of
from services.archive.tasks import ActTask, RestoreTask
from services.archive.tiers.backend import Meant, TierBackend, changed, did
from services.archive.tiers.copied import Copies
from services.archive.tiers.places import Places, said_by
from services.archive.tiers.storage_class import StorageClasses

if TYPE_CHECKING:
    from chassis.ledger.ledger import Connection

POLL_AT_LEAST, POLL_AT_MOST = 1.0, 900.0
"""Seconds between two looks at a restore: a Glacier restore takes minutes to days, a test's takes none."""
POLL_SHARE = 0.25
"""Of the time waited so far: a restore is noticed at most a quarter later than it was ready."""


async def act(context: TaskContext) -> Outcome:
    """Purge or move exactly the version that was condemned.

    The ledger is asked again first (still condemned by this very fact, no hold, all guards), then the store (is what
    replaces it really there, is this the object meant). The last step before the act is a fenced write: a worker that
    lost its lease, or whose task a hold cancelled, gets no further. Result: see tiers/backend.py.
    """
    task = ActTask.of(context.lease)
    standing = await _ask_again(context, task)
    places = _places(context, standing.lies)
    meant = _meant(context, task, standing)
    backend = _backend(context, places, meant, task)
    purging = task.action == PURGE
    if standing.why_not:
        return await backend.spare(meant, purging=purging, tier=task.action, why="; ".join(standing.why_not))
    for replacement in standing.replacements:
        wrong = await _unlike(context, places, replacement)
        if wrong is not None:
            code, why = wrong
            return did("refused", code=code, why=f"REFUSED: {why}", suspect=replacement.id)
    async with places.holding(task.uri) as store:
        found = await store.head(task.uri, version=task.version)
    if found is not None and found.sha256 != task.artifact:
        return changed("the object's content is not what its fact named")

    async def begin(value: Mapping[str, Any]) -> None:
        await context.checkpoint("begun", value)

    async def still_right() -> str | None:
        return "; ".join((await _ask_again(context, task)).why_not) or None

    if purging:
        return await backend.purge(meant, found, begin=begin, guards=standing.guards)
    if found is None:
        return await backend.not_there(meant, tier=task.action)
    return await backend.move(meant, found, task.action, begin=begin, still_right=still_right)


def _meant(context: TaskContext, task: ActTask, standing: Standing) -> Meant:
    return Meant(
        artifact=task.artifact,
        kind=task.kind,
        uri=task.uri,
        version=task.version,
        attempt=_attempt(context, task.artifact, task.count),
        cold=standing.lies.cold.get(task.uri),
        begun=context.chunks.get("begun"),
    )


def _attempt(context: TaskContext, artifact: str, count: int) -> ColdCopy:
    lease = context.lease
    return ColdCopy(artifact=artifact, count=count, incarnation=lease.incarnation, epoch=lease.epoch)


def _places(context: TaskContext, known: Lies) -> Places:
    return Places(store=context.store, settings=context.settings.cold.store(), place_id=known.place_id)


def _backend(context: TaskContext, places: Places, meant: Meant, task: ActTask) -> TierBackend:
    """By what this one act needs, so that what was condemned under other settings ends well too."""
    copies = (
        task.action == COLD
        or meant.cold is not None
        or bool((meant.begun or {}).get("cold"))
        or not task.uri.startswith(f"{context.store.base}/")
        # a purge that must be undone, in a store that would delete whatever has the name
        or (task.action == PURGE and "versions" not in context.store.capabilities)
    )
    if copies:
        return Copies(store=context.store, places=places, scratch=context.scratch)
    return StorageClasses(store=context.store, scratch=context.scratch)


@asynccontextmanager
async def _ledger(context: TaskContext) -> AsyncIterator[Connection]:
    """In a session of its own: a task's code has no other way to the ledger, and a decision may be days old."""
    conn = await connect(context.settings.ledger.url(), context.service)
    try:
        yield conn
    finally:
        await conn.close()


async def _ask_again(context: TaskContext, task: ActTask) -> Standing:
    async with _ledger(context) as conn:
        return await standing_of(conn, task, settings=context.settings)


async def _unlike(context: TaskContext, places: Places, replacement: Artifact) -> tuple[str, str] | None:
    """How the stored object differs from the artifact that must be there before the other goes, as a code and in words;
    None: it does not. Of a stub, the copy that it points at is looked at too."""
    found = await context.store.head(replacement.uri)
    what = f"the {replacement.kind.value} {replacement.id[:12]} that replaces it"
    if found is not None and found.cold is not None and not found.readable():
        async with places.holding(found.cold) as place:
            with said_by(place.base):
                found = await place.head(found.cold)
    if found is None:
        return "REPLACEMENT_MISSING", f"{what} is not in the store"
    if found.size != replacement.size:
        return "REPLACEMENT_CHANGED", f"{what} has {found.size} bytes, {replacement.size} were recorded"
    if found.sha256 != replacement.id:
        return "REPLACEMENT_CHANGED", f"{what} has another checksum in the store"
    return None


async def restore(context: TaskContext) -> Outcome:
    """Ask for every copy that cannot be read at once, or bring it back; look again later, without a lease in between.

    Result: `copies` by URI (`tier`, `version`, and `cold` where a copy lies in a cold place), `missing` URIs, and
    `until`: when the store takes the first copy away again.
    """
    task = RestoreTask.of(context.lease)
    there: dict[str, ObjectFacts] = {}
    known: Lies | None = None
    for number, uri in enumerate(task.uris):
        head = await context.store.head(uri)
        if head is None or head.cold is not None:
            known = known or await _lies(context, task.artifact)
        elif head.sha256 != task.artifact:
            continue
        found = await _asked_for(context, task, uri, head, known or Lies(), number)
        if found is not None and found.sha256 == task.artifact:
            there[uri] = found
    if not there:
        return _lost(task)
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


async def _asked_for(
    context: TaskContext, task: RestoreTask, uri: str, head: ObjectFacts | None, known: Lies, number: int
) -> ObjectFacts | None:
    if head is not None and head.readable(now=context.lease.started_at):
        return head
    meant = Meant(
        artifact=task.artifact,
        kind=ArtifactKind.log,
        uri=uri,
        version=None,
        attempt=_attempt(context, task.artifact, task.number),
        cold=known.cold.get(uri),
    )

    async def begin(value: Mapping[str, Any]) -> None:
        await context.checkpoint(f"brought back {number}", value)

    backend: TierBackend = StorageClasses(store=context.store, scratch=context.scratch)
    if meant.cold is not None or (head is not None and head.cold is not None):
        backend = Copies(store=context.store, places=_places(context, known), scratch=context.scratch)
    return await backend.restore(meant, days=task.days, begin=begin)


async def _lies(context: TaskContext, artifact: str) -> Lies:
    async with _ledger(context) as conn:
        return await lies(conn, artifact)


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
        "copies": {
            uri: {"tier": head.storage_class, "version": head.version} | ({"cold": head.cold} if head.cold else {})
            for uri, head in there.items()
        },
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
