"""`storage-class`: the store's own classes, as S3 Glacier has; the store copies, we verify and name the version."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from chassis.errors import Rejected
from chassis.faultpoints import point
from chassis.outcomes import Outcome, Retry
from chassis.storage.store import ObjectFacts, ObjectMissing, Store
from services.archive.tiers.backend import Begin, Meant, StillRight, changed, did


class StorageClasses:
    """`scratch`: a folder for the content of one object."""

    name = "storage-class"

    def __init__(self, *, store: Store, scratch: Path) -> None:
        self._store = store
        self._scratch = scratch

    async def move(
        self, meant: Meant, found: ObjectFacts, tier: str, *, begin: Begin, still_right: StillRight
    ) -> Outcome:
        await begin({"version": found.version})
        point("before-act", of="archive")
        try:
            moved = await self._store.set_tier(meant.uri, tier, version=found.version)
        except ObjectMissing:
            return Retry(reason="the version to be moved is not the current one any more", after=timedelta(seconds=1))
        except Rejected as rejected:
            if rejected.rejection.code != "CONTENT_CHANGED":
                raise
            return changed(rejected.rejection.message)
        return did("moved", version=moved.version)

    async def purge(self, meant: Meant, found: ObjectFacts | None, *, begin: Begin, guards: tuple[str, ...]) -> Outcome:
        if found is None:
            if meant.begun is not None:
                return did("purged", version=meant.begun["version"])
            return did("gone", why="the object is not in the store")
        await begin({"version": found.version})
        point("before-act", of="archive")
        await self._store.delete(meant.uri, version=found.version)
        return did("purged", version=found.version, guards=guards)

    async def spare(self, meant: Meant, *, purging: bool, tier: str, why: str) -> Outcome:
        """A store without versions: a zombie's move changes the class of what is there and loses nothing (who must fear
        its purge is spared by copied.py)."""
        if meant.begun is None or (meant.begun["version"] is None and not purging):
            return did("spared", why=why)
        found = await self._store.head(meant.uri, version=meant.begun["version"])
        if found is None:
            return did("purged", version=meant.begun["version"]) if purging else await self.not_there(meant, tier=tier)
        return await another_version(self._store, meant, found, scratch=self._scratch, why=why)

    async def not_there(self, meant: Meant, *, tier: str) -> Outcome:
        current = await self._store.head(meant.uri)
        if current is not None and current.sha256 == meant.artifact and current.storage_class == tier:
            return did("moved", version=current.version)
        return did("gone", why="the version that was condemned is not in the store")

    async def restore(self, meant: Meant, *, days: int, begin: Begin) -> ObjectFacts | None:
        found = await self._store.head(meant.uri)
        if found is None or found.readable() or (found.restore is not None and found.restore.ongoing):
            return found
        await self._store.request_restore(meant.uri, days=days)
        return await self._store.head(meant.uri) or found


async def another_version(store: Store, meant: Meant, found: ObjectFacts, *, scratch: Path, why: str) -> Outcome:
    """An earlier attempt's worker may still be about to delete that version: the same content is stored once more, so
    that what a zombie deletes is not what is kept. For stores with versions."""
    assert found.version is not None
    path = scratch / "spared"
    await store.get_file(meant.uri, path, sha256=meant.artifact, size=found.size)
    tags = await store.read_tags(meant.uri, version=found.version)
    again = await store.put_file(store.key_of(meant.uri), path, sha256=meant.artifact, tags=tags)
    await store.delete(meant.uri, version=found.version)
    return did("out of reach", why=why, version=again.version)
